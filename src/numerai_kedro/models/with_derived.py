"""A live model that learned from derived columns, together with what derives them.

Wherever it is stored (in the catalog, as a champion, for a later week whose refit failed), it
predicts from features alone, by the transformations that it was trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from numerai_kedro.data.joined import n_derived

if TYPE_CHECKING:
    from numerai_kedro.data import EraPanel


class Deriver(Protocol):
    """Fitted on a training window: the encoder of latents, or a `FittedTransform`."""

    feature_names: list[str]

    def derive(self, panel: EraPanel) -> npt.NDArray[np.int8]:
        """int8[n_rows, n_columns], 0 to 15."""


class WithDerived:
    """Derives columns of rows, then predicts the rows.

    Parameters
    ----------
    model
        `training.protocol.Model`, whose last features are derived columns.
    derivers
        What computes these columns, in the same order.
    """

    def __init__(self, model: Any, derivers: Sequence[Deriver]) -> None:
        self.model, self.derivers = model, tuple(derivers)

    @property
    def feature_names(self) -> list[str]:
        """Features that it needs of a panel."""
        needed = [self._plain, *(deriver.feature_names for deriver in self.derivers)]
        return list(dict.fromkeys(name for names in needed for name in names))

    @property
    def n_iterations(self) -> int:
        """Iterations of the model."""
        return int(self.model.n_iterations)

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row, era by era: float32[n_rows]."""
        pieces = [
            self.model.predict_rows(self._rows(panel.select(eras=[era])))
            for era in panel.eras.tolist()
        ]
        return np.concatenate(pieces) if pieces else np.empty(0, np.float32)

    def _rows(self, alone: EraPanel) -> npt.NDArray[np.int8]:
        """Features and derived columns of one era."""
        plain = alone.select(features=self._plain).features_at(0)
        return np.hstack([plain, *(deriver.derive(alone) for deriver in self.derivers)])

    @property
    def _plain(self) -> list[str]:
        names: list[str] = self.model.feature_names
        return names[: len(names) - n_derived(names)]
