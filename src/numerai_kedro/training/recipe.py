"""All that decides a fit beside its eras, and the fits that a recipe is made of."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from numerai_kedro.incremental import FoldStore
from numerai_kedro.panel import EraPanel
from numerai_kedro.strict import Strict
from numerai_kedro.training.protocol import FitProgress, Model

logger = logging.getLogger(__name__)


class Option(Strict):
    """Another way to make the same model; what is None stays as it is."""

    era_stride: int | None = Field(default=None, gt=0)
    n_offsets: int | None = Field(default=None, gt=0)
    more_targets: tuple[str, ...] | None = None
    adaptive: bool | None = None


@dataclass(frozen=True)
class Recipe:
    """How a model is made.

    One recipe may be several fits, whose predictions are averaged: one for each target and, where
    a fit takes every n-th era, one for each offset asked for.

    Parameters
    ----------
    family
        A class that follows `training.protocol.Model`.
    params
        The family's parameters.
    targets
        Such as ``("target_ender_60",)``; never the alias ``"target"``.
    era_stride
        A fit learns from every n-th training era, counted back from the newest.
    n_offsets
        How many of the `era_stride` possible offsets are fitted and averaged.
    seed, threads, device
        `threads` is no part of the key: it changes the time. A GPU is: there CatBoost takes all
        columns.
    adaptive
        Whether each fit finds its own strength (`training.adaptive`), which `params` then get.
    """

    name: str
    family: type[Model]
    params: Any
    targets: tuple[str, ...]
    era_stride: int
    n_offsets: int
    seed: int
    threads: int
    device: str = "cpu"
    adaptive: bool = False

    def fits(self, history: EraPanel, eras: tuple[int, int], keep: bool = True) -> list[Fit]:
        """The fits of this recipe on the eras of a range that have their target."""
        return [
            Fit(self, target, _thinned(history, eras, target, self.era_stride, offset), keep)
            for target, offset in self.members()
        ]

    def members(self) -> Iterator[tuple[str, int]]:
        """Target and offset of each fit."""
        for target in self.targets:
            for offset in range(min(self.n_offsets, self.era_stride)):
                yield target, offset

    def thinned(self, era_stride: int) -> Recipe:
        """The same on every `era_stride`-th era, where it does not take fewer already."""
        return dataclasses.replace(self, era_stride=max(self.era_stride, era_stride))

    def with_params(self, params: Any) -> Recipe:
        """The same with other parameters."""
        return dataclasses.replace(self, params=params)

    def with_option(self, option: Option) -> Recipe:
        """The same made in another way, which never takes more eras at once: they may not fit."""
        changed = self if option.era_stride is None else self.thinned(option.era_stride)
        given: dict[str, Any] = {"n_offsets": option.n_offsets, "adaptive": option.adaptive}
        if option.more_targets is not None:
            given["targets"] = tuple(dict.fromkeys((self.targets[0], *option.more_targets)))
        known = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(changed, **known)

    def made_of(self, target: str) -> dict[str, Any]:
        """What decides a fit, its rows aside."""
        return {
            "family": self.family.__name__,
            "version": self.family.version,
            "params": self.params.model_dump(mode="json"),
            "seed": self.seed,
            "target": target,
        } | ({} if self.device == "cpu" else {"device": self.device})

    def plan_keys(self, eras: tuple[int, int], features: Sequence[str]) -> list[dict[str, Any]]:
        """Under which fits are known to be made before their data is there: numbers and names."""
        return [self._plan_key(target, offset, eras, features) for target, offset in self.members()]

    def _plan_key(
        self, target: str, offset: int, eras: tuple[int, int], features: Sequence[str]
    ) -> dict[str, Any]:
        made_of = self.made_of(target)
        if self.adaptive:  # found in the data
            made_of["params"].pop("strength")
        place = {"eras": list(eras), "stride": [self.era_stride, offset]}
        return {"fitted": made_of | place | {"features": list(features)}}


def _thinned(
    history: EraPanel, eras: tuple[int, int], target: str, stride: int, offset: int
) -> EraPanel:
    """Rows to learn from: resolved eras of the range, every n-th back from the newest."""
    resolved = history.resolved_eras(target)
    inside = resolved[(resolved >= eras[0]) & (resolved <= eras[1])]
    return history.select(eras=inside[::-1][offset::stride][::-1])


@dataclass(frozen=True)
class Fit:
    """One fit: a recipe, one target, and the rows to learn from.

    Parameters
    ----------
    keep
        Whether the fitted model itself is kept; a trial's is not, its predictions are.
    """

    recipe: Recipe
    target: str
    train: EraPanel
    keep: bool = True

    @property
    def key(self) -> dict[str, Any]:
        """What the fitted model is made of."""
        digest = self.train.digest(targets=(self.target,))
        return self.recipe.made_of(self.target) | {"train": digest}

    @property
    def planned_gb(self) -> float:
        """Memory that the fit should need."""
        cost = self.recipe.family.cost(
            self.recipe.params, self.train.n_rows, len(self.train.feature_names)
        )
        return cost.memory_gb

    def model(self, store: FoldStore, progress: FitProgress) -> Model:
        """The fitted model, from the store where it is kept there."""

        def fit() -> Model:
            device = self.recipe.device
            try:
                return self._fitted_on(device, store, progress)
            except Exception as error:
                if device == "cpu":
                    raise
                reason = " ".join(str(error).split())
                logger.warning("%s: fitted on the CPU: the GPU says %s", self.recipe.name, reason)
                return self._fitted_on("cpu", store, progress)

        model = store.model(self.key, fit) if self.keep else fit()
        store.value(self.key, lambda: model.n_iterations)
        return model

    def _fitted_on(self, device: str, store: FoldStore, progress: FitProgress) -> Model:
        recipe = self.recipe
        model = recipe.family(
            recipe.params, seed=recipe.seed, threads=recipe.threads, device=device
        )
        return model.fit(self.train, None, self.target, progress, store)

    def n_iterations(self, store: FoldStore) -> int | None:
        """Trees or epochs; None where it was never fitted."""
        kept = store.find(self.key)
        return None if kept is None else int(kept)

    def stored_predictions(
        self, pieces: Sequence[EraPanel], store: FoldStore
    ) -> npt.NDArray[np.float32] | None:
        """Predictions of the pieces, one after another; None where one is missing."""
        found = []
        for piece in pieces:
            kept = store.find_predictions(self.prediction_key(piece))
            if kept is None:
                return None
            found.append(kept)
        return np.concatenate(found) if found else np.empty(0, np.float32)

    def prediction_key(self, piece: EraPanel) -> dict[str, Any]:
        """What the predictions of a piece are made of."""
        return {"fit": self.key, "features": piece.digest()}
