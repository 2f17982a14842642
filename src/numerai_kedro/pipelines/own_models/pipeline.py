"""Models of the user's own: the model template once for each that the configuration names."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from numerai_kedro.models.registry import own_models
from numerai_kedro.pipelines.base_model import create_model_pipeline


def create_pipeline() -> Pipeline:
    """Sum the models; empty where there are none."""
    return sum((create_model_pipeline(name) for name in own_models()), Pipeline([]))
