"""A variational autoencoder of the features with a head that predicts the targets.

The latents keep what the decoder needs to reconstruct each feature's five values, and what the head
needs to predict; as a model, only the head's predictions count.

References
----------
Kingma and Welling (2014), Auto-encoding variational Bayes, ICLR; Kingma et al. (2016), Improving
variational inference with inverse autoregressive flow, NeurIPS, for free bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from numerai_kedro.data.joined import N_LEVELS, n_derived
from numerai_kedro.models.network import NetworkModel, Size
from numerai_kedro.training.network_params import NetworkParams
from numerai_kedro.training.protocol import (
    NO_CONTEXT,
    EarlyStoppingSplit,
    FitContext,
    FitProgress,
    no_progress,
)

if TYPE_CHECKING:
    from torch import nn

    from numerai_kedro.data import EraPanel
    from numerai_kedro.strict import Block

ERAS_FOR_EDGES = 20


class VaeParams(NetworkParams):
    """Sizes, and the weight of reconstruction; see the presets for their effects."""

    d_hidden: int = Field(gt=0)
    d_latent: int = Field(gt=0)
    beta: float = Field(ge=0)
    beta_warm_up: float = Field(gt=0, le=1)
    free_nats: float = Field(ge=0)
    reconstruction_weight: float = Field(ge=0)
    head_weight: float = Field(ge=0, le=1)


class VaeHead(NetworkModel):
    """See the module; `training.protocol.Model` has the contract."""

    params_type: ClassVar[type[Block]] = VaeParams

    def build(self, n_features: int, n_targets: int) -> nn.Module:
        """Make the network with fresh weights."""
        from numerai_kedro.models.modules.vae import SupervisedVae

        return SupervisedVae(self.params, n_features, n_targets, n_derived(self.feature_names))

    def fit(
        self,
        train: EraPanel,
        stop: EarlyStoppingSplit | None,
        target: str,
        progress: FitProgress = no_progress,
        context: FitContext = NO_CONTEXT,
    ) -> Self:
        """Train, and compute the edges between the levels of each latent."""
        super().fit(train, stop, target, progress, context)
        step = max(1, len(train.eras) // ERAS_FOR_EDGES)
        latents = [self.latents(train.features(int(era))) for era in train.eras[::step]]
        shares = np.arange(1, N_LEVELS) / N_LEVELS
        self.edges = np.quantile(np.concatenate(latents), shares, axis=0).astype(np.float32)
        return self

    def latents(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Means of the latents of rows, columns as in the training panel: float32[n, d_latent]."""
        import torch

        device = self._device()
        network: Any = self._fitted().to(device)
        pieces = []
        with torch.no_grad():
            for part in self._parts(rows):
                features = torch.from_numpy(part).to(device)
                pieces.append(network.latents(features)[0].cpu().numpy())
        return np.concatenate(pieces).astype(np.float32)

    def levels(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Latents cut into 16 levels that are equally frequent in the training eras.

        Returns
        -------
        int8[n, d_latent], by columns
        """
        columns = self.latents(rows).T
        levels = [np.searchsorted(e, c) for e, c in zip(self.edges.T, columns, strict=True)]
        return np.array(levels, dtype=np.int8).T

    def derive(self, panel: EraPanel) -> npt.NDArray[np.int8]:
        """Levels of the latents of a panel's rows: int8[n_rows, d_latent]."""
        seen = panel.select(features=self.feature_names)
        return np.concatenate([self.levels(seen.features(int(era))) for era in seen.eras])

    def reconstruction_nll(self, rows: npt.NDArray[np.int8]) -> float:
        """Mean negative log-likelihood of a feature given the latents, in nats."""
        import torch

        device = self._device()
        network: Any = self._fitted().to(device)
        nats = 0.0
        with torch.no_grad():
            for part in self._parts(rows):
                features = torch.from_numpy(part).to(device)
                nats += float(network.told(network.latents(features)[0], features).sum())
        return nats / len(rows)

    def _parts(self, rows: npt.NDArray[np.int8]) -> list[npt.NDArray[np.int8]]:
        """Parts of at most `batch_rows` rows."""
        size = self.params.batch_rows
        starts = range(0, len(rows), size)
        return [np.ascontiguousarray(rows[begin : begin + size]) for begin in starts]

    @classmethod
    def size(cls, params: VaeParams, n_features: int, n_targets: int) -> Size:
        """Encoder, decoder to five values a feature, head."""
        h, z = params.d_hidden, params.d_latent
        weights = n_features * h + 4 * h * z + 5 * h * n_features + h * n_targets
        return Size(weights, weights, 17 * n_features + 8 * h + 6 * z)
