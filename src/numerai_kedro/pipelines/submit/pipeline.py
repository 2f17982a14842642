"""The half of the week that needs live data; see `pipelines/weekly`."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from numerai_kedro.pipelines.weekly.pipeline import submit_pipeline


def create_pipeline() -> Pipeline:
    """Cut it out of the week."""
    return submit_pipeline()
