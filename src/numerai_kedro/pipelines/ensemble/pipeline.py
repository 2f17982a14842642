"""Blend any number of models into one.

{model}.oof_predictions, {model}.model, targets ─► weigh ─► ensemble_weights ─┬─► blend_out_of_fold
                                   {model}.live_predictions ─► settle_weights ◄┘
                                            round_weights ◄────────┴────────► blend_live
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.pipelines.ensemble import nodes
from numerai_kedro.pipelines.wiring import as_named, of_models

TEST_INPUTS = {
    "history": "history_panel",
    **as_named("folds", "meta_model", "benchmark_predictions", "score_weights"),
}
BLENDED = {"weights": "ensemble_weights", "neutralisation": "neutralisation"}


def create_pipeline() -> Pipeline:
    """Wire every registered model in."""
    return Pipeline([*_weighing(), *_blending()])


def _weighing() -> list[Node]:
    """Weights of the members, and how the blend is neutralised."""
    return [
        Node(
            nodes.weigh,
            {
                **TEST_INPUTS,
                "params": "params:ensemble",
                **of_models("oof_predictions", "__oof"),
                **of_models("model", "__model"),
            },
            "ensemble_weights",
            name="weigh_members",
        ),
        Node(
            nodes.name_neutral,
            ["folds", "feature_metadata", "history_panel", "params:ensemble"],
            "neutral_columns",
            name="name_neutral",
        ),
        Node(
            nodes.choose_neutralisation,
            {
                "history": "history_panel",
                **as_named("neutral_columns", "folds", "benchmark_predictions"),
                **as_named("score_weights", "study_store"),
                "params": "params:ensemble",
                **of_models("validation_predictions", "__validation"),
                **of_models("best_params", "__best_params"),
            },
            "neutralisation",
            name="choose_neutralisation",
        ),
    ]


def _blending() -> list[Node]:
    """The blend in the test period, and the live one by this round's weights."""
    return [
        Node(
            nodes.blend_out_of_fold,
            {**BLENDED, **TEST_INPUTS, **of_models("oof_predictions")},
            ["ensemble.oof_predictions", "scheme_scores"],
            name="blend_out_of_fold",
        ),
        Node(
            nodes.settle_weights,
            {
                "weights": "ensemble_weights",
                **TEST_INPUTS,
                "round_info": "round_info",
                "params": "params:ensemble",
                **of_models("oof_predictions", "__oof"),
                **of_models("live_predictions", "__live"),
            },
            "round_weights",
            name="settle_weights",
        ),
        Node(
            nodes.blend_live,
            {
                **BLENDED,
                "weights": "round_weights",
                **as_named("live_panel", "folds"),
                "live_benchmarks": "raw_live_benchmarks",
                **of_models("live_predictions"),
            },
            "ensemble.live_predictions",
            name="blend_live",
        ),
    ]
