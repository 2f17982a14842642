"""What LightGBM, CatBoost and XGBoost share: sizes of trees, rows with a target, one matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from numerai_kedro.data import EraPanel
from numerai_kedro.strict import Block

STEPS_A_REPORT = 20
# Threads meet after every split of every tree. For fewer cells than this the meetings cost more
# than they save: 13,600 x 40 with 2 threads on 2 busy cores took 25 s, with one 2.
CELLS_FOR_THREADS = 3_000_000
GIB = 2**30


class BoostingParams(Block):
    """What every family of boosted trees has, by the names of scikit-learn's interface."""

    n_estimators: int = Field(gt=0)
    learning_rate: float = Field(gt=0, le=1)
    max_depth: int = Field(gt=0, le=16)
    colsample_bytree: float = Field(gt=0, le=1)
    strength: float = Field(ge=0, le=1)

    def low_fidelity(self, n_trees: int, row_share: float) -> Self:
        """The same experiment, cheaper: fewer trees that learn faster, leaves in proportion.

        `n_estimators` x `learning_rate`, which is how far the model goes, stays.
        """
        trees = min(n_trees, self.n_estimators)
        rate = min(1.0, self.learning_rate * self.n_estimators / trees)
        return self.model_copy(update={"n_estimators": trees, "learning_rate": rate})


class Boosted:
    """What no family of trees does; see `training.protocol.Model`."""

    stops_early: ClassVar[bool] = False
    reads_groups: ClassVar[bool] = False
    reads_graph: ClassVar[bool] = False
    one_core: ClassVar[bool] = False
    gpu_speed: ClassVar[float] = 1.0

    @property
    def recoveries(self) -> list[dict[str, Any]]:
        """Trees have no trouble that they fix themselves."""
        return []


@dataclass(frozen=True)
class Strength:
    """What a strength of regularisation means for a number of rows: 0 changes nothing.

    At 1 trees are stumps whose leaves hold an eighth of all rows and are shrunk by as many, on a
    quarter of the columns and half of the rows.

    Parameters
    ----------
    value
        From 0 to 1.
    n_rows
        That the model learns from.
    """

    value: float
    n_rows: int

    def shrinkage(self, given: float) -> float:
        """Added to what shrinks leaves: a ten-thousandth of the largest leaf up to the whole."""
        if self.value == 0:
            return given
        return float(given + self._largest_leaf * 10 ** (-4 * (1 - self.value)))

    def leaf(self, given: float) -> int:
        """Rows of the smallest leaf, by orders of magnitude between the given and the largest."""
        if self.value == 0:
            return round(given)
        most = max(self._largest_leaf, given)
        return max(1, round(given ** (1 - self.value) * most**self.value))

    def depth(self, given: int) -> int:
        """From the given one to stumps."""
        return max(1, round(given + self.value * (1 - given)))

    def columns(self, given: float) -> float:
        """Down to a quarter of the given share."""
        return given * (1 - 0.75 * self.value)

    def rows(self, given: float) -> float:
        """Down to half of the given share."""
        return given * (1 - 0.5 * self.value)

    @property
    def _largest_leaf(self) -> float:
        return max(1.0, self.n_rows / 8)


def threads_for(panel: EraPanel, threads: int) -> int:
    """One thread where more would only wait for each other."""
    cells = panel.n_rows * len(panel.feature_names)
    return threads if cells > CELLS_FOR_THREADS else 1


def matrix_of(panel: EraPanel, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """int8[n_known, n_features] by columns, filled era by era: one byte a cell, no second copy."""
    columns = np.empty((len(panel.feature_names), int(known.sum())), dtype=np.int8)
    filled = 0
    for era, start, stop in zip(panel.eras, panel.era_starts, panel.era_starts[1:], strict=False):
        rows = panel.features(int(era))[known[start:stop]]
        columns[:, filled : filled + len(rows)] = rows.T
        filled += len(rows)
    return columns.T


def in_eras(panel: EraPanel, predict: Any) -> npt.NDArray[np.float32]:
    """Predict a bounded number of rows at a time: float32[n_rows]."""
    pieces = [np.asarray(predict(panel.features(int(era))), np.float32) for era in panel.eras]
    return np.concatenate(pieces) if pieces else np.empty(0, np.float32)
