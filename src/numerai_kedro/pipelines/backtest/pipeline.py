"""Score the test period, say what that is worth, then decide slot by slot.

oof predictions, panel, meta model, benchmark ─► score ─► era_scores ─► report ─► backtest_report
these two, round_weights, live predictions ─► settle_record ─► round_scores, _report, _checks
champion_store, live panel ─► predict_champions ─► champion.live_predictions
round_*, live predictions, live panel, champions ─► judge ─► gate_decision
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.models.registry import model_names
from numerai_kedro.pipelines.backtest import champions, nodes
from numerai_kedro.pipelines.backtest.judge import judge
from numerai_kedro.pipelines.backtest.settle import settle_record
from numerai_kedro.pipelines.slots import slots_node


def create_pipeline() -> Pipeline:
    """Wire every registered model in beside the ensemble."""
    oof = {model: f"{model}.oof_predictions" for model in model_names()}
    live = {model: f"{model}.live_predictions" for model in model_names()}
    trials = {model: f"{model}.trials" for model in model_names()}
    test_inputs = {
        "history": "history_panel",
        "folds": "folds",
        "meta_model": "meta_model",
        "benchmark_predictions": "benchmark_predictions",
    }
    reported = {
        "score_weights": "score_weights",
        "procedures": "procedures",
        "procedure_store": "procedure_store",
    }
    return Pipeline(
        [
            Node(
                nodes.name_procedures,
                {
                    "folds": "folds",
                    "tuning": "params:tuning",
                    "ensemble": "params:ensemble",
                    "feature_engineering": "params:feature_engineering",
                    "vae": "params:vae",
                    "feature_graph": "params:feature_graph",
                    **{model: f"params:{model}" for model in model_names()},
                },
                "procedures",
                name="name_procedures",
            ),
            Node(
                nodes.score,
                {**test_inputs, "ensemble": "ensemble.oof_predictions", **oof},
                "era_scores",
                name="score_backtest",
            ),
            Node(
                nodes.report,
                {
                    "era_scores": "era_scores",
                    "folds": "folds",
                    **reported,
                    "weights": "ensemble_weights",
                    **trials,
                },
                "backtest_report",
                name="report_backtest",
            ),
            Node(
                settle_record,
                {
                    "weights": "round_weights",
                    "neutralisation": "neutralisation",
                    "era_scores": "era_scores",
                    "backtest_report": "backtest_report",
                    **test_inputs,
                    **reported,
                    "params": "params:gate",
                    **{f"{model}__oof": entry for model, entry in oof.items()},
                    **{f"{model}__live": entry for model, entry in live.items()},
                    **{f"{model}__trials": entry for model, entry in trials.items()},
                },
                ["round_scores", "round_report", "round_checks"],
                name="settle_record",
            ),
            slots_node(),
            Node(
                champions.predict_champions,
                {
                    "champion_store": "champion_store",
                    "live_panel": "live_panel",
                    "slots": "slots",
                    "round_info": "round_info",
                    "folds": "folds",
                    "live_benchmarks": "raw_live_benchmarks",
                    "params": "params:gate",
                },
                "champion.live_predictions",
                name="predict_champions",
            ),
            Node(
                judge,
                {
                    "record_checks": "round_checks",
                    "scores": "round_scores",
                    "weights": "round_weights",
                    "folds": "folds",
                    "history": "history_panel",
                    "live_panel": "live_panel",
                    "live_benchmarks": "raw_live_benchmarks",
                    "round_info": "round_info",
                    "slots": "slots",
                    "procedures": "procedures",
                    "procedure_store": "procedure_store",
                    "champion_store": "champion_store",
                    "champions": "champion.live_predictions",
                    "live_id_store": "live_id_store",
                    "score_weights": "score_weights",
                    "payout_notes": "payout_notes",
                    "params": "params:gate",
                    "ensemble": "ensemble.live_predictions",
                    **live,
                },
                "gate_decision",
                name="judge",
            ),
        ]
    )
