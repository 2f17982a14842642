"""Pipeline `feature_engineering`."""

from numerai_kedro.pipelines.feature_engineering.pipeline import create_pipeline

__all__ = ["create_pipeline"]
