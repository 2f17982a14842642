"""Training parameters of networks; imports no torch, so that plans are quick."""

from __future__ import annotations

import math
from typing import Self

from pydantic import Field

from numerai_kedro.strict import Block

LEAST_ROWS = 16  # if even these do not fit, the network is too large for the device


class LoopParams(Block):
    """How a network is trained; see parameters_deep_learning.yml."""

    epochs: int = Field(gt=0)
    batch_rows: int = Field(ge=LEAST_ROWS)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warm_up: float = Field(ge=0, lt=1)
    clip_norm: float = Field(gt=0)
    average_decay: float = Field(ge=0, lt=1)
    corr_weight: float = Field(ge=0)
    patience: int = Field(gt=0)


class NetworkParams(LoopParams):
    """Parameters of every network besides its sizes."""

    dropout: float = Field(ge=0, lt=1)
    feature_dropout: float = Field(ge=0, lt=1)
    closing_rate: float = Field(gt=0, le=1)
    more_heads: tuple[str, ...] = ()

    def low_fidelity(self, n_trees: int, row_share: float) -> Self:
        """The same experiment in half the epochs; a trial has fewer rows already."""
        return self.model_copy(update={"epochs": math.ceil(self.epochs / 2)})
