"""A live model that learned from latents, together with their encoder.

Wherever it is stored (in the catalog, as a champion, for a later week whose refit failed), it
predicts from features alone, with the latents it was trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from numerai_kedro.data.joined import n_latents

if TYPE_CHECKING:
    from numerai_kedro.data import EraPanel


class WithLatents:
    """Encodes rows, then predicts them.

    Parameters
    ----------
    model
        `training.protocol.Model`, whose last features are latents.
    encoder
        `models.vae_head.VaeHead` that computes those latents, in the same order.
    """

    def __init__(self, model: Any, encoder: Any) -> None:
        self.model, self.encoder = model, encoder

    @property
    def feature_names(self) -> list[str]:
        """Features that it needs of a panel."""
        return list(dict.fromkeys([*self._plain, *self.encoder.feature_names]))

    @property
    def n_iterations(self) -> int:
        """Iterations of the model."""
        return int(self.model.n_iterations)

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row, era by era: float32[n_rows]."""
        plain = panel.select(features=self._plain)
        whole = panel.select(features=self.encoder.feature_names)
        pieces = [
            self.model.predict_rows(
                np.hstack([plain.features(era), self.encoder.levels(whole.features(era))])
            )
            for era in panel.eras.tolist()
        ]
        return np.concatenate(pieces) if pieces else np.empty(0, np.float32)

    @property
    def _plain(self) -> list[str]:
        names: list[str] = self.model.feature_names
        return names[: len(names) - n_latents(names)]
