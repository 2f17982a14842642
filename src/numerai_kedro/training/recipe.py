"""Everything that determines a fit besides its eras, and the fits of a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field

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
from numerai_kedro.training.transforms import check_transforms

if TYPE_CHECKING:
    from numerai_kedro.data.feature_graph import FeatureGraph

# How a fitted model learns later eras: not at all, or by adapters (LoRA).
Update = Literal["none", "lora"]
# Errors that are bugs, never the failure of a GPU.
BUGS = (TypeError, AttributeError, LookupError, AssertionError, ImportError)
CALLED = ("predict", "predict_rows")  # of a fitted model
UPDATE_ERAS = 52  # newest eras that an update learns from


@dataclass(frozen=True)
class Columns:
    """The features and further inputs that the fits of one training window see.

    Parameters
    ----------
    features
        Names; None for all.
    weights
        Weight of each feature; empty where all are equal.
    derived : tuple of EraPanel
        Panels of derived columns, such as latents, by what learned no era after the window.
    graph : FeatureGraph
        Built from the window's eras alone; None for a family that reads no graph.
    """

    features: tuple[str, ...] | None = None
    weights: tuple[float, ...] = ()
    derived: tuple[EraPanel, ...] = ()
    graph: FeatureGraph | None = None

    def of(self, history: EraPanel) -> EraPanel:
        """The panel that fits see; of derived columns, only eras that have them all."""
        panel = history if self.features is None else history.select(features=self.features)
        for derived in self.derived:
            eras = np.intersect1d(panel.eras, derived.eras)
            panel = JoinedPanel(panel.select(eras=eras), derived)
        return panel


ALL_COLUMNS = Columns()

# Names of feature transformations, as parameters have them.
Transforms = Annotated[tuple[str, ...], AfterValidator(check_transforms)]


class Option(Strict):
    """A variation of a recipe; None leaves a setting as it is."""

    era_stride: int | None = Field(default=None, gt=0)
    n_offsets: int | None = Field(default=None, gt=0)
    more_targets: tuple[str, ...] | None = None
    adaptive: bool | None = None
    update: Update | None = None
    features: Transforms | None = None


@dataclass(frozen=True)
class Recipe:
    """How a model is fitted.

    One recipe may have several fits, whose predictions are averaged: one for each target and, where
    a fit takes every n-th era, one for each offset.

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
        `threads` is not in the key, as it changes only the time. A GPU is: there CatBoost uses all
        columns.
    adaptive
        Whether each fit finds its own strength (`training.adaptive`), which is then set in
        `params`.
    valid_eras, purge_eras
        For a family that stops early: how many of the newest eras decide when, and the purge before
        them.
    groups
        Features by official group, for a family that reads them.
    update, update_every
        How a fitted model learns new eras between full fits, and after how many of them.
    transforms
        Names of the feature transformations (`training.transforms`), in the order of their columns.
    engineered_by
        Identifies the parameters of feature engineering.
    columns
        The resulting columns for the training window (`engineered.Engineered`).
    code
        Digest of the code that fits and predicts; by default that of the current code.
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
    transforms: tuple[str, ...] = ()
    engineered_by: str = ""
    columns: Columns = ALL_COLUMNS
    code: str = ""

    def __post_init__(self) -> None:
        """Compute the code's digest unless it is given, as to the child process of a fit."""
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
        fits, seen = [], self.columns.of(history)
        for target, offset in self.members():
            # A base model is stored even for a trial: every part of a fold starts from it.
            base = keep or self.update != "none"
            fit = Fit(self, target, self._thinned(history, seen, eras, target, offset), base)
            if updated_to is not None:
                newest = (updated_to - UPDATE_ERAS + 1, updated_to)
                learned = self._thinned(history, seen, newest, target, offset)
                fit = Fit(self, target, learned, keep, base=fit)
            fits.append(fit)
        return fits

    def steps(self, fold: Fold) -> list[tuple[Fold, int | None]]:
        """A fold split at its updates: each part, and the newest era of its update."""
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

        One of these eras that `seen` lacks is an error, and is not skipped.
        """
        resolved = history.resolved_eras(target)
        inside = resolved[(resolved >= eras[0]) & (resolved <= eras[1])]
        return seen.select(eras=inside[::-1][offset :: self.era_stride][::-1])

    @property
    def stop(self) -> EarlyStoppingSplit | None:
        """The eras by which fits stop early; None for a family that does not."""
        n_eras = self.valid_eras // self.era_stride
        return EarlyStoppingSplit(n_eras, self.purge_eras) if self.family.stops_early else None

    def members(self) -> Iterator[tuple[str, int]]:
        """Target and offset of each fit."""
        for target in self.targets:
            for offset in range(min(self.n_offsets, self.era_stride)):
                yield target, offset

    def thinned(self, era_stride: int) -> Recipe:
        """The same recipe on every `era_stride`-th era, unless it uses fewer already."""
        return dataclasses.replace(self, era_stride=max(self.era_stride, era_stride))

    def with_params(self, params: Any) -> Recipe:
        """The same recipe with other parameters."""
        return dataclasses.replace(self, params=params)

    def with_option(self, option: Option) -> Recipe:
        """Apply an option; no fit then has more eras than before, which might exceed the memory."""
        changed = self if option.era_stride is None else self.thinned(option.era_stride)
        values: dict[str, Any] = option.model_dump(include={"n_offsets", "adaptive", "update"}) | {
            "transforms": option.features
        }
        if option.more_targets is not None:
            values["targets"] = tuple(dict.fromkeys((self.targets[0], *option.more_targets)))
        changes = {name: value for name, value in values.items() if value is not None}
        return dataclasses.replace(changed, **changes)

    def cache_key(self, target: str) -> dict[str, Any]:
        """Everything that determines a fit, except its rows."""
        key = {
            "family": self.family.__name__,
            "code": self.code,
            "params": self.params.model_dump(mode="json"),
            "seed": self.seed,
            "target": target,
        } | ({} if self.device == "cpu" else {"device": self.device})
        if self.family.stops_early:
            key["held_back"] = [self.valid_eras, self.purge_eras]
        if self.family.reads_groups:
            key["groups"] = digest_json(self.groups)
        if self.columns.weights:
            key["weights"] = digest_json(self.columns.weights)
        if self.columns.graph is not None:
            key["graph"] = self.columns.graph.digest
        return key

    def cost(self, n_rows: int, n_features: int) -> Cost:
        """What a fit of this size needs on the recipe's device."""
        return cost_on(self.device, self.family, self.params, n_rows, n_features)

    def plan_keys(self, eras: tuple[int, int], features: Sequence[str]) -> list[dict[str, Any]]:
        """Keys that mark fits as done before any data is loaded: only era numbers and names."""
        return [self._plan_key(target, offset, eras, features) for target, offset in self.members()]

    def _plan_key(
        self, target: str, offset: int, eras: tuple[int, int], features: Sequence[str]
    ) -> dict[str, Any]:
        key = self.cache_key(target)
        # These depend on the data.
        for name in ("weights", "graph"):
            key.pop(name, None)
        if self.adaptive:
            key["params"].pop("strength")
        if self.transforms or self.family.reads_graph:
            key["engineered"] = [list(self.transforms), self.engineered_by]
        place = {"eras": list(eras), "stride": [self.era_stride, offset]}
        return {"fitted": key | place | {"features": list(features)}}


def cost_on(device: str, family: type[Model], params: Any, n_rows: int, n_features: int) -> Cost:
    """The host memory and the time that a fit of this size needs on a device."""
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
        Whether the fitted model is stored; a trial stores only its predictions.
    base
        The fit that this one updates with the eras of `train`; None for a full fit.
    on
        A device other than the recipe's; not part of the key.
    repaired
        Failures before this fit, as lines of recovery.
    shares_bins
        Whether other fits will have the same rows, so that it pays to store their bins.
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
        """Cache key of the fitted model."""
        targets = (self.target, *getattr(self.recipe.params, "more_heads", ()))
        key = self.recipe.cache_key(self.target) | {"train": self.train.digest(targets=targets)}
        if self.base is not None:
            key["updates"] = self.base.key
        return key

    @property
    def planned_gb(self) -> float:
        """Memory that the fit should need."""
        n_features = len(self.train.feature_names)
        return self.recipe.cost(self.train.n_rows, n_features).memory_gb

    def model(self, store: FoldStore, progress: FitProgress) -> Model:
        """The fitted model, read from the store if it is there."""

        def fit() -> Model:
            model = self._fitted(store, progress)
            store.remember(self.recovery_key, [*self.repaired, *model.recoveries])
            return model

        model = store.model(self.key, fit) if self.keep else fit()
        store.value(self.key, lambda: model.n_iterations)
        store.drop_work(self.key)
        return model

    def on_cpu(self, error: Exception) -> Fit:
        """The same fit on the CPU, after a GPU has failed; it resumes from the checkpoint.

        Raises
        ------
        Exception
            The error itself, where no GPU is to blame.
        """
        ours = isinstance(error, NumeraiKedroError) and not isinstance(error, ResourceError)
        # A killed process resumes from its checkpoint on the GPU (`until_it_fits`).
        if self.device == "cpu" or ours or isinstance(error, (ProcessDied, *BUGS)):
            raise error
        reason = " ".join(str(error).split())
        line = noted(self.recipe.name, "the GPU failed", reason, "fitted on the CPU")
        before = (*getattr(error, "lines", ()), replace(line, result="succeeded").as_json())
        return replace(self, on="cpu", repaired=(*self.repaired, *before))

    @property
    def device(self) -> str:
        """Where the fit runs."""
        return self.on or self.recipe.device

    def _fitted(self, store: FoldStore, progress: FitProgress) -> Model:
        recipe, columns = self.recipe, self.recipe.columns
        bins = _BinsOfCode(store, recipe.code) if self.shares_bins else None
        context = FitContext(
            bins, store.work(self.key), store, recipe.groups, columns.weights, columns.graph
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
        """Cache key of the fit's lines of recovery."""
        return {"recoveries": self.key}

    def recoveries(self, store: FoldStore) -> list[dict[str, Any]]:
        """What went wrong in the fit and was repaired, without the lines of its base."""
        return list(store.find(self.recovery_key) or [])

    def n_iterations(self, store: FoldStore) -> int | None:
        """Trees or epochs; None if it was never fitted."""
        stored = store.find(self.key)
        if stored is None and store.has_model(self.key):
            # The note was lost or damaged; the model itself knows.
            return self.model(store, no_progress).n_iterations
        return None if stored is None else int(stored)

    def stored_predictions(
        self, pieces: Sequence[EraPanel], store: FoldStore
    ) -> npt.NDArray[np.float32] | None:
        """Predictions of the pieces, one after another; None where one is missing."""
        columns = []
        for piece in pieces:
            stored = store.find_predictions(self.prediction_key(piece))
            if stored is None:
                return None
            columns.append(stored)
        return np.concatenate(columns) if columns else np.empty(0, np.float32)

    def prediction_key(self, piece: EraPanel) -> dict[str, Any]:
        """Cache key of the predictions of a piece."""
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
    """Update a fitted model with the eras since its fit."""
    successor: Model = model.updated(train, target, progress, context)
    return successor


def code_of_fits(family: type[Model]) -> str:
    """Digest of the code that fits of a family, and their predictions, depend on."""
    return code_of(*_roots_of(family), reads=CALLED)


def are_of_other_code(family: type[Model]) -> bool:
    """Whether fits of a family are those of other code, kept on request."""
    return is_of_other_code(*_roots_of(family), reads=CALLED)


def _roots_of(family: type[Model]) -> tuple[Any, ...]:
    # Functions annotated with EraPanel are also passed a JoinedPanel.
    return (family, fitted, updated, JoinedPanel)


@dataclass(frozen=True)
class _BinsOfCode:
    """Binned data, keyed also by the code that made it."""

    store: FoldStore
    code: str

    def file(self, key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        return self.store.file({**key, "code": self.code}, build)
