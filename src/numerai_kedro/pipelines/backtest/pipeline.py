"""Score the judged eras, then decide slot by slot.

oof predictions, panel, meta model, benchmark ─► score ─► era_scores, backtest_report
era_scores, live predictions, live panel ─► judge ─► gate_decision (by round and slot)
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.pipelines.backtest import nodes
from numerai_kedro.pipelines.gbm.pipeline import MODELS
from numerai_kedro.pipelines.slots import slots_node


def create_pipeline() -> Pipeline:
    """Wire every registered model in beside the ensemble."""
    return Pipeline(
        [
            Node(
                nodes.score,
                {
                    "history": "history_panel",
                    "folds": "folds",
                    "meta_model": "meta_model",
                    "benchmark_predictions": "benchmark_predictions",
                    "ensemble": "ensemble.oof_predictions",
                    **{model: f"{model}.oof_predictions" for model in MODELS},
                },
                ["era_scores", "backtest_report"],
                name="score_backtest",
            ),
            slots_node(),
            Node(
                nodes.judge,
                {
                    "scores": "era_scores",
                    "folds": "folds",
                    "live_panel": "live_panel",
                    "round_info": "round_info",
                    "slots": "slots",
                    "params": "params:gate",
                    "ensemble": "ensemble.live_predictions",
                    **{model: f"{model}.live_predictions" for model in MODELS},
                },
                "gate_decision",
                name="judge",
            ),
        ]
    )
