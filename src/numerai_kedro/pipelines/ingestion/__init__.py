"""Pipeline `ingestion`."""

from numerai_kedro.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
