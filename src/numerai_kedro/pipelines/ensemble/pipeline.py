"""Any number of models to one.

{model}.oof_predictions, {model}.model, targets ─► weigh ─► ensemble_weights ─┬─► blend_out_of_fold
                                   {model}.live_predictions ─► settle_weights ◄┘
                                            round_weights ◄────────┴────────► blend_live
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.models.registry import model_names
from numerai_kedro.pipelines.ensemble import nodes


def create_pipeline() -> Pipeline:
    """Wire every registered model in."""
    oof = {model: f"{model}.oof_predictions" for model in model_names()}
    live = {model: f"{model}.live_predictions" for model in model_names()}
    made = {f"{model}__oof": entry for model, entry in oof.items()}
    made |= {f"{model}__model": f"{model}.model" for model in model_names()}
    test_inputs = {
        "history": "history_panel",
        "folds": "folds",
        "meta_model": "meta_model",
        "benchmark_predictions": "benchmark_predictions",
        "score_weights": "score_weights",
    }
    blended = {
        "weights": "ensemble_weights",
        "neutralisation": "neutralisation",
    }
    return Pipeline(
        [
            Node(
                nodes.weigh,
                {**test_inputs, "params": "params:ensemble", **made},
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
                    "neutral_columns": "neutral_columns",
                    "history": "history_panel",
                    "folds": "folds",
                    "benchmark_predictions": "benchmark_predictions",
                    "score_weights": "score_weights",
                    "params": "params:ensemble",
                    "study_store": "study_store",
                    **{
                        f"{model}__validation": f"{model}.validation_predictions"
                        for model in model_names()
                    },
                    **{f"{model}__best_params": f"{model}.best_params" for model in model_names()},
                },
                "neutralisation",
                name="choose_neutralisation",
            ),
            Node(
                nodes.blend_out_of_fold,
                {**blended, **test_inputs, **oof},
                ["ensemble.oof_predictions", "scheme_scores"],
                name="blend_out_of_fold",
            ),
            Node(
                nodes.settle_weights,
                {
                    "weights": "ensemble_weights",
                    **test_inputs,
                    "round_info": "round_info",
                    "params": "params:ensemble",
                    **{f"{model}__oof": entry for model, entry in oof.items()},
                    **{f"{model}__live": entry for model, entry in live.items()},
                },
                "round_weights",
                name="settle_weights",
            ),
            Node(
                nodes.blend_live,
                {
                    **blended,
                    "weights": "round_weights",
                    "live_panel": "live_panel",
                    "folds": "folds",
                    "live_benchmarks": "raw_live_benchmarks",
                    **live,
                },
                "ensemble.live_predictions",
                name="blend_live",
            ),
        ]
    )
