"""TabM: many MLPs that share most weights, trained in parallel, averaged when they predict.

References
----------
Gorishniy, Kotelnikov and Babenko (2024), TabM: advancing tabular deep learning with
parameter-efficient ensembling, arXiv 2410.24210; the authors' package `tabm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from torch import Tensor, nn

from numerai_kedro.models.network import Centred, NetworkModel, NetworkParams

if TYPE_CHECKING:
    from numerai_kedro.strict import Block


class TabMParams(NetworkParams):
    """Names of the package; what each does stands beside the presets."""

    k: int = Field(gt=0)
    n_blocks: int = Field(gt=0)
    d_block: int = Field(gt=0)


class TabMNetwork(nn.Module):
    """int8[n, n_features] to float[n, k, n_targets]."""

    def __init__(self, params: TabMParams, n_features: int, n_targets: int) -> None:
        from tabm import TabM as Ensemble

        super().__init__()
        self.centred = Centred(params.feature_dropout)
        self.ensemble = Ensemble.make(
            n_num_features=n_features,
            d_out=n_targets,
            k=params.k,
            n_blocks=params.n_blocks,
            d_block=params.d_block,
            dropout=params.dropout,
        )

    def forward(self, features: Tensor) -> Tensor:
        """Predict every target by every member."""
        return self.ensemble(self.centred(features))


class TabM(NetworkModel):
    """See the module; `training.protocol.Model` has the contract."""

    version: ClassVar[int] = 1
    params_type: ClassVar[type[Block]] = TabMParams

    def build(self, n_features: int, n_targets: int) -> nn.Module:
        """Make the network with fresh weights."""
        return TabMNetwork(self.params, n_features, n_targets)
