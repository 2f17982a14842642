"""Any number of models to one.

{model}.oof_predictions, {model}.live_predictions ─► weigh ─► ensemble_weights ─► blend
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.pipelines.ensemble import nodes
from numerai_kedro.pipelines.gbm.pipeline import MODELS


def create_pipeline() -> Pipeline:
    """Wire every registered model in."""
    members = {
        f"{model}__{part}": f"{model}.{part}_predictions"
        for model in MODELS
        for part in ("oof", "live")
    }
    return Pipeline(
        [
            Node(nodes.weigh, members, "ensemble_weights", name="weigh_members"),
            Node(
                nodes.blend_predictions,
                {"weights": "ensemble_weights", **members},
                ["ensemble.oof_predictions", "ensemble.live_predictions"],
                name="blend_members",
            ),
        ]
    )
