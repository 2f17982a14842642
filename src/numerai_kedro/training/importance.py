"""Feature importance by fold: gain, and the CORR that is lost when a feature is shuffled.

Gain says what trees split on; permutation, how much out-of-sample CORR depends on a feature.
Results are cached in the fold store, one entry per era; another list of shuffled features is
measured again, as far as the models are still stored.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.cache import FoldStore, code_of
from numerai_kedro.compute.isolation import Executor
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Fold
from numerai_kedro.data.joined import transform_of
from numerai_kedro.metrics.corr import corr_of_era
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.protocol import FitProgress, Model, no_progress
from numerai_kedro.training.recipe import Fit, Recipe
from numerai_kedro.training.transforms import derives_columns

logger = logging.getLogger(__name__)

N_SHUFFLED = 15  # features, those with the most gain in all folds together
ERA_STRIDE = 4  # every fourth test era is enough for a mean, and a quarter of the time
COLUMNS = ("fold", "first_era", "last_era", "feature", "gain", "drop", "drop_error", "n_eras")


def importance_by_fold(
    history: EraPanel,
    folds: Sequence[Fold],
    recipes: Sequence[Recipe],
    target: str,
    overlap_eras: int,
    runner: FitRunner,
) -> pd.DataFrame:
    """Importance of every feature in every fold.

    Parameters
    ----------
    history : EraPanel
        The features that models learn.
    recipes
        One per fold, as fitted.
    target
        The target that permutation is scored on.
    overlap_eras
        How many eras one target spans: scores of eras closer than that are not independent.

    Returns
    -------
    pandas.DataFrame
        One row per fold and feature. ``gain``: share of the fold's total. ``drop``: the CORR lost
        when the feature is shuffled inside each era, with its standard error; NaN where it was not
        shuffled, or where the cache limit removed the fold's models.
    """
    blocks = [
        (
            fold,
            recipe.fits(history, fold.train),
            _test_eras(recipe.columns.of(history), fold, target),
        )
        for fold, recipe in zip(folds, recipes, strict=True)
    ]
    features = list(history.feature_names)
    used = (name for recipe in recipes for name in derives_columns(recipe.transforms))
    features += dict.fromkeys(used)
    work = _Work(features, target, runner.store, runner.executor)
    gains = [work.gains(fits) for _, fits, _ in blocks]
    measured = [gain for gain in gains if gain is not None]
    if not measured:
        return pd.DataFrame(columns=list(COLUMNS))
    order = np.argsort(-np.mean(measured, axis=0), kind="stable")
    shuffled = [features[number] for number in sorted(order[:N_SHUFFLED])]
    frames = []
    for number, ((fold, fits, eras), gain) in enumerate(zip(blocks, gains, strict=True)):
        runner.progress(number, len(blocks))
        if gain is not None:
            drops = work.drops(fits, eras, shuffled)
            frames.append(_frame(fold, features, gain, shuffled, drops, overlap_eras))
    runner.progress(len(blocks), len(blocks))
    return pd.concat(frames, ignore_index=True)


class _Work:
    """Reads results from the store; has the executor compute missing ones."""

    def __init__(
        self, features: Sequence[str], target: str, store: FoldStore, executor: Executor
    ) -> None:
        self._features, self._target = list(features), target
        self._store, self._executor = store, executor

    def gains(self, fits: Sequence[Fit]) -> npt.NDArray[np.float64] | None:
        """Share of gain by feature, averaged over a fold's fits; None where a model is lost."""
        by_fit = []
        for fit in fits:
            stored = self._store.find(_gain_key(fit)) is not None
            if not stored and not self._store.has_model(fit.key):
                return None
            gains = gain_of(fit, self._store, self._executor)
            by_fit.append(self._by_feature(fit.train.feature_names, gains))
        return np.mean(by_fit, axis=0)

    def _by_feature(
        self, columns: Sequence[str], gains: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Gains by feature: 0 for those that the fit did not see, one sum a transformation."""
        place = {name: number for number, name in enumerate(self._features)}
        totals = np.zeros(len(self._features))
        np.add.at(totals, [place[_named(column)] for column in columns], gains)
        return totals

    def drops(
        self, fits: Sequence[Fit], eras: Sequence[EraPanel], shuffled: list[str]
    ) -> npt.NDArray[np.float64]:
        """CORR lost, float64[n_eras, n_shuffled]; eras without a result are left out."""
        by_fit = []
        for fit in fits:
            keys = [_drop_key(fit, era, self._target, shuffled) for era in eras]
            missing = [(era, key) for era, key in zip(eras, keys, strict=True) if self._lacks(key)]
            if missing and self._store.has_model(fit.key):
                self._run(_measure_drops, fit, missing, self._target, shuffled)
            nothing = [np.nan] * len(shuffled)
            by_fit.append([self._store.find(key) or nothing for key in keys])
        # Fits of one fold have the same eras: they are averaged, not counted as more eras.
        table = np.array(by_fit, dtype=np.float64).reshape(len(fits), -1, len(shuffled))
        measured = ~np.isnan(table).all(axis=(0, 2))
        if not measured.any():
            return table[0, :0]
        counted = ~np.isnan(table[:, measured])
        with np.errstate(invalid="ignore"):
            means = np.nan_to_num(table[:, measured]).sum(axis=0) / counted.sum(axis=0)
        return np.asarray(means)

    def _lacks(self, key: dict[str, Any]) -> bool:
        return self._store.find(key) is None

    def _run(self, task: Any, fit: Fit, *arguments: Any) -> None:
        self._executor.run(
            task, fit, self._store, *arguments, progress=no_progress, planned_gb=fit.planned_gb
        )


def gain_of(fit: Fit, store: FoldStore, executor: Executor) -> npt.NDArray[np.float64]:
    """Share of gain of each feature that a fit saw; fits the model first if need be."""
    key = _gain_key(fit)
    if store.find(key) is None:
        arguments = (fit, store, key)
        executor.run(_measure_gain, *arguments, progress=no_progress, planned_gb=fit.planned_gb)
    return np.array(store.find(key), dtype=np.float64)


def _gain_key(fit: Fit) -> dict[str, Any]:
    code = code_of(_shares_of_gain, fit.recipe.family, reads=("gain_importance",))
    return {"gain_of": fit.key, "code": code}


def _measure_gain(fit: Fit, store: FoldStore, key: dict[str, Any], progress: FitProgress) -> None:
    store.value(key, lambda: _shares_of_gain(fit.model(store, no_progress)))


def _shares_of_gain(model: Model) -> list[float]:
    gains = model.gain_importance()
    shares: list[float] = (gains / (gains.sum() or 1.0)).tolist()
    return shares


def _measure_drops(
    fit: Fit,
    store: FoldStore,
    missing: Sequence[tuple[EraPanel, dict[str, Any]]],
    target: str,
    shuffled: list[str],
    progress: FitProgress,
) -> None:
    model = fit.model(store, no_progress)
    for era, key in missing:
        store.value(key, partial(shuffled_drops, model, era, target, shuffled))


def _drop_key(fit: Fit, era: EraPanel, target: str, names: Sequence[str]) -> dict[str, Any]:
    rows = era.digest(targets=(target,))
    code = code_of(shuffled_drops)
    return {"drops_of": fit.key, "rows": rows, "features": list(names), "code": code}


def _named(column: str) -> str:
    return transform_of(column) or column


def shuffled_drops(
    model: Model, era: EraPanel, target: str, shuffled: Sequence[str]
) -> list[float | None]:
    """Loss of one era's CORR when each feature is shuffled; None for a feature not in the panel.

    The permutation is seeded by the era number alone: the same for every model and run. Columns of
    one transformation are shuffled together.
    """
    (number,) = era.eras
    rows, label = era.features(int(number)), era.target(target).astype(np.float64)
    labelled = ~np.isnan(label)
    rows, label = np.ascontiguousarray(rows[labelled]), label[labelled]
    order = np.random.default_rng(int(number)).permutation(len(rows))
    of_name: dict[str, list[int]] = {}
    for number, column in enumerate(era.feature_names):
        of_name.setdefault(_named(column), []).append(number)
    columns = [model.predict_rows(rows)]
    for feature in shuffled:
        changed = rows.copy()
        moved = of_name.get(feature, [])
        changed[:, moved] = rows[np.ix_(order, np.asarray(moved, dtype=np.int64))]
        columns.append(model.predict_rows(changed) if moved else columns[0])
    corr = corr_of_era(np.column_stack(columns).astype(np.float64), label)
    lost = (corr[0] - corr[1:]).tolist()
    return [drop if name in of_name else None for name, drop in zip(shuffled, lost, strict=True)]


def _test_eras(history: EraPanel, fold: Fold, target: str) -> list[EraPanel]:
    resolved = history.resolved_eras(target)
    inside = resolved[(resolved >= fold.test[0]) & (resolved <= fold.test[1])]
    return [history.select(eras=[era]) for era in inside[::ERA_STRIDE]]


def _frame(
    fold: Fold,
    features: Sequence[str],
    gain: npt.NDArray[np.float64],
    shuffled: list[str],
    drops: npt.NDArray[np.float64],
    overlap_eras: int,
) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"fold": fold.name, "first_era": fold.test[0], "last_era": fold.test[1]},
        index=range(len(features)),
    )
    frame["feature"] = list(features)
    frame["gain"] = gain
    frame["drop"] = frame["drop_error"] = np.nan
    frame["n_eras"] = len(drops)
    if len(drops):
        # Targets overlap: about this many scores are worth one independent score.
        together = max(1.0, overlap_eras / ERA_STRIDE)
        error = drops.std(axis=0, ddof=1 if len(drops) > 1 else 0) * np.sqrt(together / len(drops))
        rows = [features.index(name) for name in shuffled]
        frame.loc[rows, "drop"] = drops.mean(axis=0)
        frame.loc[rows, "drop_error"] = error if len(drops) > 1 else np.nan
    return frame[list(COLUMNS)]
