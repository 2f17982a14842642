"""Gradient boosting: the model template once for each family."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from numerai_kedro.models.registry import BOOSTED
from numerai_kedro.pipelines.base_model import create_model_pipeline


def create_pipeline() -> Pipeline:
    """Sum the families."""
    return sum((create_model_pipeline(name) for name in BOOSTED), Pipeline([]))
