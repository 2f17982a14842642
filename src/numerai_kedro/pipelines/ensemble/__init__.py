"""Pipeline `ensemble`."""

from numerai_kedro.pipelines.ensemble.pipeline import create_pipeline

__all__ = ["create_pipeline"]
