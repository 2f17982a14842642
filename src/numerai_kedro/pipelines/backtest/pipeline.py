"""Score the test period, say what that is worth, then decide slot by slot.

oof predictions, panel, meta model, benchmark ─► score ─► era_scores ─► report ─► backtest_report
these two, round_weights, live predictions ─► settle_record ─► round_scores, _report, _checks
champion_store, live panel ─► predict_champions ─► champion.live_predictions
round_*, live predictions, live panel, champions ─► judge ─► gate_decision, submission (csv)
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.pipelines.backtest import champions, nodes
from numerai_kedro.pipelines.backtest.judge import judge
from numerai_kedro.pipelines.backtest.settle import settle_record
from numerai_kedro.pipelines.slots import slots_node
from numerai_kedro.pipelines.wiring import as_named, of_models, parameters_of_models

TEST_INPUTS = {
    "history": "history_panel",
    **as_named("folds", "meta_model", "benchmark_predictions"),
}
REPORTED = as_named("score_weights", "procedures", "procedure_store")


def create_pipeline() -> Pipeline:
    """Wire every registered model in beside the ensemble."""
    return Pipeline([*_record(), slots_node(), *_decision()])


def _record() -> list[Node]:
    """What models and blend earned in the test period, and the same for this round's blend."""
    return [
        Node(
            nodes.name_procedures,
            {
                "folds": "folds",
                **{name: f"params:{name}" for name in ("tuning", "ensemble", "vae")},
                **{name: f"params:{name}" for name in ("feature_engineering", "feature_graph")},
                "own_transforms": "params:own_transforms",
                **parameters_of_models(),
            },
            "procedures",
            name="name_procedures",
        ),
        Node(
            nodes.score,
            {
                **TEST_INPUTS,
                "ensemble": "ensemble.oof_predictions",
                **of_models("oof_predictions"),
            },
            "era_scores",
            name="score_backtest",
        ),
        Node(
            nodes.report,
            {
                **as_named("era_scores", "folds"),
                **REPORTED,
                "weights": "ensemble_weights",
                **of_models("trials"),
            },
            "backtest_report",
            name="report_backtest",
        ),
        Node(
            settle_record,
            {
                "weights": "round_weights",
                **as_named("neutralisation", "era_scores", "backtest_report"),
                **TEST_INPUTS,
                **REPORTED,
                "params": "params:gate",
                **of_models("oof_predictions", "__oof"),
                **of_models("live_predictions", "__live"),
                **of_models("trials", "__trials"),
            },
            ["round_scores", "round_report", "round_checks"],
            name="settle_record",
        ),
    ]


def _decision() -> list[Node]:
    """What the champions predict, and whose predictions each slot gets."""
    return [
        Node(
            champions.predict_champions,
            {
                **as_named("champion_store", "live_panel", "slots", "round_info", "folds"),
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
                "history": "history_panel",
                "live_benchmarks": "raw_live_benchmarks",
                "champions": "champion.live_predictions",
                **as_named("folds", "live_panel", "round_info", "slots", "procedures"),
                **as_named("procedure_store", "champion_store", "live_id_store"),
                **as_named("score_weights", "payout_notes"),
                "params": "params:gate",
                "ensemble": "ensemble.live_predictions",
                **of_models("live_predictions"),
            },
            ["gate_decision", "submission"],
            name="judge",
        ),
    ]
