"""Networks over all features: the model template once for each."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from numerai_kedro.models.registry import TABULAR
from numerai_kedro.pipelines.base_model import create_model_pipeline


def create_pipeline() -> Pipeline:
    """Sum the networks."""
    return sum((create_model_pipeline(name) for name in TABULAR), Pipeline([]))
