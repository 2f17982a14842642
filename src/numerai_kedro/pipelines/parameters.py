"""The types of what stands in ``conf/base/parameters_*.yml``; what each does is said there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, model_validator

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.strict import Block, BlockType, Strict, read_block
from numerai_kedro.training.recipe import Option
from numerai_kedro.training.tuning.space import Range


class Stretches(Strict):
    """Borders of one size, in eras; they never move."""

    warm_up_end: int = Field(gt=0)
    tuning: tuple[int, int]
    tuning_fold_eras: int = Field(gt=0)
    judged_begin: int = Field(gt=0)
    judged_fold_eras: int = Field(gt=0)


class IngestionParams(Block):
    """Which data, and who may look at which of it."""

    tournament: Literal["demo", "numerai"]
    size: str
    feature_set: str
    neutral_feature_set: str
    target: str
    paid_target: str
    purge_eras: int = Field(ge=0)
    refit_eras: int = Field(gt=0)
    stretches: dict[str, Stretches]

    @property
    def borders(self) -> Stretches:
        """Of the data's own size."""
        return self.stretches[self.size]

    @model_validator(mode="after")
    def _stretches_keep_their_distance(self) -> IngestionParams:
        for size, one in self.stretches.items():
            begin, end = one.tuning
            borders = (one.warm_up_end + self.purge_eras < begin, begin <= end)
            if not (all(borders) and end + self.purge_eras < one.judged_begin):
                raise ConfigurationError(
                    f"stretches.{size}: warm-up, tuning and judged eras must follow each other in "
                    f"time with more than {self.purge_eras} eras (purge_eras) between"
                )
        return self


# Finished trials of a family where `n_trials` says auto, by the size of the data; the sizes named
# here are the quick ones, where `try_options: auto` tries none.
AUTO_TRIALS = {"tiny": 2, "demo": 8}
FULL_TRIALS = 60
# Why a model of the week does not run: the user wants it so.
SWITCHED_OFF = "switched off (enabled: false in parameters_gbm.yml)"


class ResourceParams(Block):
    """How much of the machine and of the day a run may take."""

    time_budget_hours: float | None = Field(default=None, gt=0)
    isolate_gb: float = Field(ge=0)
    stall_minutes: float = Field(gt=0)


class ModelParams(Block):
    """One model: whether it runs, what it learns from, where its parameters come from."""

    enabled: bool
    preset: str
    seed: int = Field(ge=0)
    device: Literal["auto", "cpu", "cuda"]
    era_stride: int = Field(gt=0)
    n_offsets: int = Field(gt=0)
    more_targets: tuple[str, ...]
    adaptive: bool
    n_trials: Literal["auto"] | NonNegativeInt
    try_options: Literal["auto"] | bool
    options: dict[str, Option]
    space: dict[str, Range]
    presets: dict[str, dict[str, float | int | str]]

    @model_validator(mode="after")
    def _preset_is_there(self) -> ModelParams:
        if self.preset not in self.presets:
            raise ConfigurationError(
                f'preset: "{self.preset}" is not among {", ".join(sorted(self.presets))}'
            )
        return self

    def chosen(self, kind: type[BlockType], name: str) -> BlockType:
        """Parameters of the preset that is in force, typed as model `name` types them."""
        return self._read(kind, name, self.preset)

    def all_presets(self, kind: type[BlockType], name: str) -> dict[str, BlockType]:
        """Every preset, the one in force first."""
        names = [self.preset, *(other for other in self.presets if other != self.preset)]
        return {one: self._read(kind, name, one) for one in names}

    def _read(self, kind: type[BlockType], name: str, preset: str) -> BlockType:
        return read_block(kind, f"{name}.presets.{preset}", self.presets[preset])

    def sampling(self) -> dict[str, bool | int | str]:
        """What the plan decides by; a plan that was made for other values is out of date."""
        return self.model_dump(include={"enabled", "device", "era_stride", "n_offsets"})

    def all_targets(self) -> set[str]:
        """What is learned beside the target, by the model itself and by its options."""
        return {
            target
            for targets in (self.more_targets, *(o.more_targets for o in self.options.values()))
            for target in targets or ()
        }

    def options_at(self, size: str) -> dict[str, Option]:
        """Other ways to make the model that a study of data of this size tries."""
        tried = size not in AUTO_TRIALS if self.try_options == "auto" else self.try_options
        return self.options if tried else {}

    def trials(self, size: str) -> int:
        """Finished trials that end a study of this model."""
        return AUTO_TRIALS.get(size, FULL_TRIALS) if self.n_trials == "auto" else self.n_trials


class SubmissionParams(Block):
    """Where predictions go, and whether they go at all."""

    slots: dict[str, str]
    upload: Literal["auto"] | bool
