"""The variational autoencoder with a head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from numerai_kedro.data.era_panel import N_VALUES
from numerai_kedro.models.modules.centred import Centred
from numerai_kedro.models.modules.dropout import Dropout

if TYPE_CHECKING:
    from numerai_kedro.models.vae_head import VaeParams

WIDEST = 8.0  # of the logarithm of a latent's variance: beyond it exponentials overflow


class SupervisedVae(nn.Module):
    """int8[n, n_features] to float[n, 1, n_targets], and a penalty float[n] while training.

    The penalty is what a row's features cost to tell from its latents, and the latents from noise:
    the negative evidence bound in nats a feature.
    """

    def __init__(
        self, params: VaeParams, n_features: int, n_targets: int, n_latents: int = 0
    ) -> None:
        super().__init__()
        # Latents of another autoencoder are read, and not told.
        self.params, self.n_told = params, n_features - n_latents
        self.checkpointed = False
        self.done = 0.0  # share of the training that lies behind; the loop keeps it
        self.centred = Centred(params.feature_dropout)
        self.encoder = nn.Sequential(
            nn.Linear(n_features, params.d_hidden),
            nn.LayerNorm(params.d_hidden),
            nn.SiLU(),
            Dropout(params.dropout),
            nn.Linear(params.d_hidden, 2 * params.d_latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(params.d_latent, params.d_hidden),
            nn.SiLU(),
            nn.Linear(params.d_hidden, N_VALUES * self.n_told),
        )
        self.head = nn.Sequential(
            nn.Linear(params.d_latent, params.d_hidden),
            nn.SiLU(),
            Dropout(params.dropout),
            nn.Linear(params.d_hidden, n_targets),
        )

        # A head without weight is not trained: not even the clipping of gradients may know targets.
        self.head.requires_grad_(params.head_weight > 0)

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
        predictions = self.head(self._read(drawn))[:, None, :]
        told = (
            checkpoint(self.told, drawn, features, use_reentrant=False)
            if self.checkpointed
            else self.told(drawn, features)
        )
        nats = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        beta = self.params.beta * min(1.0, self.done / self.params.beta_warm_up)
        noise = nats.clamp(min=self.params.free_nats).sum(dim=1) / self.n_told
        return predictions, self.params.reconstruction_weight * (told + beta * noise)

    def told(self, drawn: Tensor, features: Tensor) -> Tensor:
        """What the features cost to tell from drawn latents, nats a feature: float[n]."""
        logits = self.decoder(drawn).view(len(features), self.n_told, N_VALUES)
        told = features[:, : self.n_told].long()
        return nn.functional.cross_entropy(
            logits.float().transpose(1, 2), told, reduction="none"
        ).mean(dim=1)

    def _read(self, drawn: Tensor) -> Tensor:
        """What the head gets, whose gradient counts for the encoder by its weight."""
        weight = self.params.head_weight
        return drawn if weight == 1 else weight * drawn + (1 - weight) * drawn.detach()

    def checkpoint_activations(self) -> None:
        """Compute the decoder, which is most of the memory, again in the backward pass."""
        self.checkpointed = True
