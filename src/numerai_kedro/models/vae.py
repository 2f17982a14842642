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

import torch
from pydantic import Field
from torch import Tensor, nn

from numerai_kedro.models.network import Centred, NetworkModel, NetworkParams

if TYPE_CHECKING:
    from numerai_kedro.strict import Block

N_VALUES = 5
WIDEST = 8.0  # of the logarithm of a latent's variance: beyond it exponentials overflow


class VaeParams(NetworkParams):
    """Sizes, and how much reconstruction counts; what each does stands beside the presets."""

    d_hidden: int = Field(gt=0)
    d_latent: int = Field(gt=0)
    beta: float = Field(ge=0)
    beta_warm_up: float = Field(gt=0, le=1)
    free_nats: float = Field(ge=0)
    reconstruction_weight: float = Field(ge=0)


class SupervisedVae(nn.Module):
    """int8[n, n_features] to float[n, 1, n_targets], and a penalty float[n] while training.

    The penalty is what a row's features cost to tell from its latents, and the latents from noise:
    the negative evidence bound in nats a feature.
    """

    def __init__(self, params: VaeParams, n_features: int, n_targets: int) -> None:
        super().__init__()
        self.params, self.n_features = params, n_features
        self.done = 0.0  # share of the training that lies behind; the loop keeps it
        self.centred = Centred(params.feature_dropout)
        self.encoder = nn.Sequential(
            nn.Linear(n_features, params.d_hidden),
            nn.LayerNorm(params.d_hidden),
            nn.SiLU(),
            nn.Dropout(params.dropout),
            nn.Linear(params.d_hidden, 2 * params.d_latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(params.d_latent, params.d_hidden),
            nn.SiLU(),
            nn.Linear(params.d_hidden, N_VALUES * n_features),
        )
        self.head = nn.Sequential(
            nn.Linear(params.d_latent, params.d_hidden),
            nn.SiLU(),
            nn.Dropout(params.dropout),
            nn.Linear(params.d_hidden, n_targets),
        )

    def latents(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of each row's latents: float[n, d_latent] each."""
        mean, log_variance = self.encoder(self.centred(features)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-WIDEST, WIDEST)

    def forward(self, features: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Predict; while training, with the penalty."""
        mean, log_variance = self.latents(features)
        if not self.training:
            return self.head(mean)[:, None, :]
        drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        predictions = self.head(drawn)[:, None, :]
        logits = self.decoder(drawn).view(len(features), self.n_features, N_VALUES)
        told = nn.functional.cross_entropy(
            logits.float().transpose(1, 2), features.long(), reduction="none"
        ).mean(dim=1)
        nats = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        beta = self.params.beta * min(1.0, self.done / self.params.beta_warm_up)
        noise = nats.clamp(min=self.params.free_nats).sum(dim=1) / self.n_features
        return predictions, self.params.reconstruction_weight * (told + beta * noise)


class VaeHead(NetworkModel):
    """See the module; `training.protocol.Model` has the contract."""

    version: ClassVar[int] = 1
    params_type: ClassVar[type[Block]] = VaeParams

    def build(self, n_features: int, n_targets: int) -> nn.Module:
        """Make the network with fresh weights."""
        return SupervisedVae(self.params, n_features, n_targets)
