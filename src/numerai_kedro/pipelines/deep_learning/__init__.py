"""Pipeline `deep_learning`."""

from numerai_kedro.pipelines.deep_learning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
