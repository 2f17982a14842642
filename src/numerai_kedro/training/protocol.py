"""What every model family offers; a new family is one file in `models/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from numerai_kedro.data import EraPanel
from numerai_kedro.strict import Block

if TYPE_CHECKING:
    from numerai_kedro.data.feature_graph import FeatureGraph

# Called with the steps done and their total in one fit; a step is a tree or an epoch.
FitProgress = Callable[[float, float], None]


def no_progress(done: float, total: float) -> None:
    """Report nothing."""


class Bins(Protocol):
    """Stores binned data sets between fits."""

    def file(self, key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """Return the file stored under `key`; call `build` with a path first if there is none."""


class Notes(Protocol):
    """Facts about this machine, kept from one week to the next."""

    def recall(self, key: Mapping[str, Any]) -> Any | None:
        """The value noted under `key`, or None."""

    def remember(self, key: Mapping[str, Any], value: Any) -> None:
        """Note a small value, replacing the one before."""


@dataclass(frozen=True)
class FitContext:
    """What a fit gets besides its data; only groups, weights and the graph change the model.

    Parameters
    ----------
    bins
        Stores binned data, so that many fits on the same rows bin them once.
    work
        Folder of the fit's checkpoints.
    notes
        Facts about this machine, such as the rows that it holds.
    groups
        Names of the features of each official group, for a family that reads them.
    weights
        Weight of each feature of the panel; empty for 1 each.
    graph
        Graph of the features from the training eras alone, for a family that reads it.
    """

    bins: Bins | None = None
    work: Path | None = None
    notes: Notes | None = None
    groups: tuple[tuple[str, ...], ...] = ()
    weights: tuple[float, ...] = ()
    graph: FeatureGraph | None = None


@dataclass(frozen=True)
class Cost:
    """Predicted needs of one fit.

    Parameters
    ----------
    memory_gb
        Unshared memory at its peak, in GiB.
    work
        Nanoseconds on the two reference cores; `training.probe` measures how many of them this
        machine does in a second.
    disk_gb
        Size of the fitted model in the fold store, in GiB.
    bins_gb
        Size of its binned data set there, in GiB.
    device_gb
        The part of `memory_gb` that is on the GPU when one is used.
    """

    memory_gb: float
    work: float
    disk_gb: float
    bins_gb: float = 0.0
    device_gb: float = 0.0


NO_CONTEXT = FitContext()


@dataclass(frozen=True)
class EarlyStoppingSplit:
    """The training eras that are first held out to decide when to stop.

    Parameters
    ----------
    n_eras
        How many of the newest eras are held out.
    purge_eras
        Eras before those whose targets reach into them.
    """

    n_eras: int
    purge_eras: int

    def split(self, panel: EraPanel) -> tuple[EraPanel, EraPanel, EraPanel] | None:
        """Eras of the first fit, eras that decide when to stop, and all that the fit leaves out.

        None where fewer eras would be learned than decide when to stop.
        """
        if not self.n_eras or len(panel.eras) <= self.n_eras:
            return None
        valid = panel.eras[-self.n_eras :]
        first = panel.eras[panel.eras < valid[0] - self.purge_eras]
        if len(first) < self.n_eras:
            return None
        rest = panel.eras[panel.eras > first[-1]]
        return panel.select(eras=first), panel.select(eras=valid), panel.select(eras=rest)


@runtime_checkable
class Model(Protocol):
    """One model family: built from parameters, fitted once, then used to predict.

    The code that `fit` and `predict` reach goes into every key of the fold store
    (`training.recipe.code_of_fits`). A family that is tuned has parameters with a method
    ``low_fidelity(n_trees, row_share)``: the same experiment, cheaper.

    Attributes
    ----------
    stops_early
        Whether a fit holds out eras to decide when to stop.
    reads_groups
        Whether the model depends on the official groups of the features.
    reads_graph
        Whether the model uses the graph of the features.
    one_core
        Whether a fit on the CPU uses one core, whatever `threads` says.
    gpu_speed
        How many times faster a fit is on a GPU than `cost` says; 1 where it was not measured.
    recoveries
        What went wrong in the fit and was repaired: `compute.recovery.Recovery` as dicts.
    """

    params_type: ClassVar[type[Block]]
    stops_early: ClassVar[bool]
    reads_groups: ClassVar[bool]
    reads_graph: ClassVar[bool]
    one_core: ClassVar[bool]
    gpu_speed: ClassVar[float]
    recoveries: list[dict[str, Any]]
    params: Any
    seed: int
    device: str

    def __init__(self, params: Any, *, seed: int, threads: int, device: str = "cpu") -> None: ...

    def fit(
        self,
        train: EraPanel,
        stop: EarlyStoppingSplit | None,
        target: str,
        progress: FitProgress = no_progress,
        context: FitContext = NO_CONTEXT,
    ) -> Self:
        """Learn `target` from the panel; `stop` is its split for families that stop early."""

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row, float32[n_rows]; only ranks inside an era matter."""

    def predict_rows(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Predict int8[n_rows, n_features], columns in the order of the training panel."""

    @property
    def n_iterations(self) -> int:
        """Trees or epochs of the fitted model."""

    def gain_importance(self) -> npt.NDArray[np.float64]:
        """Gain of each feature in the fit, float64[n_features], in any unit."""

    @classmethod
    def cost(cls, params: Any, n_rows: int, n_features: int) -> Cost:
        """Predict what a fit of this size needs."""

    @classmethod
    def has_gpu(cls) -> bool:
        """Whether the installed library can fit on a GPU that is there."""
