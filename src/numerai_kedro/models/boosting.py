"""What LightGBM, CatBoost and XGBoost share: parameters, regularisation, the matrix of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from numerai_kedro.data import EraPanel
from numerai_kedro.strict import Block

STEPS_A_REPORT = 20
# Threads synchronise after every split of every tree. With fewer cells than this it costs more than
# it saves: 13,600 x 40 took 25 s with 2 threads on 2 busy cores, 2 s with one.
CELLS_FOR_THREADS = 3_000_000
GIB = 2**30


class BoostingParams(Block):
    """Parameters of every family of boosted trees, named as in scikit-learn."""

    n_estimators: int = Field(gt=0)
    learning_rate: float = Field(gt=0, le=1)
    max_depth: int = Field(gt=0, le=16)
    colsample_bytree: float = Field(gt=0, le=1)
    strength: float = Field(ge=0, le=1)

    def low_fidelity(self, n_trees: int, row_share: float) -> Self:
        """The same experiment, cheaper: fewer trees with a higher learning rate.

        `n_estimators` x `learning_rate` stays the same, as far as the rate may rise.
        """
        trees = min(n_trees, self.n_estimators)
        rate = min(1.0, self.learning_rate * self.n_estimators / trees)
        return self.model_copy(update={"n_estimators": trees, "learning_rate": rate})


class Boosted:
    """Class attributes that all families of trees share; see `training.protocol.Model`."""

    stops_early: ClassVar[bool] = False
    reads_groups: ClassVar[bool] = False
    reads_graph: ClassVar[bool] = False
    one_core: ClassVar[bool] = False
    gpu_speed: ClassVar[float] = 1.0

    @property
    def recoveries(self) -> list[dict[str, Any]]:
        """None: fits of trees have no remedies of their own."""
        return []


@dataclass(frozen=True)
class Strength:
    """What a strength of regularisation means for the parameters; 0 changes nothing.

    At 1 trees are stumps whose leaves hold an eighth of all rows and are shrunk by as many, on a
    quarter of the columns and half of the rows.

    Parameters
    ----------
    value
        From 0 to 1.
    n_rows
        Number of training rows.
    """

    value: float
    n_rows: int

    def shrinkage(self, given: float) -> float:
        """Shrinkage of leaves: adds from a ten-thousandth of the largest leaf to all of it."""
        if self.value == 0:
            return given
        return float(given + self._largest_leaf * 10 ** (-4 * (1 - self.value)))

    def leaf(self, given: float) -> int:
        """Minimum rows of a leaf, interpolated geometrically from the given to the largest."""
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
    """The threads to use: one where more would only wait for each other."""
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
