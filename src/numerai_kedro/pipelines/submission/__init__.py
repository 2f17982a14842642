"""Pipeline `submission`."""

from numerai_kedro.pipelines.submission.pipeline import create_pipeline

__all__ = ["create_pipeline"]
