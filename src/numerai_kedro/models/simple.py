"""Base class of the user's own models: a subclass learns from a matrix, and predicts rows.

    class Ridge(SimpleModel):
        def fit_rows(self, rows, label):
            self.slopes = ...

        def predict_rows(self, rows):
            return rows @ self.slopes

A block of parameters names it by its dotted path (`conf/base/parameters_models.yml`).
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from numerai_kedro.models.boosting import GIB, in_eras, matrix_of
from numerai_kedro.strict import Block
from numerai_kedro.training.protocol import (
    NO_CONTEXT,
    Cost,
    EarlyStoppingSplit,
    FitContext,
    FitProgress,
    no_progress,
)

if TYPE_CHECKING:
    from numerai_kedro.data import EraPanel

# Size of the fit by which the cost of others is predicted.
PROBE_ROWS, PROBE_FEATURES = 4_000, 40
# Bytes of a cell: as a single-precision number, and twice in double precision inside a library.
CELL_BYTES = 4 + 2 * 8


class SimpleParams(Block):
    """Any parameters; a subclass with fields checks them."""

    model_config = ConfigDict(extra="allow", frozen=True)

    def low_fidelity(self, n_trees: int, row_share: float) -> Self:
        """Unchanged: a cheaper fit only has fewer eras."""
        return self


class SimpleModel:
    """Implements `training.protocol.Model` by `fit_rows` and `predict_rows`.

    A subclass keeps what it learned in attributes that can be pickled. If its parameters are tuned,
    its `params_type` declares their types.
    """

    params_type: ClassVar[type[Block]] = SimpleParams
    stops_early: ClassVar[bool] = False
    reads_groups: ClassVar[bool] = False
    reads_graph: ClassVar[bool] = False
    one_core: ClassVar[bool] = False
    gpu_speed: ClassVar[float] = 1.0

    def __init__(self, params: Any, *, seed: int, threads: int, device: str = "cpu") -> None:
        self.params = params
        self.seed = seed
        self.threads = threads
        self.device = device
        self.feature_names: list[str] = []
        self.recoveries: list[dict[str, Any]] = []

    def fit_rows(self, rows: npt.NDArray[np.float32], label: npt.NDArray[np.float32]) -> None:
        """Learn float32[n_rows], in [0, 1], from float32[n_rows, n_features]."""
        raise NotImplementedError

    def predict_rows(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Predict int8[n_rows, n_features], columns in the order of the training panel."""
        raise NotImplementedError

    def fit(
        self,
        train: EraPanel,
        stop: EarlyStoppingSplit | None,
        target: str,
        progress: FitProgress = no_progress,
        context: FitContext = NO_CONTEXT,
    ) -> Self:
        """Learn from the rows that have a target."""
        self.feature_names = list(train.feature_names)
        label = train.target(target)
        labelled = ~np.isnan(label)
        self.fit_rows(matrix_of(train, labelled).astype(np.float32), label[labelled])
        return self

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row, an era at a time."""
        return in_eras(panel.select(features=self.feature_names), self.predict_rows)

    @property
    def n_iterations(self) -> int:
        """One: it is fitted at once."""
        return 1

    def gain_importance(self) -> npt.NDArray[np.float64]:
        """Zeros: importance is measured by shuffling only."""
        return np.zeros(len(self.feature_names))

    @classmethod
    def cost(cls, params: Any, n_rows: int, n_features: int) -> Cost:
        """Time by a small fit, in proportion to the cells; memory by `CELL_BYTES`."""
        cells = n_rows * n_features
        kind: Any = cls  # hashable, which mypy does not see
        seconds = _probed(kind, params.model_dump_json()) * cells / (PROBE_ROWS * PROBE_FEATURES)
        return Cost(CELL_BYTES * cells / GIB + 0.3, 1e9 * seconds, 0.01)

    @classmethod
    def has_gpu(cls) -> bool:
        """No."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "params": self.params.model_dump(), "device": "cpu"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.params = self.params_type.model_validate(state["params"])


@functools.cache
def _probed(kind: type[SimpleModel], params: str) -> float:
    """Seconds of a fit on random rows."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 5, (PROBE_ROWS, PROBE_FEATURES)).astype(np.float32)
    label = rng.random(PROBE_ROWS, dtype=np.float32)
    model = kind(kind.params_type.model_validate_json(params), seed=0, threads=1)
    begin = time.perf_counter()
    model.fit_rows(rows, label)
    return time.perf_counter() - begin
