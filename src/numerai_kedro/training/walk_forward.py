"""Fit and predict fold by fold; each finished piece is cached by its content.

A fit's key has the digests of its training eras (features and target) and of its code, the
parameters, the seed and the sampling; a prediction's, the key of its fit and the features of its
eras. So a new era adds one prediction, and no refit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute.worker_pool import WorkerPool
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Fold
from numerai_kedro.ensemble.blending import blend
from numerai_kedro.errors import PredictionError
from numerai_kedro.files import digest_json
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.protocol import FitProgress, Model, no_progress
from numerai_kedro.training.recipe import Fit, Recipe

logger = logging.getLogger(__name__)


def walk_forward(
    history: EraPanel,
    folds: Sequence[Fold],
    recipes: Sequence[Recipe],
    purge_eras: int,
    runner: FitRunner,
    prefetch: Sequence[Fit] = (),
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
    prefetch
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
    pieces, iterations, store = [], {}, runner.store
    ahead = fit_ahead(recipes, history, folds, purge_eras, runner, prefetch)
    one_by_one = runner.quiet() if ahead else runner
    for number, (fold, recipe) in enumerate(zip(folds, recipes, strict=True)):
        one_by_one.progress(number, len(folds))
        within, computed = one_by_one.part(number, len(folds)), fold.name in ahead
        for part in predict_fold(recipe, history, fold, purge_eras, within):
            computed |= part.computed
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
    runner.progress(len(folds), len(folds))
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
    computed
        Whether any of the predictions were computed in this run.
    """

    test: EraPanel
    predictions: npt.NDArray[np.float32]
    fits: list[Fit]
    computed: bool


def predict_fold(
    recipe: Recipe,
    history: EraPanel,
    fold: Fold,
    purge_eras: int,
    runner: FitRunner,
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
        within = runner.part(number, len(steps))
        predictions, computed = predict_by_fits(fits, pieces, within)
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
    runner: FitRunner,
    prefetch: Sequence[Fit] | None = None,
) -> set[str]:
    """Try to do the missing fits of folds in a worker pool, so that the folds find them stored.

    Parameters
    ----------
    prefetch
        Further fits; None for trials, whose models are not stored.

    Returns
    -------
    set of str
        Folds of these fits, "" for those of `prefetch`; empty where the executor is no pool.
    """
    store, pool, keep = runner.store, runner.executor, prefetch is not None
    if not isinstance(pool, WorkerPool):
        return set()
    missing: dict[str, tuple[str, Fit, list[EraPanel]]] = {}
    # The live fit goes first: it takes longest.
    requests: list[tuple[str, Fit, list[EraPanel]]] = [
        ("", fit, []) for fit in prefetch or () if not store.has_model(fit.key)
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
        largest_gb = max(fit.planned_gb for fit, *_ in tasks)
        pool.try_all(_fit_and_predict, tasks, runner.progress, largest_gb)
    return {name for name, *_ in missing.values()}


def with_location(fits: Sequence[Fit], place: str, store: FoldStore) -> list[dict[str, Any]]:
    """The fits' lines of recovery, each with the place of its fit."""
    return [
        line | {"place": f"{place}, {line['place']}"}
        for fit in fits
        for line in fit.recoveries(store)
    ]


def predict_by_fits(
    fits: Sequence[Fit], pieces: Sequence[EraPanel], runner: FitRunner
) -> tuple[npt.NDArray[np.float32], bool]:
    """Average the predictions of all fits of a recipe on pieces of a panel; uses stored ones.

    Returns
    -------
    float32[n_rows], bool
        One fit's predictions unchanged, several blended era by era; and whether any were computed
        now.
    """
    columns, computed, store = [], False, runner.store
    for number, fit in enumerate(fits):
        stored = fit.stored_predictions(pieces, store)
        if stored is None:
            computed = True
            runner.part(number, len(fits)).run(fit, _fit_and_predict, pieces, store)
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
    runner: FitRunner,
    updated_to: int | None = None,
) -> list[Model]:
    """Fit the models that predict live, exactly as a fold that begins at the same era would."""
    fits = recipe.fits(history, eras, updated_to=updated_to)
    store, refitted = runner.store, False
    for number, fit in enumerate(fits):
        if not store.has_model(fit.key):
            refitted = True
            runner.part(number, len(fits)).run(fit, _fit_only, store)
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


def mark_fitted(recipe: Recipe, eras: tuple[int, int], history: EraPanel, store: FoldStore) -> None:
    """Record that these fits are done, so that the next plan knows it before any data is loaded."""
    for key in recipe.plan_keys(eras, history.feature_names):
        store.value(key, lambda: True)


def _learned_from(fits: Sequence[Fit]) -> str:
    if len(fits) == 1:
        return f"{len(fits[0].train.eras)} eras"
    return f"{len(fits)} fits of about {len(fits[0].train.eras)} eras"
