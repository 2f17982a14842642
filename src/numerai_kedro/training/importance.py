"""What a fold's models rest on: gain, and what CORR loses when a feature is shuffled.

Gain says what trees split on; permutation what the predictions of later eras, which no model saw,
owe to a feature. Pieces are kept in the fold store, so that a new era adds its own; another list of
features to shuffle is measured anew, as far as the models are still there.
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
from numerai_kedro.compute.isolation import Executor, Inline
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Fold
from numerai_kedro.data.joined import LATENT
from numerai_kedro.metrics.corr import corr_of_era
from numerai_kedro.training.protocol import FitProgress, Model, no_progress
from numerai_kedro.training.recipe import Fit, Recipe

logger = logging.getLogger(__name__)

LATENTS = "latents"  # what all of them together are called
N_SHUFFLED = 15  # features, those with the most gain in all folds together
ERA_STRIDE = 4  # every fourth test era is enough for a mean, and a quarter of the time
COLUMNS = ("fold", "first_era", "last_era", "feature", "gain", "drop", "drop_error", "n_eras")


def importance_by_fold(
    history: EraPanel,
    folds: Sequence[Fold],
    recipes: Sequence[Recipe],
    target: str,
    overlap_eras: int,
    store: FoldStore,
    executor: Executor | None = None,
    progress: FitProgress = no_progress,
) -> pd.DataFrame:
    """Importance of every feature in every fold.

    Parameters
    ----------
    history : EraPanel
        The features that models learn.
    recipes
        One a fold, as they were fitted.
    target
        What permutation is scored on.
    overlap_eras
        How many eras one target spans: scores of nearer eras are not independent.

    Returns
    -------
    pandas.DataFrame
        One row a fold and feature. ``gain``: share of the fold's total. ``drop``: how much CORR
        loses when the feature is shuffled inside each era, with its standard error; NaN where it
        was not shuffled, or the fold's models went by the cache limit.
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
    if any(recipe.latents for recipe in recipes):
        features.append(LATENTS)
    work = _Work(features, target, store, executor or Inline())
    gains = [work.gains(fits) for _, fits, _ in blocks]
    known = [gain for gain in gains if gain is not None]
    if not known:
        return pd.DataFrame(columns=list(COLUMNS))
    order = np.argsort(-np.mean(known, axis=0), kind="stable")
    shuffled = [features[number] for number in sorted(order[:N_SHUFFLED])]
    frames = []
    for number, ((fold, fits, eras), gain) in enumerate(zip(blocks, gains, strict=True)):
        progress(number, len(blocks))
        if gain is not None:
            drops = work.drops(fits, eras, shuffled)
            frames.append(_frame(fold, features, gain, shuffled, drops, overlap_eras))
    progress(len(blocks), len(blocks))
    return pd.concat(frames, ignore_index=True)


class _Work:
    """Asks the store first, and the executor for what is missing."""

    def __init__(
        self, features: Sequence[str], target: str, store: FoldStore, executor: Executor
    ) -> None:
        self._features, self._target = list(features), target
        self._store, self._executor = store, executor

    def gains(self, fits: Sequence[Fit]) -> npt.NDArray[np.float64] | None:
        """Share of gain by feature, averaged over a fold's fits; None where a model is gone."""
        found = []
        for fit in fits:
            known = self._store.find(_gain_key(fit)) is not None
            if not known and not self._store.has_model(fit.key):
                return None
            gains = gain_of(fit, self._store, self._executor)
            found.append(self._by_feature(fit.train.feature_names, gains))
        return np.mean(found, axis=0)

    def _by_feature(
        self, columns: Sequence[str], gains: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Of what the fit did not see, nothing; of all latents, one number."""
        place = {name: number for number, name in enumerate(self._features)}
        made = np.zeros(len(self._features))
        np.add.at(made, [place[_named(column)] for column in columns], gains)
        return made

    def drops(
        self, fits: Sequence[Fit], eras: Sequence[EraPanel], shuffled: list[str]
    ) -> npt.NDArray[np.float64]:
        """CORR lost, float64[n_eras, n_shuffled]; eras whose model is gone are left out."""
        by_fit = []
        for fit in fits:
            keys = [_drop_key(fit, era, self._target, shuffled) for era in eras]
            missing = [(era, key) for era, key in zip(eras, keys, strict=True) if self._lacks(key)]
            if missing and self._store.has_model(fit.key):
                self._run(_measure_drops, fit, missing, self._target, shuffled)
            nothing = [np.nan] * len(shuffled)
            by_fit.append([self._store.find(key) or nothing for key in keys])
        # Fits of one fold share its eras: they are averaged, not counted as more of them.
        table = np.array(by_fit, dtype=np.float64).reshape(len(fits), -1, len(shuffled))
        known = ~np.isnan(table).all(axis=(0, 2))
        if not known.any():
            return table[0, :0]
        counted = ~np.isnan(table[:, known])
        with np.errstate(invalid="ignore"):
            made = np.nan_to_num(table[:, known]).sum(axis=0) / counted.sum(axis=0)
        return np.asarray(made)

    def _lacks(self, key: dict[str, Any]) -> bool:
        return self._store.find(key) is None

    def _run(self, task: Any, fit: Fit, *arguments: Any) -> None:
        self._executor.run(
            task, fit, self._store, *arguments, progress=no_progress, planned_gb=fit.planned_gb
        )


def gain_of(fit: Fit, store: FoldStore, executor: Executor) -> npt.NDArray[np.float64]:
    """Share of gain of each feature that a fit saw; a fit that was never made is made for it."""
    key = _gain_key(fit)
    if store.find(key) is None:
        given = (fit, store, key)
        executor.run(_measure_gain, *given, progress=no_progress, planned_gb=fit.planned_gb)
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
    return LATENTS if column.startswith(LATENT) else column


def shuffled_drops(
    model: Model, era: EraPanel, target: str, shuffled: Sequence[str]
) -> list[float | None]:
    """CORR of one era less its CORR with each feature shuffled; None for one that is not seen.

    The order is drawn by the era's number alone: the same for every model and every run. Latents
    are shuffled together.
    """
    (number,) = era.eras
    rows, label = era.features(int(number)), era.target(target).astype(np.float64)
    known = ~np.isnan(label)
    rows, label = np.ascontiguousarray(rows[known]), label[known]
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
    return [one if name in of_name else None for name, one in zip(shuffled, lost, strict=True)]


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
        # Scores of overlapping targets: so many of them are about one independent score.
        together = max(1.0, overlap_eras / ERA_STRIDE)
        error = drops.std(axis=0, ddof=1 if len(drops) > 1 else 0) * np.sqrt(together / len(drops))
        rows = [features.index(name) for name in shuffled]
        frame.loc[rows, "drop"] = drops.mean(axis=0)
        frame.loc[rows, "drop_error"] = error if len(drops) > 1 else np.nan
    return frame[list(COLUMNS)]
