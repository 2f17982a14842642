"""Pipeline `prepare`."""

from numerai_kedro.pipelines.prepare.pipeline import create_pipeline

__all__ = ["create_pipeline"]
