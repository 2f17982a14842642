"""What trials are judged on, and what one family's study tries."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import Field

from numerai_kedro.panel import EraPanel
from numerai_kedro.panel.walk_forward import Fold, walk_forward_folds
from numerai_kedro.strict import Block, Strict
from numerai_kedro.training.adaptive import AdaptiveParams
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.tuning.space import Space


class Weights(Strict):
    """What CORR and MMC are paid."""

    corr: float = Field(ge=0)
    mmc: float = Field(ge=0)


class TuningParams(Block):
    """How every family is tuned; see parameters_tuning.yml."""

    scout_stride: int = Field(gt=0)
    scout_trees: int = Field(gt=0)
    risk_aversion: float = Field(ge=0)
    adopt_level: float = Field(gt=0.5, lt=1)
    retune_weeks: int = Field(gt=0)
    weights: Weights
    adaptive: AdaptiveParams
    seed: int = Field(ge=0)


@dataclass(frozen=True)
class Ground:
    """What trials are judged on, the same for every family.

    Parameters
    ----------
    history : EraPanel
        Only the features that models learn.
    folds : dict
        As the entry `folds` holds them.
    benchmark : pandas.Series
        The paid target's benchmark predictions, by id.
    weights : (float, float)
        The round's multipliers of CORR and MMC.
    overlap_eras
        How many eras the paid target spans.
    """

    history: EraPanel
    folds: Mapping[str, Any]
    benchmark: pd.Series
    weights: tuple[float, float]
    overlap_eras: int

    @property
    def live_era(self) -> int:
        """The era that predictions are made for."""
        return int(self.folds["history"][1]) + 1

    def next_fold_begin(self) -> int:
        """First era of the first judged fold that no resolved era has reached yet."""
        first, frontier = self.folds["stretches"]["judged"]
        fold_eras = self.folds["judged_fold_eras"]
        return int(first + fold_eras * ((frontier - first) // fold_eras + 1))

    def tuning_folds(self, first_era: int) -> list[Fold]:
        """Folds of the tuning stretch, and of judged eras a purge before `first_era`."""
        folds = [Fold(f["name"], tuple(f["train"]), tuple(f["test"])) for f in self.folds["tuning"]]
        first, frontier = self.folds["stretches"]["judged"]
        purge = self.folds["purge_eras"]
        last = min(first_era - purge - 1, frontier)
        if last >= first:
            fold_eras = folds[0].test[1] - folds[0].test[0] + 1
            folds += walk_forward_folds((first, last), fold_eras, purge, "tuning-judged")
        return folds


@dataclass(frozen=True)
class Search:
    """What one family's study tries.

    Parameters
    ----------
    recipe : Recipe
        With the parameters of the preset that the user chose.
    presets : dict
        Parameters by name; the one in force first.
    space : dict
        Ranges by parameter.
    n_trials
        Finished trials that end a study; 0 never tunes.
    """

    recipe: Recipe
    presets: Mapping[str, Any]
    space: Space
    n_trials: int


def scout_of(recipe: Recipe, params: Any, tuning: TuningParams) -> Recipe:
    """The cheap fit by which a trial judges parameters."""
    stride = max(tuning.scout_stride, recipe.era_stride)
    scout = params.scouted(tuning.scout_trees, recipe.era_stride / stride)
    return dataclasses.replace(recipe, params=scout, era_stride=stride, n_offsets=1)


def plan_key(
    recipe: Recipe,
    n_trials: int,
    tuning: TuningParams,
    space: Space,
    presets: Mapping[str, Any],
) -> dict[str, Any]:
    """Under which a study is known to be done before its data is there."""
    return {
        "tuned": [recipe.made_of(target) for target in recipe.targets],
        "n_trials": n_trials,
        "tuning": tuning.model_dump(mode="json"),
        "space": {name: one.model_dump() for name, one in space.items()},
        "presets": {name: one.model_dump(mode="json") for name, one in presets.items()},
    }
