"""Pipeline `gbm`."""

from numerai_kedro.pipelines.gbm.pipeline import create_pipeline

__all__ = ["create_pipeline"]
