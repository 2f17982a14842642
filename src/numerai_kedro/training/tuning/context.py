"""What trials are scored on, and what one family's study tries."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from pydantic import Field

from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Fold, Folds, walk_forward_folds
from numerai_kedro.strict import Block, Strict
from numerai_kedro.training.adaptive import AdaptiveParams
from numerai_kedro.training.engineered import Engineered
from numerai_kedro.training.recipe import Option, Recipe
from numerai_kedro.training.tuning.space import Space


class Weights(Strict):
    """Payout multipliers of CORR and MMC."""

    corr: float = Field(ge=0)
    mmc: float = Field(ge=0)


class TuningParams(Block):
    """How every family is tuned; see parameters_tuning.yml."""

    low_fidelity_stride: int = Field(gt=0)
    low_fidelity_trees: int = Field(gt=0)
    risk_aversion: float = Field(ge=0)
    adopt_level: float = Field(gt=0.5, lt=1)
    max_overfitting: float = Field(gt=0, le=1)
    retune_weeks: int = Field(gt=0)
    weights: Weights
    adaptive: AdaptiveParams
    seed: int = Field(ge=0)


@dataclass(frozen=True)
class Calendar:
    """When a study is due, and on which folds; needs no data.

    Parameters
    ----------
    folds : Folds
        Of this week.
    """

    folds: Folds

    def next_fold_begin(self) -> int:
        """First era of the first test fold that no resolved era has reached yet."""
        first, frontier = self.folds.periods.test
        fold_eras = self.folds.test_fold_eras
        return first + fold_eras * ((frontier - first) // fold_eras + 1)

    def validation_folds(self, first_era: int) -> list[Fold]:
        """Folds of the validation period, and of test eras a purge before `first_era`."""
        folds = list(self.folds.validation)
        first, frontier = self.folds.periods.test
        purge = self.folds.purge_eras
        last = min(first_era - purge - 1, frontier)
        if last >= first:
            fold_eras = folds[0].test[1] - folds[0].test[0] + 1
            folds += walk_forward_folds((first, last), fold_eras, purge, "retuning")
        return folds

    def is_due(self, last: Mapping[str, Any], retune_weeks: int) -> bool:
        """True after `retune_weeks`, once all eras that the next fold may learn are resolved.

        So the folds of a re-tuning do not depend on the week in which it runs.
        """
        weeks = self.folds.live_era - int(last["tuned_for"])
        begin = self.next_fold_begin()
        frontier = self.folds.periods.test[1]
        whole = frontier >= begin - self.folds.purge_eras - 1
        return weeks >= retune_weeks and begin > int(last["first_era"]) and whole


@dataclass(frozen=True)
class TuningContext:
    """What trials are scored on, the same for every family.

    Parameters
    ----------
    history : EraPanel
        Only the features that models learn.
    folds : Folds
        Of this week.
    benchmark : pandas.Series
        The paid target's benchmark predictions, by id.
    weights : (float, float)
        The round's multipliers of CORR and MMC.
    overlap_eras
        How many eras the paid target spans.
    engineered
        Results of feature engineering by window.
    """

    history: EraPanel
    folds: Folds
    benchmark: pd.Series
    weights: tuple[float, float]
    overlap_eras: int
    engineered: Engineered = field(default_factory=Engineered)

    @property
    def calendar(self) -> Calendar:
        """When and on which folds."""
        return Calendar(self.folds)


@dataclass(frozen=True)
class Search:
    """What one family's study tries.

    Parameters
    ----------
    recipe : Recipe
        Has the parameters of the preset that the user chose.
    presets : dict
        Parameters by name; the incumbent first.
    space : dict
        Ranges by parameter.
    n_trials
        Number of finished trials of a study; 0 for no tuning.
    options : dict
        Variations of the recipe by name, compared once the parameters are chosen.
    """

    recipe: Recipe
    presets: Mapping[str, Any]
    space: Space
    n_trials: int
    options: Mapping[str, Option] = field(default_factory=dict)

    def plan_key(self, tuning: TuningParams) -> dict[str, Any]:
        """Key of its decisions for plans, computed before any data is loaded."""
        recipe = self.recipe
        return {
            "tuned": [recipe.cache_key(target) for target in recipe.targets],
            "made": [recipe.name, recipe.era_stride, recipe.n_offsets, recipe.adaptive],
            "engineered": [list(recipe.transforms), recipe.engineered_by],
            "n_trials": self.n_trials,
            "tuning": tuning.model_dump(mode="json"),
            "space": {name: span.model_dump() for name, span in self.space.items()},
            "presets": {
                name: preset.model_dump(mode="json") for name, preset in self.presets.items()
            },
            "options": {
                name: option.model_dump(mode="json") for name, option in self.options.items()
            },
        }


def low_fidelity_trial(recipe: Recipe, params: Any, tuning: TuningParams) -> Recipe:
    """The cheap fit that a trial scores."""
    stride = max(tuning.low_fidelity_stride, recipe.era_stride)
    cheap = params.low_fidelity(tuning.low_fidelity_trees, recipe.era_stride / stride)
    return dataclasses.replace(recipe, params=cheap, era_stride=stride, n_offsets=1)


def low_fidelity_option(recipe: Recipe, tuning: TuningParams) -> Recipe:
    """The cheaper fit that scores an option: fewer trees, all of its eras."""
    return recipe.with_params(recipe.params.low_fidelity(tuning.low_fidelity_trees, 1.0))
