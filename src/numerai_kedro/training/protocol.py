"""What every model family offers; a new family is one file in `models/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from numerai_kedro.panel import EraPanel
from numerai_kedro.strict import Block

# Gets steps done and steps in all, of one fit; a step is a tree or an epoch.
FitProgress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Cost:
    """What one fit needs, as predicted before it starts.

    Parameters
    ----------
    memory_gb
        Unshared memory at its peak, in GiB.
    work
        Rows x features x steps: the resource plan turns it into seconds by its probe.
    disk_gb
        What the fitted model takes in the fold store, in GiB.
    """

    memory_gb: float
    work: float
    disk_gb: float


@runtime_checkable
class Model(Protocol):
    """One model family: made from parameters, fitted once, then predicting.

    `version` goes into every key of the fold store: raise it when the same data and parameters
    would give another model.
    """

    version: ClassVar[int]
    params_type: ClassVar[type[Block]]
    params: Any
    seed: int

    def __init__(self, params: Any, *, seed: int, threads: int) -> None: ...

    def fit(
        self,
        train: EraPanel,
        valid: EraPanel | None,
        target: str,
        progress: FitProgress = no_progress,
    ) -> Self:
        """Learn `target` from the panel; `valid`, where given, decides when to stop."""

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row, float32[n_rows]; only ranks inside an era will count."""

    @property
    def n_iterations(self) -> int:
        """Trees or epochs of the fitted model."""

    @classmethod
    def cost(cls, params: Any, n_rows: int, n_features: int) -> Cost:
        """Predict what a fit of this size needs."""
