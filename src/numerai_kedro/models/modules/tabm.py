"""TabM from the authors' package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tabm import TabM as Ensemble
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from numerai_kedro.models.modules.centred import Centred
from numerai_kedro.models.modules.dropout import quickened

if TYPE_CHECKING:
    from numerai_kedro.models.tabm import TabMParams


class TabMNetwork(nn.Module):
    """int8[n, n_features] to float[n, k, n_targets]."""

    def __init__(self, params: TabMParams, n_features: int, n_targets: int) -> None:
        super().__init__()
        self.centred = Centred(params.feature_dropout)
        ensemble = Ensemble.make(
            n_num_features=n_features,
            d_out=n_targets,
            k=params.k,
            n_blocks=params.n_blocks,
            d_block=params.d_block,
            dropout=params.dropout,
        )
        self.ensemble = quickened(ensemble)

    def forward(self, features: Tensor) -> Tensor:
        """Predict every target by every member."""
        return self.ensemble(self.centred(features))

    def checkpoint_activations(self) -> None:
        """Keep only each block's inputs, and recompute the rest in the backward pass."""
        backbone: Any = self.ensemble.backbone
        for block in backbone.blocks:
            plain = block.forward
            block.forward = lambda x, plain=plain: checkpoint(plain, x, use_reentrant=False)
