"""Pipeline `weekly`."""

from numerai_kedro.pipelines.weekly.pipeline import create_pipeline

__all__ = ["create_pipeline"]
