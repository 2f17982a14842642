"""A transformer over patches of features: a row is a sequence of tokens, one per patch.

References
----------
Gorishniy et al. (2021), Revisiting deep learning models for tabular data, NeurIPS, for features as
tokens; patches in place of single features keep 3,555 of them in a sequence of 223. Hu et al.
(2022), LoRA: low-rank adaptation of large language models, ICLR, for the updates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from numerai_kedro.models.network import NetworkModel, Size, bytes_of, tensors_of
from numerai_kedro.training.network_params import NetworkParams
from numerai_kedro.training.protocol import NO_CONTEXT, FitContext, FitProgress, no_progress

if TYPE_CHECKING:
    from torch import nn

    from numerai_kedro.data import EraPanel
    from numerai_kedro.strict import Block

SAMPLED_ROWS = 20_000  # for correlations, whose error is then below .01


class TransformerParams(NetworkParams):
    """Sizes of the encoder, and how it is updated; see the presets for their effects."""

    patch: int = Field(gt=0)
    d_token: int = Field(gt=0)
    n_layers: int = Field(gt=0)
    n_heads: int = Field(gt=0)
    d_feedforward: int = Field(gt=0)
    lora_rank: int = Field(gt=0)
    update_epochs: int = Field(gt=0)
    update_rate: float = Field(gt=0)


class Transformer(NetworkModel):
    """See the module; `training.protocol.Model` has the contract."""

    params_type: ClassVar[type[Block]] = TransformerParams
    reads_groups: ClassVar[bool] = True

    def __init__(self, params: Any, *, seed: int, threads: int, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, threads=threads, device=device)
        self.order: list[int] = []

    def prepare(self, train: EraPanel, context: FitContext) -> None:
        """Order the features so that related ones share a patch."""
        self.order = patch_order(train, context.groups, self.seed)

    def build(self, n_features: int, n_targets: int) -> nn.Module:
        """Make the network with fresh weights."""
        from numerai_kedro.models.modules.transformer import (
            FeatureTransformer,
            FeatureTransformerConfig,
        )

        sizes = self.params.model_dump(include=set(FeatureTransformerConfig.SIZES))
        return FeatureTransformer(
            FeatureTransformerConfig(
                n_features=n_features, n_targets=n_targets, order=self.order, **sizes
            )
        )

    def updated(
        self,
        train: EraPanel,
        target: str,
        progress: FitProgress = no_progress,
        context: FitContext = NO_CONTEXT,
    ) -> Self:
        """A model whose adapters and head have learned newer eras; other weights are unchanged.

        Parameters
        ----------
        train
            The newest eras; `target` is the same as in the fit.
        """
        from numerai_kedro.models.modules.transformer import with_adapters

        model = type(self)(self.params, seed=self.seed, threads=self.threads, device=self.device)
        model.feature_names, model.targets = self.feature_names, self.targets
        model.order, model.weights = self.order, self.weights
        learned = self.params.model_copy(
            update={"epochs": self.params.update_epochs, "learning_rate": self.params.update_rate}
        )
        weights = self._tensors()
        model._train(
            lambda: with_adapters(model._restored(weights), self.params.lora_rank),
            train.select(features=self.feature_names),
            None,
            learned,
            progress,
            context,
        )
        return model

    @classmethod
    def size(cls, params: TransformerParams, n_features: int, n_targets: int) -> Size:
        """Patches to tokens, then layers of attention and feed-forward."""
        d, f = params.d_token, params.d_feedforward
        n_tokens = -(-n_features // params.patch)
        layer = 4 * d * d + 2 * d * f
        weights = n_features * d + params.n_layers * layer + n_tokens * d + d * n_targets
        attention = 2 * n_tokens * d
        products = n_features * d + n_tokens * params.n_layers * (layer + attention)
        floats = n_tokens * params.n_layers * (14 * d + 2 * f)
        return Size(weights, products, floats + 3 * n_features)

    def _tensors(self) -> dict[str, bytes]:
        """The fitted weights; adapters are separate from the base network."""
        from numerai_kedro.models.modules.transformer import adapters_of, without_adapters

        base, adapters = without_adapters(self._fitted()), adapters_of(self._fitted())
        parts = {"network": bytes_of(base)}
        return parts | ({"adapters": bytes_of(adapters)} if adapters else {})

    def _restored(self, parts: dict[str, bytes]) -> nn.Module:
        from numerai_kedro.models.modules.transformer import set_adapters, with_adapters

        network = super()._restored(parts)
        if "adapters" not in parts:
            return network
        adapted = with_adapters(network, self.params.lora_rank)
        set_adapters(adapted, tensors_of(parts["adapters"]))
        return adapted


def patch_order(train: EraPanel, groups: tuple[tuple[str, ...], ...], seed: int) -> list[int]:
    """Positions of the features, ordered by group and then by correlation.

    Inside a group, by the leaves of a hierarchical clustering of the correlations of some training
    rows, so that a patch holds related features.

    Parameters
    ----------
    groups
        Names by official group; features without one, such as latents, form one more.
    """
    position = {name: k for k, name in enumerate(train.feature_names)}
    members = [[position[name] for name in group if name in position] for group in groups]
    grouped = {k for group in members for k in group}
    ungrouped = [k for k in position.values() if k not in grouped]
    members = [group for group in (*members, ungrouped) if group]
    rows = sampled_rows(train, seed)
    order: list[int] = []
    for group in members:
        order += [group[k] for k in _leaves(rows[:, group])]
    return order


def sampled_rows(train: EraPanel, seed: int) -> npt.NDArray[np.int8]:
    """The same number of random rows of each era, int8[n, n_features]."""
    rng = np.random.default_rng(seed)
    each = max(2, SAMPLED_ROWS // len(train.eras))
    pieces = []
    for era in train.eras:
        rows = train.features(int(era))
        chosen = rng.choice(len(rows), size=min(each, len(rows)), replace=False)
        pieces.append(rows[np.sort(chosen)])
    return np.concatenate(pieces)


def _leaves(rows: npt.NDArray[np.int8]) -> list[int]:
    """Order of the columns that puts correlated ones next to each other."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if rows.shape[1] < 3:
        return list(range(rows.shape[1]))
    values = rows.astype(np.float32)
    values -= values.mean(axis=0)
    values /= np.maximum(values.std(axis=0), 1e-6)
    distance = 1 - np.abs(values.T @ values) / len(values)
    np.fill_diagonal(distance, 0)
    condensed = squareform(np.clip(distance, 0, 1), checks=False)
    return [int(k) for k in leaves_list(linkage(condensed, "average"))]
