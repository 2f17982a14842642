"""A transformer over patches of features: a row is a sequence of tokens, one a patch.

References
----------
Gorishniy et al. (2021), Revisiting deep learning models for tabular data, NeurIPS, for features as
tokens; patches in place of single features keep 3,555 of them in a sequence of 223.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PretrainedConfig, PreTrainedModel

from numerai_kedro.models.network import Centred, NetworkModel, NetworkParams

if TYPE_CHECKING:
    from numerai_kedro.strict import Block


class TransformerParams(NetworkParams):
    """Sizes of the encoder; what each does stands beside the presets."""

    patch: int = Field(gt=0)
    d_token: int = Field(gt=0)
    n_layers: int = Field(gt=0)
    n_heads: int = Field(gt=0)
    d_feedforward: int = Field(gt=0)


class FeatureTransformerConfig(PretrainedConfig):
    """What `FeatureTransformer` is made of; saved beside its weights."""

    model_type = "numerai_feature_transformer"

    def __init__(
        self,
        n_features: int = 1,
        n_targets: int = 1,
        patch: int = 16,
        d_token: int = 192,
        n_layers: int = 4,
        n_heads: int = 6,
        d_feedforward: int = 384,
        dropout: float = 0.1,
        feature_dropout: float = 0.0,
        **rest: Any,
    ) -> None:
        self.n_features, self.n_targets, self.patch = n_features, n_targets, patch
        self.d_token, self.n_layers, self.n_heads = d_token, n_layers, n_heads
        self.d_feedforward, self.dropout = d_feedforward, dropout
        self.feature_dropout = feature_dropout
        super().__init__(**rest)


class FeatureTransformer(PreTrainedModel):
    """int8[n, n_features] to float[n, 1, n_targets]."""

    config_class = FeatureTransformerConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True

    def __init__(self, config: FeatureTransformerConfig) -> None:
        super().__init__(config)
        n_tokens = -(-config.n_features // config.patch)
        self.n_padding = n_tokens * config.patch - config.n_features
        self.centred = Centred(config.feature_dropout)
        scale = config.patch**-0.5
        shape = (n_tokens, config.patch, config.d_token)
        self.tokens = nn.Parameter(torch.randn(shape) * scale)
        self.summary = nn.Parameter(torch.randn(1, 1, config.d_token) * 0.02)
        self.encoder = BertModel(
            BertConfig(
                vocab_size=1,
                hidden_size=config.d_token,
                num_hidden_layers=config.n_layers,
                num_attention_heads=config.n_heads,
                intermediate_size=config.d_feedforward,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
                max_position_embeddings=n_tokens + 1,
                attn_implementation="sdpa",
            ),
            add_pooling_layer=False,
        )
        self.head = nn.Linear(config.d_token, config.n_targets)
        self.post_init()

    def forward(self, features: Tensor) -> Tensor:
        """Predict every target from the summary token."""
        values = nn.functional.pad(self.centred(features), (0, self.n_padding))
        patches = values.view(len(values), -1, self.config.patch)
        # Every patch has a matrix of its own: one product for all of them.
        tokens = torch.einsum("ntp,tpd->ntd", patches, self.tokens.to(patches.dtype))
        summary = self.summary.to(tokens.dtype).expand(len(tokens), -1, -1)
        sequence = torch.cat([summary, tokens], dim=1)
        encoded = self.encoder(inputs_embeds=sequence).last_hidden_state
        return self.head(encoded[:, 0])[:, None, :]


class Transformer(NetworkModel):
    """See the module; `training.protocol.Model` has the contract."""

    version: ClassVar[int] = 1
    params_type: ClassVar[type[Block]] = TransformerParams

    def build(self, n_features: int, n_targets: int) -> nn.Module:
        """Make the network with fresh weights."""
        p: TransformerParams = self.params
        return FeatureTransformer(
            FeatureTransformerConfig(
                n_features=n_features,
                n_targets=n_targets,
                patch=p.patch,
                d_token=p.d_token,
                n_layers=p.n_layers,
                n_heads=p.n_heads,
                d_feedforward=p.d_feedforward,
                dropout=p.dropout,
                feature_dropout=p.feature_dropout,
            )
        )
