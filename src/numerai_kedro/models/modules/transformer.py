"""The feature-token transformer, and its low-rank adapters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import BertConfig, BertModel, PretrainedConfig, PreTrainedModel

from numerai_kedro.models.modules.centred import Centred


class FeatureTransformerConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Configuration of `FeatureTransformer`, saved with its weights."""

    model_type = "numerai_feature_transformer"
    SIZES = (
        "patch",
        "d_token",
        "n_layers",
        "n_heads",
        "d_feedforward",
        "dropout",
        "feature_dropout",
    )

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
        order: Sequence[int] = (),
        **rest: Any,
    ) -> None:
        self.n_features, self.n_targets, self.patch = n_features, n_targets, patch
        self.d_token, self.n_layers, self.n_heads = d_token, n_layers, n_heads
        self.d_feedforward, self.dropout = d_feedforward, dropout
        self.feature_dropout = feature_dropout
        self.order = list(order)
        self.initializer_range = d_token**-0.5
        super().__init__(**rest)


class FeatureTransformer(PreTrainedModel):  # type: ignore[no-untyped-call]
    """int8[n, n_features] to float[n, 1, n_targets]."""

    config_class = FeatureTransformerConfig
    base_model_prefix = "encoder"

    def __init__(self, config: FeatureTransformerConfig) -> None:
        super().__init__(config)
        n_tokens = -(-config.n_features // config.patch)
        self.n_padding = n_tokens * config.patch - config.n_features
        self.centred = Centred(config.feature_dropout)
        order = torch.tensor(config.order or range(config.n_features), dtype=torch.int64)
        self.register_buffer("order", order, persistent=True)
        scale = config.patch**-0.5
        shape = (n_tokens, config.patch, config.d_token)
        self.tokens = nn.Parameter(torch.randn(shape) * scale)
        self.encoder = BertModel(
            BertConfig(  # type: ignore[call-arg]
                vocab_size=1,
                hidden_size=config.d_token,
                num_hidden_layers=config.n_layers,
                num_attention_heads=config.n_heads,
                intermediate_size=config.d_feedforward,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
                max_position_embeddings=n_tokens,
                hidden_act="relu",
                # BERT's own .02 is for a width of 768: narrow tokens would hardly be mixed.
                initializer_range=config.initializer_range,
                attn_implementation="sdpa",
            ),
            add_pooling_layer=False,
        )
        self.head = nn.Linear(config.d_token, config.n_targets)
        self.post_init()  # type: ignore[no-untyped-call]
        # The signal is small: with a random head it would take epochs to emerge from the noise.
        nn.init.zeros_(self.head.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Predict every target from the mean of the encoded tokens."""
        ordered = self.centred(features).index_select(1, self.order)
        values = nn.functional.pad(ordered, (0, self.n_padding))
        patches = values.view(len(values), -1, self.config.patch)
        # Every patch has its own matrix: one product for all of them.
        tokens = torch.einsum("ntp,tpd->ntd", patches, self.tokens.to(patches.dtype))
        encoded = self.encoder(inputs_embeds=tokens).last_hidden_state
        return self.head(encoded.mean(dim=1))[:, None, :]

    def checkpoint_activations(self) -> None:
        """Keep only each layer's inputs, and recompute the rest in the backward pass."""
        for layer in self.encoder.encoder.layer:
            plain = layer.forward
            layer.forward = lambda *given, plain=plain, **named: checkpoint(
                plain, *given, use_reentrant=False, **named
            )


ADAPTED = ("query", "value")
TRAINED_WHOLE = ("head",)


def with_adapters(network: nn.Module, rank: int) -> PeftModel:
    """Freeze a network; add adapters of this rank to its attention, and a trainable head."""
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.05,
        target_modules=list(ADAPTED),
        modules_to_save=list(TRAINED_WHOLE),
    )
    with warnings.catch_warnings():
        # PEFT uses a name that transformers has deprecated.
        warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)
        return get_peft_model(network, config)


def adapters_of(network: nn.Module) -> dict[str, Tensor]:
    """The adapters' weights as PEFT saves them; empty for a network without adapters."""
    if not isinstance(network, PeftModel):
        return {}
    return get_peft_model_state_dict(network)


def set_adapters(network: PeftModel, tensors: dict[str, Tensor]) -> None:
    """Load weights from `adapters_of`."""
    set_peft_model_state_dict(network, tensors)


def without_adapters(network: nn.Module) -> dict[str, Tensor]:
    """The weights of the base network, by their names before adapters were added."""
    if not isinstance(network, PeftModel):
        return network.state_dict()
    weights = {}
    inner: Any = network.base_model.model
    for name, value in inner.state_dict().items():
        if "lora_" in name or ".modules_to_save." in name:
            continue
        weights[name.replace(".base_layer", "").replace(".original_module", "")] = value
    return weights
