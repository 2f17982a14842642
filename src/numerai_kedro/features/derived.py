"""Columns that are derived from features, as a stream of eras that is written as a panel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from numerai_kedro.data import EraPanel, EraRows, FeatureBlock
from numerai_kedro.data.joined import derived_names


class DerivedColumns(ABC):
    """A sized iterable of the eras of `panel`, each with its derived columns.

    Attributes
    ----------
    panel : EraPanel
        What they are derived from.
    digest : str
        Of the fitted transformation; it is in the names of the columns.
    """

    panel: EraPanel
    digest: str
    version: ClassVar[str] = ""  # no data version: a panel of derived columns has its own key

    @property
    @abstractmethod
    def transform(self) -> str:
        """Name of the transformation."""

    @abstractmethod
    def levels(self, alone: EraPanel) -> npt.NDArray[np.int8]:
        """int8[n_rows, n_columns] of one era, 0 to 15."""

    def __len__(self) -> int:
        return len(self.panel.eras)

    def __iter__(self) -> Iterator[EraRows]:
        nothing = pa.RecordBatch.from_arrays([], names=[])
        for era in self.panel.eras.tolist():
            alone = self.panel.select(eras=[era])
            levels = self.levels(alone)
            ids = pa.array(alone.ids().tolist(), pa.string())
            names = derived_names(self.transform, self.digest, levels.shape[1])
            yield EraRows(era, self.transform, ids, FeatureBlock.of(names, levels), nothing)
