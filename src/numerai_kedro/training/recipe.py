"""All that decides a fit besides its eras, and the fits that a recipe is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from numerai_kedro.cache import FoldStore, code_of, is_of_other_code
from numerai_kedro.compute.recovery import noted
from numerai_kedro.data import EraPanel, JoinedPanel
from numerai_kedro.data.folds import Fold
from numerai_kedro.errors import NumeraiKedroError, ProcessDied, ResourceError
from numerai_kedro.files import digest_json
from numerai_kedro.strict import Strict
from numerai_kedro.training.protocol import (
    Cost,
    EarlyStoppingSplit,
    FitContext,
    FitProgress,
    Model,
    no_progress,
)

if TYPE_CHECKING:
    from numerai_kedro.data.feature_graph import FeatureGraph

# How a model that was fitted learns the eras that came after: not at all, or by adapters (LoRA).
Update = Literal["none", "lora"]
# What no GPU raises.
BUGS = (TypeError, AttributeError, LookupError, AssertionError, ImportError)
CALLED = ("predict", "predict_rows")  # of a fitted model
UPDATE_ERAS = 52  # newest eras that an update learns from


# How verdicts of features (`features.discovery`) are used: all features are kept, all but the
# unstable, all but those and the null, or all, each by a weight.
VerdictUse = Literal["keep_all", "drop_unstable", "keep_confirmed", "weigh"]


@dataclass(frozen=True)
class Columns:
    """What of the features, and what beside them, the fits of one training window see.

    Parameters
    ----------
    features
        Names; None for all.
    weights
        How much each of them counts; none where all count alike.
    latents : EraPanel
        Of an encoder that learned no era after the window; None where none are used.
    graph : FeatureGraph
        From the window's eras alone; None for a family that reads none.
    """

    features: tuple[str, ...] | None = None
    weights: tuple[float, ...] = ()
    latents: EraPanel | None = None
    graph: FeatureGraph | None = None

    def of(self, history: EraPanel) -> EraPanel:
        """The panel that fits see: eras for which there are latents, where those are used."""
        chosen = history if self.features is None else history.select(features=self.features)
        if self.latents is None:
            return chosen
        known = np.intersect1d(history.eras, self.latents.eras)
        return JoinedPanel(chosen.select(eras=known), self.latents)


ALL_COLUMNS = Columns()


class Option(Strict):
    """Another way to make the same model; what is None stays as it is."""

    era_stride: int | None = Field(default=None, gt=0)
    n_offsets: int | None = Field(default=None, gt=0)
    more_targets: tuple[str, ...] | None = None
    adaptive: bool | None = None
    update: Update | None = None
    verdicts: VerdictUse | None = None
    latents: bool | None = None


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
    valid_eras, purge_eras
        Of a family that stops early: so many of the newest eras say when, apart from what is
        learned by then.
    groups
        Features by official group, for a family that reads them.
    update, update_every
        Between full fits a fitted model learns the newest eras, every so many of them.
    verdicts, latents
        What is asked of feature engineering.
    engineered_by
        Identity of the parameters by which that is made.
    columns
        What that comes to for the training window of the fits to be made (`engineered.Engineered`).
    code
        Digest of the code that fits and predicts; by default as it is now.
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
    valid_eras: int = 0
    purge_eras: int = 0
    groups: tuple[tuple[str, ...], ...] = ()
    update: Update = "none"
    update_every: int = 0
    verdicts: VerdictUse = "keep_all"
    latents: bool = False
    engineered_by: str = ""
    columns: Columns = ALL_COLUMNS
    code: str = ""

    def __post_init__(self) -> None:
        """Find the digest of the code, where none is given: a process of a fit gets it."""
        if not self.code:
            object.__setattr__(self, "code", code_of_fits(self.family))

    def fits(
        self,
        history: EraPanel,
        eras: tuple[int, int],
        keep: bool = True,
        updated_to: int | None = None,
    ) -> list[Fit]:
        """The fits of this recipe on the eras of a range that have their target.

        Parameters
        ----------
        updated_to
            The newest era that an update of each fit learns from; None without updates.
        """
        made, seen = [], self.columns.of(history)
        for target, offset in self.members():
            # What is updated is kept even for a trial: every part of a fold begins with it.
            base = keep or self.update != "none"
            fit = Fit(self, target, self._thinned(history, seen, eras, target, offset), base)
            if updated_to is not None:
                newest = (updated_to - UPDATE_ERAS + 1, updated_to)
                learned = self._thinned(history, seen, newest, target, offset)
                fit = Fit(self, target, learned, keep, base=fit)
            made.append(fit)
        return made

    def steps(self, fold: Fold) -> list[tuple[Fold, int | None]]:
        """A fold cut at its updates: each part, and the newest era that its update learns from."""
        if self.update == "none":
            return [(fold, None)]
        cut = range(fold.test[0], fold.test[1] + 1, self.update_every)
        parts = []
        for begin in cut:
            test = (begin, min(begin + self.update_every - 1, fold.test[1]))
            newest = None if begin == fold.test[0] else begin - self.purge_eras - 1
            parts.append((Fold(fold.name, fold.train, test), newest))
        return parts

    def _thinned(
        self,
        history: EraPanel,
        seen: EraPanel,
        eras: tuple[int, int],
        target: str,
        offset: int,
    ) -> EraPanel:
        """Rows to learn from: resolved eras of the range, every n-th back from the newest.

        An era of them that is not among what is seen is an error, not one era less.
        """
        resolved = history.resolved_eras(target)
        inside = resolved[(resolved >= eras[0]) & (resolved <= eras[1])]
        return seen.select(eras=inside[::-1][offset :: self.era_stride][::-1])

    @property
    def stop(self) -> EarlyStoppingSplit | None:
        """By which eras fits decide when to stop."""
        n_eras = self.valid_eras // self.era_stride
        return EarlyStoppingSplit(n_eras, self.purge_eras) if self.family.stops_early else None

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
        given: dict[str, Any] = option.model_dump(
            include={"n_offsets", "adaptive", "update", "verdicts", "latents"}
        )
        if option.more_targets is not None:
            given["targets"] = tuple(dict.fromkeys((self.targets[0], *option.more_targets)))
        known = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(changed, **known)

    def cache_key(self, target: str) -> dict[str, Any]:
        """What decides a fit, its rows aside."""
        made = {
            "family": self.family.__name__,
            "code": self.code,
            "params": self.params.model_dump(mode="json"),
            "seed": self.seed,
            "target": target,
        } | ({} if self.device == "cpu" else {"device": self.device})
        if self.family.stops_early:
            made["held_back"] = [self.valid_eras, self.purge_eras]
        if self.family.reads_groups:
            made["groups"] = digest_json(self.groups)
        if self.columns.weights:
            made["weights"] = digest_json(self.columns.weights)
        if self.columns.graph is not None:
            made["graph"] = self.columns.graph.digest
        return made

    def cost(self, n_rows: int, n_features: int) -> Cost:
        """What a fit of this size needs on the recipe's device."""
        return cost_on(self.device, self.family, self.params, n_rows, n_features)

    def plan_keys(self, eras: tuple[int, int], features: Sequence[str]) -> list[dict[str, Any]]:
        """Under which fits are known to be made before their data is there: numbers and names."""
        return [self._plan_key(target, offset, eras, features) for target, offset in self.members()]

    def _plan_key(
        self, target: str, offset: int, eras: tuple[int, int], features: Sequence[str]
    ) -> dict[str, Any]:
        key = self.cache_key(target)
        # Found in the data.
        for name in ("weights", "graph"):
            key.pop(name, None)
        if self.adaptive:
            key["params"].pop("strength")
        if self.verdicts != "keep_all" or self.latents or self.family.reads_graph:
            key["engineered"] = [self.verdicts, self.latents, self.engineered_by]
        place = {"eras": list(eras), "stride": [self.era_stride, offset]}
        return {"fitted": key | place | {"features": list(features)}}


def cost_on(device: str, family: type[Model], params: Any, n_rows: int, n_features: int) -> Cost:
    """What a fit of this size needs of the machine's own memory, and how long it takes there."""
    cost = family.cost(params, n_rows, n_features)
    if device == "cpu":
        return cost
    memory = cost.memory_gb - cost.device_gb
    return dataclasses.replace(cost, memory_gb=memory, work=cost.work / family.gpu_speed)


@dataclass(frozen=True)
class Fit:
    """One fit: a recipe, one target, and the rows to learn from.

    Parameters
    ----------
    keep
        Whether the fitted model itself is kept; a trial's is not, its predictions are.
    base
        The fit that this one updates, by what `train` adds; None for a fit of its own.
    on
        Another device than the recipe's; no part of the key.
    repaired
        What went wrong before, as lines of recovery.
    shares_bins
        Whether other fits will have the same rows, so that binned ones are worth keeping.
    """

    recipe: Recipe
    target: str
    train: EraPanel
    keep: bool = True
    base: Fit | None = None
    on: str | None = None
    repaired: tuple[dict[str, Any], ...] = ()
    shares_bins: bool = True

    @property
    def key(self) -> dict[str, Any]:
        """What the fitted model is made of."""
        targets = (self.target, *getattr(self.recipe.params, "more_heads", ()))
        made = self.recipe.cache_key(self.target) | {"train": self.train.digest(targets=targets)}
        if self.base is not None:
            made["updates"] = self.base.key
        return made

    @property
    def planned_gb(self) -> float:
        """Memory that the fit should need."""
        n_features = len(self.train.feature_names)
        return self.recipe.cost(self.train.n_rows, n_features).memory_gb

    def model(self, store: FoldStore, progress: FitProgress) -> Model:
        """The fitted model, from the store where it is kept there."""

        def fit() -> Model:
            model = self._fitted(store, progress)
            store.remember(self.recovery_key, [*self.repaired, *model.recoveries])
            return model

        model = store.model(self.key, fit) if self.keep else fit()
        store.value(self.key, lambda: model.n_iterations)
        store.drop_work(self.key)
        return model

    def on_cpu(self, error: Exception) -> Fit:
        """The same fit on the cores, after a GPU has failed; it goes on from the checkpoint.

        Raises
        ------
        Exception
            The error, where no GPU is to blame.
        """
        ours = isinstance(error, NumeraiKedroError) and not isinstance(error, ResourceError)
        # A process that was killed goes on from its checkpoint, on the GPU (`until_it_fits`).
        if self.device == "cpu" or ours or isinstance(error, (ProcessDied, *BUGS)):
            raise error
        reason = " ".join(str(error).split())
        line = noted(self.recipe.name, "the GPU failed", reason, "fitted on the CPU")
        before = (*getattr(error, "lines", ()), replace(line, result="went through").as_json())
        return replace(self, on="cpu", repaired=(*self.repaired, *before))

    @property
    def device(self) -> str:
        """Where the fit runs."""
        return self.on or self.recipe.device

    def _fitted(self, store: FoldStore, progress: FitProgress) -> Model:
        recipe, found = self.recipe, self.recipe.columns
        bins = _BinsOfCode(store, recipe.code) if self.shares_bins else None
        context = FitContext(
            bins, store.work(self.key), store, recipe.groups, found.weights, found.graph
        )
        if self.base is not None:
            model = self.base.model(store, no_progress)
            model.device = self.device
            return updated(model, self.train, self.target, progress, context)
        model = recipe.family(
            recipe.params, seed=recipe.seed, threads=recipe.threads, device=self.device
        )
        return fitted(model, self.train, recipe.stop, self.target, progress, context)

    @property
    def recovery_key(self) -> dict[str, Any]:
        """Under which what went wrong in the fit is kept."""
        return {"recoveries": self.key}

    def recoveries(self, store: FoldStore) -> list[dict[str, Any]]:
        """What went wrong in the fit and was repaired; what it updates has lines of its own."""
        return list(store.find(self.recovery_key) or [])

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


def fitted(
    model: Model,
    train: EraPanel,
    stop: EarlyStoppingSplit | None,
    target: str,
    progress: FitProgress,
    context: FitContext,
) -> Model:
    """Fit a new model."""
    return model.fit(train, stop, target, progress, context)


def updated(
    model: Any, train: EraPanel, target: str, progress: FitProgress, context: FitContext
) -> Model:
    """Let a fitted model learn what came since."""
    made: Model = model.updated(train, target, progress, context)
    return made


def code_of_fits(family: type[Model]) -> str:
    """Digest of the code that fits of a family, and predictions by them, hang on."""
    return code_of(*_roots_of(family), reads=CALLED)


def are_of_other_code(family: type[Model]) -> bool:
    """Whether fits of a family are those of other code, kept on request."""
    return is_of_other_code(*_roots_of(family), reads=CALLED)


def _roots_of(family: type[Model]) -> tuple[Any, ...]:
    # A joined panel stands where functions say EraPanel.
    return (family, fitted, updated, JoinedPanel)


@dataclass(frozen=True)
class _BinsOfCode:
    """Binned data that the same code has made."""

    store: FoldStore
    code: str

    def file(self, key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        return self.store.file({**key, "code": self.code}, build)
