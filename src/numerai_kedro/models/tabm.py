"""TabM: many MLPs that share most weights, trained in parallel, averaged when they predict.

References
----------
Gorishniy, Kotelnikov and Babenko (2024), TabM: advancing tabular deep learning with
parameter-efficient ensembling, arXiv 2410.24210; the authors' package `tabm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from numerai_kedro.models.network import NetworkModel, Size
from numerai_kedro.training.network_params import NetworkParams

if TYPE_CHECKING:
    from torch import nn

    from numerai_kedro.strict import Block


class TabMParams(NetworkParams):
    """The package's own names; see the presets for their effects."""

    k: int = Field(gt=0)
    n_blocks: int = Field(gt=0)
    d_block: int = Field(gt=0)


class TabM(NetworkModel):
    """See the module; `training.protocol.Model` has the contract."""

    params_type: ClassVar[type[Block]] = TabMParams

    def build(self, n_features: int, n_targets: int) -> nn.Module:
        """Make the network with fresh weights."""
        from numerai_kedro.models.modules.tabm import TabMNetwork

        return TabMNetwork(self.params, n_features, n_targets)

    @classmethod
    def size(cls, params: TabMParams, n_features: int, n_targets: int) -> Size:
        """Members share most weights; each has its own scales and last layer."""
        d, k = params.d_block, params.k
        shared = n_features * d + (params.n_blocks - 1) * d * d
        own = n_features + 3 * params.n_blocks * d + d * n_targets
        products = k * (shared + d * n_targets)
        return Size(shared + k * own, products, k * (2 * n_features + 5 * params.n_blocks * d))
