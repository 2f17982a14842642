"""Score the judged eras, say what that is worth, then decide slot by slot.

oof predictions, panel, meta model, benchmark ─► score ─► era_scores ─► report ─► backtest_report
champion_store, live panel ─► predict_champions ─► champion.live_predictions
era_scores, report, what was chosen ─► check_record ─► record_checks
record_checks, live predictions, live panel, champions ─► judge ─► gate_decision ─► crown
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.pipelines.backtest import champions, nodes
from numerai_kedro.pipelines.models import MODELS
from numerai_kedro.pipelines.slots import slots_node


def create_pipeline() -> Pipeline:
    """Wire every registered model in beside the ensemble."""
    chosen = {f"{model}__best": f"{model}.best_params" for model in MODELS}
    fit_reports = {f"{model}__fit": f"{model}.fit_report" for model in MODELS}
    trials = {f"{model}__trials": f"{model}.trials" for model in MODELS}
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
                    **{model: f"params:{model}" for model in MODELS},
                },
                "procedures",
                name="name_procedures",
            ),
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
                "era_scores",
                name="score_backtest",
            ),
            Node(
                nodes.report,
                {
                    "era_scores": "era_scores",
                    "folds": "folds",
                    "score_weights": "score_weights",
                    "procedures": "procedures",
                    "procedure_store": "procedure_store",
                    **{model: f"{model}.trials" for model in MODELS},
                },
                "backtest_report",
                name="report_backtest",
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
                nodes.check_record,
                {
                    "scores": "era_scores",
                    "backtest_report": "backtest_report",
                    "folds": "folds",
                    "ensemble_weights": "ensemble_weights",
                    "params": "params:gate",
                    **chosen,
                    **trials,
                },
                "record_checks",
                name="check_record",
            ),
            Node(
                nodes.judge,
                {
                    "record_checks": "record_checks",
                    "scores": "era_scores",
                    "folds": "folds",
                    "history": "history_panel",
                    "live_panel": "live_panel",
                    "round_info": "round_info",
                    "slots": "slots",
                    "procedures": "procedures",
                    "champion_store": "champion_store",
                    "champions": "champion.live_predictions",
                    "score_weights": "score_weights",
                    "params": "params:gate",
                    "ensemble_weights": "ensemble_weights",
                    "ensemble": "ensemble.live_predictions",
                    **{model: f"{model}.live_predictions" for model in MODELS},
                    **fit_reports,
                },
                "gate_decision",
                name="judge",
            ),
            Node(
                champions.crown,
                {
                    "gate_decision": "gate_decision",
                    "champion_store": "champion_store",
                    "round_info": "round_info",
                    "slots": "slots",
                    "procedures": "procedures",
                    "scores": "era_scores",
                    "folds": "folds",
                    "ensemble_weights": "ensemble_weights",
                    "neutralisation": "neutralisation",
                    **{model: f"{model}.model" for model in MODELS},
                    **fit_reports,
                },
                "champions",
                name="crown_champions",
            ),
        ]
    )
