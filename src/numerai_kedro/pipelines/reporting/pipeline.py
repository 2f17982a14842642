"""What people look at.

era_scores ─► cumulative_corr_plot, drawdown_plot ─┐
tournament ─► live_scores ─► live_scores_plot ─────┼─► dashboard
{model}.trials ─► trial_history ─► leaderboard ────┤
live_scores, gate ─► run_history ─┐                │
round, folds, report, gate, receipts ─► run_summary ┘
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.pipelines.gbm.pipeline import MODELS
from numerai_kedro.pipelines.reporting import nodes

PLOTS = [
    "cumulative_corr_plot",
    "drawdown_plot",
    "live_scores_plot",
    "optimisation_history_plot",
    "parameter_importance_plot",
    "importance_plot",
    "strength_plot",
]


def create_pipeline() -> Pipeline:
    """Wire the report."""
    return Pipeline(
        [
            Node(
                nodes.fetch_live_scores,
                ["tournament", "slots"],
                "live_scores",
                name="fetch_live_scores",
                tags=["always"],
            ),
            Node(
                nodes.join_history,
                ["live_scores", "gate_decision"],
                "run_history",
                name="join_history",
            ),
            Node(nodes.draw_cumulative_corr, "era_scores", PLOTS[0], name="draw_cumulative_corr"),
            Node(nodes.draw_drawdown, "era_scores", PLOTS[1], name="draw_drawdown"),
            Node(nodes.draw_live_scores, "live_scores", PLOTS[2], name="draw_live_scores"),
            Node(
                nodes.join_trials,
                {model: f"{model}.trials" for model in MODELS},
                "trial_history",
                name="join_trials",
            ),
            Node(
                nodes.join_importance,
                {model: f"{model}.importance_by_era" for model in MODELS},
                "importance_history",
                name="join_importance",
            ),
            Node(nodes.draw_importance, "importance_history", PLOTS[5], name="draw_importance"),
            Node(nodes.rank_trials, ["trial_history", "folds"], "leaderboard", name="rank_trials"),
            Node(
                nodes.draw_optimisation_history,
                "trial_history",
                PLOTS[3],
                name="draw_optimisation_history",
            ),
            Node(
                nodes.draw_parameter_importance,
                "trial_history",
                PLOTS[4],
                name="draw_parameter_importance",
            ),
            Node(
                nodes.draw_strength,
                {model: f"{model}.outcome" for model in MODELS},
                PLOTS[6],
                name="draw_strength",
            ),
            Node(
                nodes.build_summary,
                {
                    "round_info": "round_info",
                    "folds": "folds",
                    "report": "backtest_report",
                    "gate_decision": "gate_decision",
                    "receipts": "submission_receipt",
                    "slots": "slots",
                    "resource_plan": "resource_plan",
                    "run_history": "run_history",
                    "importance_history": "importance_history",
                    "score_weights": "score_weights",
                    "params": "params:ingestion",
                    **{model: f"{model}.outcome" for model in MODELS},
                },
                "run_summary",
                name="summarise_run",
            ),
            Node(
                nodes.build_dashboard,
                ["run_summary", "leaderboard", *PLOTS],
                "dashboard",
                name="build_dashboard",
            ),
        ]
    )
