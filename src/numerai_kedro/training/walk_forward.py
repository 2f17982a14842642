"""Fit and predict fold by fold, each finished piece kept by its content.

What is fitted is keyed by the digests of its training eras (features and target), the parameters,
the family's version, the seed and the sampling; what is predicted, by that key and the features of
the predicted eras. So a new era adds one prediction, and no refit.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel

from numerai_kedro.incremental import FoldStore
from numerai_kedro.panel import EraPanel
from numerai_kedro.panel.walk_forward import Fold
from numerai_kedro.training.protocol import FitProgress, Model

logger = logging.getLogger(__name__)

# Gets folds done, with the part of the one that is being fitted, and folds in all.
Progress = Callable[[float, int], None]


@dataclass(frozen=True)
class Recipe:
    """All that decides a fit beside its eras.

    Parameters
    ----------
    family
        A class that follows `training.protocol.Model`.
    params
        The family's parameters.
    target
        Such as ``"target_ender_60"``; never the alias ``"target"``.
    era_stride
        Fit on every n-th training era, counted back from the newest: the resource plan's cut.
    seed, threads
        `threads` is no part of the key: it changes the time, and with deterministic histograms
        not the result.
    """

    name: str
    family: type[Model]
    params: BaseModel
    target: str
    era_stride: int
    seed: int
    threads: int

    def key(self, train: EraPanel) -> dict[str, Any]:
        """What a fit of this recipe is made of."""
        return self._made_of() | {"train": train.digest(targets=(self.target,))}

    def plan_key(self, eras: tuple[int, int], features: Sequence[str]) -> dict[str, Any]:
        """Under which a fit is known to be made before its data is there: by numbers and names."""
        place = {"eras": list(eras), "stride": self.era_stride, "features": list(features)}
        return {"fitted": self._made_of() | place}

    def _made_of(self) -> dict[str, Any]:
        return {
            "family": self.family.__name__,
            "version": self.family.version,
            "params": self.params.model_dump(mode="json"),
            "seed": self.seed,
            "target": self.target,
        }

    def training_panel(self, history: EraPanel, eras: tuple[int, int]) -> EraPanel:
        """Rows to learn from: resolved eras of the range, thinned by the stride."""
        first, last = eras
        resolved = history.resolved_eras(self.target)
        inside = resolved[(resolved >= first) & (resolved <= last)]
        return history.select(eras=inside[::-1][:: self.era_stride][::-1])


class StoredFit:
    """A fit that is made, or read, only when something asks for more than the store keeps of it.

    Attributes
    ----------
    train : EraPanel
        What it learns from.
    origin
        Where it came from, for the log.
    """

    def __init__(
        self,
        recipe: Recipe,
        history: EraPanel,
        eras: tuple[int, int],
        store: FoldStore,
        progress: FitProgress,
    ) -> None:
        self._recipe, self._eras, self._store, self._progress = recipe, eras, store, progress
        self.train = recipe.training_panel(history, eras)
        self._key = recipe.key(self.train)
        self.origin = "from the fold store"

    @functools.cached_property
    def model(self) -> Model:
        """The fitted model."""
        model = self._store.model(self._key, self._fit)
        self._store.value(self._recipe.plan_key(self._eras, self.train.feature_names), lambda: True)
        return model

    @property
    def n_iterations(self) -> int:
        """Trees or epochs."""
        return int(self._store.value(self._key, lambda: self.model.n_iterations))

    def predict_eras(self, test: EraPanel) -> npt.NDArray[np.float32]:
        """Era by era, so that one more resolved era predicts one era, not the fold again."""
        predictions = []
        for era in test.eras:
            panel = test.select(eras=[era])
            key = {"fit": self._key, "features": panel.digest()}
            predictions.append(
                self._store.predictions(key, lambda panel=panel: self.model.predict(panel))
            )
        return np.concatenate(predictions)

    def _fit(self) -> Model:
        self.origin = "fitted"
        recipe = self._recipe
        model = recipe.family(recipe.params, seed=recipe.seed, threads=recipe.threads)
        return model.fit(self.train, None, recipe.target, self._progress)


def walk_forward(
    history: EraPanel,
    folds: Sequence[Fold],
    recipe: Recipe,
    store: FoldStore,
    purge_eras: int,
    progress: Progress = lambda done, total: None,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Predict every fold's test eras by a model that knows nothing of them.

    Parameters
    ----------
    history : EraPanel
        Eras with features; only `recipe.target` is read of the targets, and only of training eras.
    folds
        In time order; each is checked against `purge_eras` again before it is fitted.
    store : FoldStore
        Where finished fits and predictions are found again.

    Returns
    -------
    pandas.DataFrame, dict
        Columns ``id``, ``era``, ``prediction`` (float32), rows as in the panel; and the number of
        iterations of each fold's model.

    Raises
    ------
    LeakError
        A fold's training eras come closer to its test eras than the purge allows.
    """
    pieces, iterations = [], {}
    for number, fold in enumerate(folds):
        fold.check_purge(purge_eras)
        progress(number, len(folds))
        fit = StoredFit(recipe, history, fold.train, store, _within(progress, number, len(folds)))
        test = history.select(eras=np.arange(fold.test[0], fold.test[1] + 1))
        pieces.append(_frame(test, fit.predict_eras(test)))
        iterations[fold.name] = fit.n_iterations
        logger.info(
            "%s, fold %s: eras %04d-%04d from %d eras up to %04d, %s",
            recipe.name,
            fold.name,
            *fold.test,
            len(fit.train.eras),
            fold.train[1],
            fit.origin,
        )
    progress(len(folds), len(folds))
    return pd.concat(pieces, ignore_index=True), iterations


def fit_live(
    history: EraPanel,
    eras: tuple[int, int],
    recipe: Recipe,
    store: FoldStore,
    progress: Progress = lambda done, total: None,
) -> Model:
    """Fit the model that predicts live, exactly as a fold that begins at the same grid era."""
    fit = StoredFit(recipe, history, eras, store, _within(progress, 0, 1))
    model = fit.model
    logger.info(
        "%s, live fit: %d eras up to %04d, %s",
        recipe.name,
        len(fit.train.eras),
        eras[1],
        fit.origin,
    )
    return model


def predictions_frame(model: Model, panel: EraPanel) -> pd.DataFrame:
    """Predict a panel; columns ``id``, ``era``, ``prediction``."""
    return _frame(panel, model.predict(panel))


def _within(progress: Progress, folds_done: int, n_folds: int) -> FitProgress:
    """Turn the steps of one fit into parts of a fold."""
    return lambda done, total: progress(folds_done + done / total, n_folds)


def _frame(panel: EraPanel, predictions: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": np.asarray(panel.ids(), dtype=object),
            "era": panel.era_of_rows().astype(np.int32),
            "prediction": predictions.astype(np.float32),
        }
    )
