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

# Gets steps done and steps in all, of one fit; a step is a tree or an epoch.
FitProgress = Callable[[float, float], None]


def no_progress(done: float, total: float) -> None:
    """Say nothing."""


class Bins(Protocol):
    """Where binned data sets are kept between fits."""

    def file(self, key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """Return the file kept under `key`, or have it built at a path and keep it."""


class Notes(Protocol):
    """What was learned about this machine, from one week to the next."""

    def recall(self, key: Mapping[str, Any]) -> Any | None:
        """What was noted under `key`; None where nothing was."""

    def remember(self, key: Mapping[str, Any], value: Any) -> None:
        """Note a small value, in the place of the one before."""


@dataclass(frozen=True)
class FitContext:
    """What a fit is given besides its data; only groups, weights and the graph change the model.

    Parameters
    ----------
    bins
        Where binned data are found again, so that many fits on the same rows bin them once.
    work
        Folder in which an unfinished fit is found again.
    notes
        What this machine was found to hold.
    groups
        Names of the features of each official group, for a family that reads them.
    weights
        How much each feature of the panel counts, 1 for all where there are none.
    graph
        Of the features, from the training eras alone, for a family that reads it.
    """

    bins: Bins | None = None
    work: Path | None = None
    notes: Notes | None = None
    groups: tuple[tuple[str, ...], ...] = ()
    weights: tuple[float, ...] = ()
    graph: FeatureGraph | None = None


@dataclass(frozen=True)
class Cost:
    """What one fit needs, as predicted before it starts.

    Parameters
    ----------
    memory_gb
        Unshared memory at its peak, in GiB.
    work
        Nanoseconds on the two cores where they were measured; `training.probe` says how many of
        them pass here in a second.
    disk_gb
        What the fitted model takes in the fold store, in GiB.
    bins_gb
        What its binned data set takes there.
    device_gb
        What of `memory_gb` lies on a GPU where one fits.
    """

    memory_gb: float
    work: float
    disk_gb: float
    bins_gb: float = 0.0
    device_gb: float = 0.0


NO_CONTEXT = FitContext()


@dataclass(frozen=True)
class EarlyStoppingSplit:
    """Which of the eras to learn from say first when to stop.

    Parameters
    ----------
    n_eras
        The newest so many.
    purge_eras
        Eras before them whose targets reach into them.
    """

    n_eras: int
    purge_eras: int

    def split(self, panel: EraPanel) -> tuple[EraPanel, EraPanel, EraPanel] | None:
        """What is learned first, what says when to stop, and all that was held back.

        None where fewer eras would be learned than say when to stop.
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
    """One model family: made from parameters, fitted once, then predicting.

    Its code, as far as `fit` and `predict` reach, goes into every key of the fold store
    (`training.recipe.code_of_fits`). A family that is tuned has parameters with a method
    ``low_fidelity(n_trees, row_share)``: the same experiment, cheaper.

    Attributes
    ----------
    stops_early
        Whether a fit decides by some of its eras when to stop.
    reads_groups
        Whether the official groups of the features make another model.
    reads_graph
        Whether it learns on the graph of the features.
    one_core
        Whether a fit uses one core, whatever `threads` says, where no GPU makes it.
    gpu_speed
        How many times as fast a fit is on a GPU as `cost` says; 1 where nobody has measured it.
    recoveries
        What went wrong in the fit and was repaired, `compute.recovery.Recovery` as dicts.
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
        """Learn `target` from the panel; `stop` is for families that stop early, by some of it."""

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row, float32[n_rows]; only ranks inside an era will count."""

    def predict_rows(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Predict int8[n_rows, n_features], columns in the order of the training panel."""

    @property
    def n_iterations(self) -> int:
        """Trees or epochs of the fitted model."""

    def gain_importance(self) -> npt.NDArray[np.float64]:
        """What each feature added while fitting, float64[n_features], in any unit."""

    @classmethod
    def cost(cls, params: Any, n_rows: int, n_features: int) -> Cost:
        """Predict what a fit of this size needs."""

    @classmethod
    def has_gpu(cls) -> bool:
        """Whether the installed library can fit on a GPU that is there."""
