"""Pipeline `own_models`."""

from numerai_kedro.pipelines.own_models.pipeline import create_pipeline

__all__ = ["create_pipeline"]
