"""The half of the week that needs no live data; see `pipelines/weekly`."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from numerai_kedro.pipelines.weekly.pipeline import prepare_pipeline


def create_pipeline() -> Pipeline:
    """Cut it out of the week."""
    return prepare_pipeline()
