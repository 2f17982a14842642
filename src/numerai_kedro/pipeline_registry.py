"""Every folder of `pipelines/` with a `create_pipeline` is a pipeline of that name."""

from __future__ import annotations

import warnings

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline


def register_pipelines() -> dict[str, Pipeline]:
    """Find the pipelines; the default is their sum, in which shared nodes count once."""
    # Pipelines share entries across namespaces, such as lightgbm.live_predictions.
    warnings.filterwarnings("ignore", "One or more dataset names contain", UserWarning)
    pipelines = find_pipelines(raise_errors=True)
    pipelines["__default__"] = sum(pipelines.values(), Pipeline([]))
    return pipelines
