"""The types of what stands in ``conf/base/parameters_*.yml``; what each does is said there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from numerai_kedro.compute.plan import MACHINES, lighter_presets
from numerai_kedro.data.verdict import Verdict
from numerai_kedro.errors import ConfigurationError
from numerai_kedro.features.discovery import DiscoveryRule
from numerai_kedro.features.stability import StabilityRule
from numerai_kedro.models.registry import family
from numerai_kedro.runtime.tournament_settings import NUMERAI_SIZE
from numerai_kedro.strict import Block, BlockType, Strict, read_block
from numerai_kedro.training.recipe import Option, Recipe, Transforms, Update
from numerai_kedro.training.transforms import LATENTS, own_of, verdict_use
from numerai_kedro.training.tuning.space import Range


class Borders(Strict):
    """Borders of one size, in eras; they never move."""

    warm_up_end: int = Field(gt=0)
    validation: tuple[int, int]
    validation_fold_eras: int = Field(gt=0)
    valid_eras: int = Field(gt=0)
    test_begin: int = Field(gt=0)
    test_fold_eras: int = Field(gt=0)


class IngestionParams(Block):
    """Which data, and who may look at which of it."""

    size: str
    feature_set: str
    neutral_feature_set: str
    target: str
    paid_target: str
    purge_eras: int = Field(ge=0)
    refit_eras: int = Field(gt=0)
    recheck_days: float = Field(ge=0)
    periods: dict[str, Borders]

    @property
    def tournament(self) -> Literal["demo", "numerai"]:
        """Whose sizes this is one of; `find_round` holds it to the connection."""
        return "numerai" if self.size == NUMERAI_SIZE else "demo"

    @property
    def borders(self) -> Borders:
        """Of the data's own size."""
        return self.periods[self.size]

    @model_validator(mode="after")
    def _periods_keep_their_distance(self) -> IngestionParams:
        for size, one in self.periods.items():
            begin, end = one.validation
            borders = (one.warm_up_end + self.purge_eras < begin, begin <= end)
            if not (all(borders) and end + self.purge_eras < one.test_begin):
                raise ConfigurationError(
                    f"periods.{size}: warm-up, validation and test eras must follow each other in "
                    f"time with more than {self.purge_eras} eras (purge_eras) between"
                )
        return self


# Sizes on which `try_options: auto` tries none.
QUICK_SIZES = ("tiny", "demo")
OTHERWISE = "otherwise"  # what stands for every size that is not named
# The preset that is chosen by the machine, from those in `compute.plan.MACHINES`.
BY_MACHINE = "auto"
# Why a model of the week does not run: the user wants it so.
SWITCHED_OFF = "switched off (enabled: false)"


class ResourceParams(Block):
    """How much of the machine and of the day a run may take."""

    time_budget_hours: float | None = Field(default=None, gt=0)
    isolate_gb: float = Field(ge=0)
    stall_minutes: float = Field(gt=0)
    hybrid: bool = True


class ModelParams(Block):
    """One model: whether it runs, what it learns from, where its parameters come from."""

    # Of a model of one's own: the dotted path of its class, and a digest of the code behind it.
    class_path: str | None = Field(default=None, validation_alias="type")
    source: str | None = None
    enabled: bool
    preset: str
    seed: int = Field(ge=0)
    device: Literal["auto", "cpu", "cuda"]
    era_stride: int = Field(gt=0)
    n_offsets: int = Field(gt=0)
    more_targets: tuple[str, ...]
    adaptive: bool
    update: Update = "none"
    features: Transforms
    n_trials: NonNegativeInt | dict[str, NonNegativeInt]
    try_options: Literal["auto"] | bool
    options: dict[str, Option]
    space: dict[str, Range]
    presets: dict[str, dict[str, float | int | str | tuple[str, ...]]]

    @model_serializer(mode="wrap")
    def _without_what_built_in_models_lack(
        self, serialise: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        values: dict[str, Any] = serialise(self)
        own = ("class_path", "source")
        return {k: v for k, v in values.items() if k not in own or v is not None}

    @model_validator(mode="after")
    def _preset_is_there(self) -> ModelParams:
        names = MACHINES if self.preset == BY_MACHINE else (self.preset,)
        for preset in names:
            if preset not in self.presets:
                raise ConfigurationError(
                    f'preset: "{preset}" is not among {", ".join(sorted(self.presets))}'
                )
        return self

    @model_validator(mode="after")
    def _trials_are_for_every_size(self) -> ModelParams:
        if isinstance(self.n_trials, dict) and OTHERWISE not in self.n_trials:
            raise ConfigurationError(f"n_trials: {OTHERWISE} is missing, for the other sizes")
        return self

    def preset_in(self, decided: dict[str, Any]) -> str:
        """Name of the active preset; by a plan's decision where the machine chooses."""
        return str(decided["preset"]) if self.preset == BY_MACHINE else self.preset

    def chosen(self, kind: type[BlockType], name: str, preset: str) -> BlockType:
        """Parameters of the active preset, typed as model `name` types them."""
        return self._read(kind, name, preset)

    def all_presets(self, kind: type[BlockType], name: str, first: str) -> dict[str, BlockType]:
        """Every preset that this machine may be asked for, the active one first."""
        names = [first, *(other for other in self.presets if other != first)]
        if self.preset == BY_MACHINE:
            names = [first, *lighter_presets(first)]
        return {preset: self._read(kind, name, preset) for preset in names}

    def _read(self, kind: type[BlockType], name: str, preset: str) -> BlockType:
        return read_block(kind, f"{name}.presets.{preset}", self.presets[preset])

    def sampling(self) -> dict[str, bool | int | str]:
        """What the plan decides by; a plan that was made for other values is out of date."""
        return self.model_dump(include={"enabled", "device", "era_stride", "n_offsets"})

    def all_targets(self) -> set[str]:
        """What is learned beside the target, by the model itself, its options and its heads."""
        heads: Iterator[Any] = (preset.get("more_heads") for preset in self.presets.values())
        options = (option.more_targets for option in self.options.values())
        return {t for targets in (self.more_targets, *options, *heads) for t in targets or ()}

    def options_at(self, size: str) -> dict[str, Option]:
        """Other ways to make the model that a study of data of this size tries."""
        tried = size not in QUICK_SIZES if self.try_options == "auto" else self.try_options
        return self.options if tried else {}

    def engineered_by(
        self,
        size: str,
        features: FeatureParams,
        vae: EncoderParams,
        graph: GraphParams | None,
        own_transforms: Mapping[str, str],
    ) -> dict[str, Any]:
        """Parameters of feature engineering that decide what the model may come to.

        Parameters
        ----------
        graph
            None for a family that reads none.
        own_transforms
            Digests of the code of the user's own transformations.
        """
        ways: list[ModelParams | Option] = [self, *self.options_at(size).values()]
        transforms = {name for way in ways for name in way.features or ()}
        decisive: dict[str, Any] = {}
        if verdict_use(transforms) is not None:
            decisive["features"] = features.decisive()
        if LATENTS in transforms:
            decisive["vae"] = vae.model_dump(mode="json", exclude={"enabled"})
        if graph is not None:
            decisive["graph"] = graph.model_dump(mode="json", exclude={"control_folds"})
        own = sorted(own_of(transforms))
        return decisive | ({"own": {name: own_transforms[name] for name in own}} if own else {})

    def trials(self, size: str) -> int:
        """Finished trials that end a study of this model."""
        if isinstance(self.n_trials, int):
            return self.n_trials
        return self.n_trials.get(size, self.n_trials[OTHERWISE])


class EncoderParams(Block):
    """The autoencoder that makes latents; see parameters_feature_engineering.yml."""

    enabled: bool
    preset: str
    seed: int = Field(ge=0)
    device: Literal["auto", "cpu", "cuda"]
    era_stride: int = Field(gt=0)
    presets: dict[str, dict[str, float | int | str | tuple[str, ...]]]

    def as_model(self) -> ModelParams:
        """As the plan and recipes see it: a model that is never tuned."""
        return ModelParams(
            **self.model_dump(),
            n_offsets=1,
            more_targets=(),
            adaptive=False,
            features=(),
            n_trials=0,
            try_options=False,
            options={},
            space={},
        )


class StabilityParams(Strict):
    """Which features LightGBM prefers on most halves of the eras."""

    pairs: int = Field(ge=0)
    by_chance: float = Field(gt=0)
    threshold: float = Field(gt=0.5, le=1)
    n_trees: int = Field(gt=0)
    max_depth: int = Field(gt=1)
    era_stride: int = Field(gt=0)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _bound_is_one(self) -> StabilityParams:
        if self.pairs and 2 * self.threshold - 1 <= 1 / (2 * self.pairs):
            raise ConfigurationError(
                f"stability.pairs: {self.pairs} are too few for threshold: {self.threshold}: "
                "nothing would bound what passes by chance"
            )
        return self

    def rule(self, gap: int) -> StabilityRule:
        """With blocks so long that halves share few targets."""
        return StabilityRule(self.pairs, self.by_chance, self.threshold, 2 * gap, self.seed)

    def recipe(self, target: str, threads: int) -> Recipe:
        """The cheap trees whose gain selects."""
        kind = family("lightgbm")
        params = kind.params_type.model_validate(
            {
                "n_estimators": self.n_trees,
                "learning_rate": 0.1,
                "max_depth": self.max_depth,
                "num_leaves": 2**self.max_depth,
                "colsample_bytree": 0.1,
                "min_data_in_leaf": 20,
                "lambda_l2": 0.0,
                "path_smooth": 0.0,
                "strength": 0.0,
            }
        )
        stride = self.era_stride
        return Recipe("lightgbm", kind, params, (target,), stride, 1, self.seed, threads)


class FeatureParams(Block):
    """What is asked of an effect, and what a verdict counts for."""

    q: float = Field(gt=0, lt=1)
    n_regimes: int = Field(ge=2)
    least_regimes: int = Field(ge=2)
    alike: float = Field(gt=0, le=1)
    ridge: float = Field(gt=0)
    weights: dict[Verdict, float]
    trend_eras: int = Field(gt=0)
    stability: StabilityParams

    @model_validator(mode="after")
    def _weights_are_for_every_verdict(self) -> FeatureParams:
        missing = sorted({*Verdict} - {*self.weights})
        if missing or any(weight < 0 for weight in self.weights.values()):
            raise ConfigurationError(
                f"weights: {', '.join(missing) or 'one below 0'}: every verdict needs a weight, "
                "0 or more"
            )
        if self.least_regimes > self.n_regimes:
            raise ConfigurationError(
                f"least_regimes: {self.least_regimes} is more than n_regimes: {self.n_regimes}"
            )
        return self

    def decisive(self) -> dict[str, Any]:
        """What decides verdicts and weights."""
        unused = {"trend_eras"} | (set() if self.stability.pairs else {"stability"})
        return self.model_dump(mode="json", exclude=unused)

    def rule(self, gap: int, overlap_eras: int) -> DiscoveryRule:
        """For targets that overlap so many eras, with so many left out between regimes."""
        return DiscoveryRule(
            q=self.q,
            n_regimes=self.n_regimes,
            least=self.least_regimes,
            gap=gap,
            overlap_eras=overlap_eras,
            alike=self.alike,
            ridge=self.ridge,
        )


class GraphParams(Block):
    """The graph of the features, and whether its worth is measured."""

    neighbours: int = Field(gt=0)
    control_folds: NonNegativeInt


SLOT_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
SHOWN_LETTERS = 40


class Slot(Strict):
    """A model of the account, and what feeds it."""

    feeds: str
    model_id: str | None = None


class SubmissionParams(Block):
    """Where predictions go, and whether they go at all."""

    slots: dict[str, Slot]
    upload: Literal["auto"] | bool
    late: Literal["refuse", "queue"]
    unfamiliar_rule: Literal["submit", "refuse"]

    @field_validator("slots", mode="before")
    @classmethod
    def _short_form(cls, slots: Any) -> Any:
        """``my_model: ensemble`` is short for ``my_model: {feeds: ensemble}``."""
        if not isinstance(slots, dict):
            return slots
        return {
            name: {"feeds": slot} if isinstance(slot, str) else slot for name, slot in slots.items()
        }

    @field_validator("slots", mode="after")
    @classmethod
    def _can_name_files(cls, slots: dict[str, Slot]) -> dict[str, Slot]:
        """A slot names csv, receipt and decision: it is no path, no markup, and not long."""
        for name in slots:
            if not SLOT_NAME.fullmatch(name):
                shown = repr(name if len(name) <= SHOWN_LETTERS else f"{name[:SHOWN_LETTERS]}…")
                raise ValueError(
                    f'{shown} cannot name a slot: letters, digits, "_" and "-", at most 80 of them'
                )
        return slots

    @property
    def feeds(self) -> dict[str, str]:
        """What feeds each slot."""
        return {name: slot.feeds for name, slot in self.slots.items()}

    @property
    def model_ids(self) -> dict[str, str]:
        """Ids of the models, of those slots that say theirs."""
        return {name: slot.model_id for name, slot in self.slots.items() if slot.model_id}
