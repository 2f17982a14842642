"""A variational autoencoder of the features with a head that predicts the targets.

The encoder has to keep what the decoder needs to tell each feature's five values, and what the
head needs to predict; the second alone decides what it is worth as a model.

References
----------
Kingma and Welling (2014), Auto-encoding variational Bayes, ICLR; Kingma et al. (2016), Improving
variational inference with inverse autoregressive flow, NeurIPS, for free bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from numerai_kedro.models.network import NetworkModel, Size
from numerai_kedro.training.network_params import NetworkParams

if TYPE_CHECKING:
    from torch import nn

    from numerai_kedro.strict import Block


class VaeParams(NetworkParams):
    """Sizes, and how much reconstruction counts; what each does stands beside the presets."""

    d_hidden: int = Field(gt=0)
    d_latent: int = Field(gt=0)
    beta: float = Field(ge=0)
    beta_warm_up: float = Field(gt=0, le=1)
    free_nats: float = Field(ge=0)
    reconstruction_weight: float = Field(ge=0)


class VaeHead(NetworkModel):
    """See the module; `training.protocol.Model` has the contract."""

    version: ClassVar[int] = 2
    params_type: ClassVar[type[Block]] = VaeParams

    def build(self, n_features: int, n_targets: int) -> nn.Module:
        """Make the network with fresh weights."""
        from numerai_kedro.models.modules.vae import SupervisedVae

        return SupervisedVae(self.params, n_features, n_targets)

    @classmethod
    def size(cls, params: VaeParams, n_features: int, n_targets: int) -> Size:
        """Encoder, decoder to five values a feature, head."""
        h, z = params.d_hidden, params.d_latent
        weights = n_features * h + 4 * h * z + 5 * h * n_features + h * n_targets
        return Size(weights, weights, 17 * n_features + 8 * h + 6 * z)
