"""What every network begins with: int8 features as centred floats."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MIDDLE, DEVIATION = 2.0, 2**0.5  # of features, which are 0 to 4, each as often as the others


class Centred(nn.Module):
    """int8 features of five values to floats of mean 0 and variance 1, some of them left out.

    Leaving out whole features, other ones in every batch, is to a network what column sampling is
    to trees.
    """

    def __init__(self, feature_dropout: float) -> None:
        super().__init__()
        self.share = feature_dropout

    def forward(self, features: Tensor) -> Tensor:
        """float[n, n_features]."""
        kind = features.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        values = (features.to(dtype) - MIDDLE) / DEVIATION
        if self.training and self.share:
            kept = torch.rand(1, values.shape[1], device=values.device) >= self.share
            values = values * kept / (1 - self.share)
        return values
