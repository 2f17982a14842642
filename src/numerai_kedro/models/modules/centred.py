"""The first layer of every network: int8 features as centred floats."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from numerai_kedro.data.joined import N_LEVELS

MIDDLE, DEVIATION = 2.0, 2**0.5  # of features, which are 0 to 4, equally often


class Centred(nn.Module):
    """int8 features to floats of mean 0 and variance 1, some of them left out.

    Dropping whole features, different ones in every batch, is like column sampling of trees.
    """

    def __init__(self, feature_dropout: float) -> None:
        super().__init__()
        self.share = feature_dropout
        self.middle: float | Tensor = MIDDLE
        self.deviation: float | Tensor = DEVIATION

    def read_as(self, n_features: int, n_derived: int, weights: Sequence[float]) -> None:
        """Read the last columns as derived ones, and scale features by their weights.

        Buffers are derived from feature names and weights, and not saved.
        """
        middle = torch.full((n_features,), MIDDLE)
        deviation = torch.full((n_features,), DEVIATION)
        if n_derived:
            middle[-n_derived:] = (N_LEVELS - 1) / 2
            deviation[-n_derived:] = ((N_LEVELS**2 - 1) / 12) ** 0.5
        if weights:
            deviation /= torch.tensor(weights)
        del self.middle, self.deviation
        self.register_buffer("middle", middle, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """float[n, n_features]."""
        kind = features.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        values = ((features.to(dtype) - self.middle) / self.deviation).to(dtype)
        if self.training and self.share:
            mask = torch.rand(1, values.shape[1], device=values.device) >= self.share
            values = values * mask / (1 - self.share)
        return values
