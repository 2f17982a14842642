"""Pipeline `submit`."""

from numerai_kedro.pipelines.submit.pipeline import create_pipeline

__all__ = ["create_pipeline"]
