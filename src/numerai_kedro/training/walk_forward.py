"""Fit and predict fold by fold; each finished piece is cached by its content.

A fit's key has the digests of its training eras (features and target) and of its code, the
parameters, the seed and the sampling; a prediction's, the key of its fit and the features of its
eras. So a new era adds one prediction, and no refit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute.isolation import Executor, Inline
from numerai_kedro.compute.worker_pool import WorkerPool
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Fold
from numerai_kedro.ensemble.blending import blend
from numerai_kedro.errors import PredictionError
from numerai_kedro.files import digest_json
from numerai_kedro.training.protocol import FitProgress, Model, no_progress
from numerai_kedro.training.recipe import Fit, Recipe

logger = logging.getLogger(__name__)

# Called with the folds done, including the fraction of the current one, and their total.
Progress = Callable[[float, float], None]


def walk_forward(
    history: EraPanel,
    folds: Sequence[Fold],
    recipes: Sequence[Recipe],
    store: FoldStore,
    purge_eras: int,
    progress: Progress = no_progress,
    executor: Executor | None = None,
    beside: Sequence[Fit] = (),
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Predict every fold's test eras by models that were not trained on them.

    Parameters
    ----------
    history : EraPanel
        Eras with features; of the targets, only the recipes' own are read, and only in training
        eras.
    folds
        In time order; the purge of each is checked again before it is fitted.
    recipes
        One per fold: tuning may change the parameters from some fold on.
    store : FoldStore
        Stores finished fits and predictions.
    executor
        Where fits run; by default here.
    beside
        Fits that are needed later; idle workers of a pool do them meanwhile.

    Returns
    -------
    pandas.DataFrame, dict
        Columns ``id``, ``era``, ``prediction`` (float32), rows as in the panel; and the total
        iterations of each fold's models.

    Raises
    ------
    LeakError
        A fold's training eras are closer to its test eras than the purge allows.
    ProcessDied
        The child process of a fit was killed from outside.
    """
    pieces, iterations, executor = [], {}, executor or Inline()
    arguments = (recipes, history, folds, purge_eras, store, executor, progress)
    ahead = fit_ahead(*arguments, beside=beside)
    report = no_progress if ahead else progress
    for number, (fold, recipe) in enumerate(zip(folds, recipes, strict=True)):
        report(number, len(folds))
        within, computed = sub_progress(report, number, len(folds)), fold.name in ahead
        for part in predict_fold(recipe, history, fold, purge_eras, store, executor, within):
            computed |= part.made
            pieces.append(frame_of(part.test, part.predictions))
        fits = recipe.fits(history, fold.train)
        mark_fitted(recipe, fold.train, history, store)
        iterations[fold.name] = sum(fit.n_iterations(store) or 0 for fit in fits)
        logger.info(
            "%s, fold %s: eras %04d-%04d from %s up to %04d, %s",
            recipe.name,
            fold.name,
            *fold.test,
            _learned_from(fits),
            fold.train[1],
            "fitted" if computed else "from the fold store",
        )
    progress(len(folds), len(folds))
    return pd.concat(pieces, ignore_index=True), iterations


def recoveries_of(
    history: EraPanel, folds: Sequence[Fold], recipes: Sequence[Recipe], store: FoldStore
) -> list[dict[str, Any]]:
    """Lines of recovery of the fits of `walk_forward`, fold by fold."""
    return [
        line
        for fold, recipe in zip(folds, recipes, strict=True)
        for part, updated_to in recipe.steps(fold)
        for line in with_location(
            recipe.fits(history, part.train, updated_to=updated_to), fold.name, store
        )
    ]


@dataclass(frozen=True)
class Part:
    """Eras of a fold that the same fits predict.

    Parameters
    ----------
    test : EraPanel
    predictions : float32[n_rows]
    fits
    made
        Whether any of the predictions were computed in this run.
    """

    test: EraPanel
    predictions: npt.NDArray[np.float32]
    fits: list[Fit]
    made: bool


def predict_fold(
    recipe: Recipe,
    history: EraPanel,
    fold: Fold,
    purge_eras: int,
    store: FoldStore,
    executor: Executor | None = None,
    progress: FitProgress = no_progress,
    keep: bool = True,
) -> Iterator[Part]:
    """Predict a fold: whole, or part by part where fitted models are updated between parts.

    Parameters
    ----------
    keep
        Whether fits are stored, and predictions stored era by era, so that a new era costs one
        prediction and not the whole fold's. False for a trial: it gets no later eras.

    Raises
    ------
    LeakError
        A part's training eras are closer to it than the purge allows.
    """
    steps = list(_steps(recipe, history, fold, purge_eras, keep))
    for number, (test, pieces, fits) in enumerate(steps):
        within = sub_progress(progress, number, len(steps))
        predictions, computed = predict_by_fits(fits, pieces, store, executor or Inline(), within)
        yield Part(test, predictions, fits, computed)


def _steps(
    recipe: Recipe, history: EraPanel, fold: Fold, purge_eras: int, keep: bool
) -> Iterator[tuple[EraPanel, list[EraPanel], list[Fit]]]:
    """For each part of a fold: its test eras, whole and in pieces, and its fits."""
    seen = recipe.columns.of(history)
    for part, updated_to in recipe.steps(fold):
        newest = updated_to or part.train[1]
        replace(part, train=(part.train[0], newest)).check_purge(purge_eras)
        test = seen.select(eras=np.arange(part.test[0], part.test[1] + 1))
        pieces = [test.select(eras=[era]) for era in test.eras] if keep else [test]
        yield test, pieces, recipe.fits(history, part.train, keep, updated_to)


def fit_ahead(
    recipes: Sequence[Recipe],
    history: EraPanel,
    folds: Sequence[Fold],
    purge_eras: int,
    store: FoldStore,
    executor: Executor,
    progress: Progress = no_progress,
    keep: bool = True,
    beside: Sequence[Fit] = (),
) -> set[str]:
    """Try to do the missing fits of folds in a worker pool, so that the folds find them stored.

    Returns
    -------
    set of str
        Folds of these fits, "" for those of `beside`; empty where the executor is no pool.
    """
    if not isinstance(executor, WorkerPool):
        return set()
    missing: dict[str, tuple[str, Fit, list[EraPanel]]] = {}
    # The live fit goes first: it takes longest.
    requests: list[tuple[str, Fit, list[EraPanel]]] = [
        ("", fit, []) for fit in beside if not store.has_model(fit.key)
    ] + [
        (fold.name, fit, pieces)
        for fold, recipe in zip(folds, recipes, strict=True)
        for _, pieces, fits in _steps(recipe, history, fold, purge_eras, keep)
        for fit in fits
        if fit.stored_predictions(pieces, store) is None
    ]
    for name, fit, pieces in requests:
        if fit.base is None:  # else each worker would fit the same base
            missing[digest_json(fit.key)] = name, fit, pieces
    if missing:
        tasks = [(fit, pieces, store) for _, fit, pieces in missing.values()]
        executor.try_all(_fit_and_predict, tasks, progress, max(f.planned_gb for f, *_ in tasks))
    return {name for name, *_ in missing.values()}


def with_location(fits: Sequence[Fit], place: str, store: FoldStore) -> list[dict[str, Any]]:
    """The fits' lines of recovery, each with the place of its fit."""
    return [
        line | {"place": f"{place}, {line['place']}"}
        for fit in fits
        for line in fit.recoveries(store)
    ]


def predict_by_fits(
    fits: Sequence[Fit],
    pieces: Sequence[EraPanel],
    store: FoldStore,
    executor: Executor,
    progress: FitProgress = no_progress,
) -> tuple[npt.NDArray[np.float32], bool]:
    """Average the predictions of all fits of a recipe on pieces of a panel; uses stored ones.

    Returns
    -------
    float32[n_rows], bool
        One fit's predictions unchanged, several blended era by era; and whether any were computed
        now.
    """
    columns, computed = [], False
    for number, fit in enumerate(fits):
        stored = fit.stored_predictions(pieces, store)
        if stored is None:
            computed = True
            step = sub_progress(progress, number, len(fits))
            made_by(executor, fit, _fit_and_predict, pieces, store, progress=step)
            stored = fit.stored_predictions(pieces, store)
            assert stored is not None, "predictions that were just made are gone"
        columns.append(stored)
    return average(columns, pieces), computed


def average(
    columns: Sequence[npt.NDArray[np.float32]], pieces: Sequence[EraPanel]
) -> npt.NDArray[np.float32]:
    """Blend the predictions of several fits era by era; a single fit's stay unchanged."""
    if len(columns) == 1:
        return columns[0]
    sizes = np.concatenate([np.diff(piece.era_starts) for piece in pieces])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    table = np.column_stack(columns).astype(np.float64)
    return blend(table, np.ones(len(columns)), starts).astype(np.float32)


def made_by(
    executor: Executor,
    fit: Fit,
    task: Callable[..., None],
    *arguments: Any,
    progress: FitProgress,
) -> None:
    """Run a fit's task; after a GPU failure run it again on the CPU, in a new process."""
    try:
        executor.run(task, fit, *arguments, progress=progress, planned_gb=fit.planned_gb)
    except Exception as error:  # noqa: BLE001 - `on_cpu` raises all but GPU failures again
        again = fit.on_cpu(error)
        executor.close()
        executor.run(task, again, *arguments, progress=progress, planned_gb=again.planned_gb)


def _finite_predictions(model: Model, piece: EraPanel) -> npt.NDArray[np.float32]:
    return finite(model.predict(piece))


def _fit_and_predict(
    fit: Fit, pieces: Sequence[EraPanel], store: FoldStore, progress: FitProgress
) -> None:
    """Fit, and store the predictions; runs where the executor puts it."""
    model = fit.model(store, progress)
    for piece in pieces:
        store.predictions(fit.prediction_key(piece), partial(_finite_predictions, model, piece))


def fit_live(
    history: EraPanel,
    eras: tuple[int, int],
    recipe: Recipe,
    store: FoldStore,
    progress: Progress = no_progress,
    executor: Executor | None = None,
    updated_to: int | None = None,
) -> list[Model]:
    """Fit the models that predict live, exactly as a fold that begins at the same era would."""
    fits = recipe.fits(history, eras, updated_to=updated_to)
    refitted = False
    for number, fit in enumerate(fits):
        if not store.has_model(fit.key):
            refitted = True
            step = sub_progress(progress, number, len(fits))
            made_by(executor or Inline(), fit, _fit_only, store, progress=step)
    models = [fit.model(store, no_progress) for fit in fits]
    mark_fitted(recipe, eras, history, store)
    logger.info(
        "%s, live fit: %s up to %04d, %s",
        recipe.name,
        _learned_from(fits),
        eras[1],
        "fitted" if refitted else "from the fold store",
    )
    return models


def _fit_only(fit: Fit, store: FoldStore, progress: FitProgress) -> None:
    fit.model(store, progress)


def predictions_frame(models: Sequence[Model], panel: EraPanel) -> pd.DataFrame:
    """Predict a panel by all models of a recipe; columns ``id``, ``era``, ``prediction``."""
    return frame_of(panel, average([model.predict(panel) for model in models], [panel]))


def frame_of(panel: EraPanel, predictions: npt.NDArray[np.float32]) -> pd.DataFrame:
    """Columns ``id``, ``era``, ``prediction``, rows as in the panel.

    Raises
    ------
    PredictionError
        A prediction is not finite.
    """
    finite(predictions)
    return pd.DataFrame(
        {
            "id": np.asarray(panel.ids(), dtype=object),
            "era": panel.era_of_rows().astype(np.int32),
            "prediction": predictions.astype(np.float32),
        }
    )


def finite(predictions: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return predictions that are all finite.

    Raises
    ------
    PredictionError
        One is not.
    """
    wrong = int((~np.isfinite(predictions)).sum())
    if wrong:
        raise PredictionError(
            f"{wrong} of {len(predictions)} predictions are not finite numbers; the model has "
            "diverged: choose a lower learning rate, or leave it out."
        )
    return predictions


def sub_progress(progress: Progress, parts_done: int, n_parts: int) -> FitProgress:
    """Turn the steps of one part into steps of the whole."""
    return lambda done, total: progress(parts_done + done / total, n_parts)


def mark_fitted(recipe: Recipe, eras: tuple[int, int], history: EraPanel, store: FoldStore) -> None:
    """Record that these fits are done, so that the next plan knows it before any data is loaded."""
    for key in recipe.plan_keys(eras, history.feature_names):
        store.value(key, lambda: True)


def _learned_from(fits: Sequence[Fit]) -> str:
    if len(fits) == 1:
        return f"{len(fits[0].train.eras)} eras"
    return f"{len(fits)} fits of about {len(fits[0].train.eras)} eras"
