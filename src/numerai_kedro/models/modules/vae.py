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

WIDEST = 8.0  # bound of a latent's log-variance: beyond it, exponentials overflow


class SupervisedVae(nn.Module):
    """int8[n, n_features] to float[n, 1, n_targets], and a penalty float[n] while training.

    The penalty is the negative evidence lower bound in nats a feature: the reconstruction loss of
    the features plus the weighted divergence of the latents from noise.
    """

    def __init__(
        self, params: VaeParams, n_features: int, n_targets: int, n_derived: int = 0
    ) -> None:
        super().__init__()
        # Latents of another autoencoder are inputs, but are not reconstructed.
        self.params, self.n_told = params, n_features - n_derived
        self.checkpointed = False
        self.done = 0.0  # share of the training that is done; set by the loop
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

        # A head without weight is not trained, so that targets do not even affect gradient
        # clipping.
        self.head.requires_grad_(params.head_weight > 0)

    def latents(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of each row's latents: float[n, d_latent] each."""
        mean, log_variance = self.encoder(self.centred(features)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-WIDEST, WIDEST)

    def forward(self, features: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Predict; while training, return the penalty as well."""
        mean, log_variance = self.latents(features)
        if not self.training:
            return self.head(mean)[:, None, :]
        drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        predictions = self.head(self._read(drawn))[:, None, :]
        nll = (
            checkpoint(self.told, drawn, features, use_reentrant=False)
            if self.checkpointed
            else self.told(drawn, features)
        )
        nats = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        beta = self.params.beta * min(1.0, self.done / self.params.beta_warm_up)
        noise = nats.clamp(min=self.params.free_nats).sum(dim=1) / self.n_told
        return predictions, self.params.reconstruction_weight * (nll + beta * noise)

    def told(self, drawn: Tensor, features: Tensor) -> Tensor:
        """Reconstruction loss of the features given drawn latents, in nats a feature: float[n]."""
        logits = self.decoder(drawn).view(len(features), self.n_told, N_VALUES)
        labels = features[:, : self.n_told].long()
        return nn.functional.cross_entropy(
            logits.float().transpose(1, 2), labels, reduction="none"
        ).mean(dim=1)

    def _read(self, drawn: Tensor) -> Tensor:
        """The head's input; its gradient to the encoder is scaled by `head_weight`."""
        weight = self.params.head_weight
        return drawn if weight == 1 else weight * drawn + (1 - weight) * drawn.detach()

    def checkpoint_activations(self) -> None:
        """Recompute the decoder, which takes most of the memory, in the backward pass."""
        self.checkpointed = True
