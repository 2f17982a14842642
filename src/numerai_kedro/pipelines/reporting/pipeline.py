"""Tables, figures and the page that shows them.

era_scores ─► plots of scores, payouts, exposure ──┐
era_scores, readings ─► version_history ─► plot ───┤
tournament ─► live_scores ─► live_scores_plot ─────┼─► dashboard
{model}.trials ─► trial_history ─► leaderboard ────┤
{model}.recovery ─► recovery_ledger ───────────────┤
live_scores, gate ─► run_history ─┐                │
round, folds, report, gate, receipts ─► run_summary ┘
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.models.registry import ENCODER, model_names
from numerai_kedro.pipelines.reporting import nodes
from numerai_kedro.pipelines.wiring import as_named, of_models

PLOTS = [
    "cumulative_corr_plot",
    "cumulative_mmc_plot",
    "drawdown_plot",
    "weights_plot",
    "exposure_plot",
    "payout_plot",
    "burn_plot",
    "live_scores_plot",
    "optimisation_history_plot",
    "parameter_importance_plot",
    "effects_plot",
    "effects_by_era_plot",
    "importance_plot",
    "effect_trend_plot",
    "latents_plot",
    "feature_graph_plot",
    "strength_plot",
    "version_plot",
]
READINGS = ("tuning", "fold", "fit")


def create_pipeline() -> Pipeline:
    """Wire the report."""
    parts = (_record, _versions, _models, _features, _tuning, _page)
    return Pipeline([node for part in parts for node in part()])


def _record() -> list[Node]:
    """What this round's blend earned in the test period, and live."""
    return [
        Node(
            nodes.fetch_live_scores,
            ["tournament", "slots"],
            "live_scores",
            name="fetch_live_scores",
            tags=["always"],  # scores change every day, which no fingerprint shows
        ),
        Node(
            nodes.join_history,
            ["live_scores", "gate_decision"],
            "run_history",
            name="join_history",
        ),
        Node(
            nodes.draw_cumulative,
            ["round_scores", "round_report"],
            ["cumulative_corr_plot", "cumulative_mmc_plot"],
            name="draw_cumulative",
        ),
        Node(nodes.draw_drawdown, "round_scores", "drawdown_plot", name="draw_drawdown"),
        Node(nodes.draw_weights, "round_weights", "weights_plot", name="draw_weights"),
        Node(nodes.draw_exposure, "round_scores", "exposure_plot", name="draw_exposure"),
        Node(
            nodes.draw_payout,
            ["round_scores", "score_weights", "folds"],
            ["payout_plot", "burn_plot"],
            name="draw_payout",
        ),
        Node(nodes.draw_live_scores, "live_scores", "live_scores_plot", name="draw_live_scores"),
    ]


def _versions() -> list[Node]:
    """Weighting schemes, and versions of code and procedure."""
    return [
        Node(
            nodes.compare_schemes,
            ["scheme_scores", "folds"],
            "scheme_report",
            name="compare_schemes",
        ),
        Node(
            nodes.note_version,
            {
                **as_named("era_scores", "procedures"),
                "weights": "ensemble_weights",
                **as_named("score_weights", "folds", "version_store"),
                **{
                    f"{model}__{kind}": f"{model}.{kind}_readings"
                    for model in model_names()
                    for kind in READINGS
                },
                f"{ENCODER}__fit": f"{ENCODER}.fit_readings",
            },
            "version_history",
            name="note_version",
        ),
        Node(nodes.draw_versions, "version_history", "version_plot", name="draw_versions"),
    ]


def _models() -> list[Node]:
    """Trials, repairs and feature importance of models."""
    return [
        Node(
            nodes.join_trials,
            of_models("trials"),
            "trial_history",
            name="join_trials",
        ),
        Node(
            nodes.join_recovery,
            {
                f"{model}__{entry}": f"{model}.{entry}"
                for model in model_names()
                for entry in ("trials", "recovery", "fit_report")
            }
            | {f"{ENCODER}__recovery": f"{ENCODER}.recovery"},
            "recovery_ledger",
            name="join_recovery",
        ),
        Node(
            nodes.join_importance,
            of_models("importance_by_era"),
            "importance_history",
            name="join_importance",
        ),
        Node(
            nodes.draw_importance,
            "importance_history",
            "importance_plot",
            name="draw_importance",
        ),
    ]


def _features() -> list[Node]:
    """Effects, latents and the graph of features."""
    return [
        Node(
            nodes.draw_effects,
            [
                "linear_effect_by_era",
                "feature_report",
                "folds",
                "params:feature_engineering",
            ],
            ["effects_plot", "effects_by_era_plot"],
            name="draw_effects",
        ),
        Node(
            nodes.draw_trend,
            ["effect_trend", "importance_history"],
            "effect_trend_plot",
            name="draw_trend",
        ),
        Node(nodes.draw_latents, "latent_report", "latents_plot", name="draw_latents"),
        Node(
            nodes.draw_graph,
            ["feature_graph", "feature_metadata"],
            "feature_graph_plot",
            name="draw_graph",
        ),
    ]


def _tuning() -> list[Node]:
    """Results of tuning."""
    return [
        Node(
            nodes.compare_options,
            ["trial_history", "folds"],
            "option_report",
            name="compare_options",
        ),
        Node(nodes.rank_trials, ["trial_history", "folds"], "leaderboard", name="rank_trials"),
        Node(
            nodes.draw_optimisation_history,
            "trial_history",
            "optimisation_history_plot",
            name="draw_optimisation_history",
        ),
        Node(
            nodes.draw_parameter_importance,
            "trial_history",
            "parameter_importance_plot",
            name="draw_parameter_importance",
        ),
        Node(
            nodes.draw_strength,
            of_models("outcome"),
            "strength_plot",
            name="draw_strength",
        ),
    ]


def _page() -> list[Node]:
    """The summary, and the page that shows everything."""
    return [
        Node(
            nodes.build_summary,
            {
                **as_named("round_info", "folds"),
                "report": "round_report",
                "gate_decision": "gate_decision",
                "receipts": "submission_receipt",
                **as_named(
                    "slots",
                    "resource_plan",
                    "run_history",
                    "importance_history",
                    "score_weights",
                    "payout_notes",
                    "version_change",
                    "scheme_report",
                    "champions",
                    "neutralisation",
                    "feature_report",
                    "drifting_effects",
                    "latent_report",
                    "graph_changes",
                    "graph_report",
                    "option_report",
                ),
                "params": "params:ingestion",
                **of_models("outcome"),
            },
            "run_summary",
            name="summarise_run",
        ),
        Node(
            nodes.build_dashboard,
            ["run_summary", "leaderboard", "recovery_ledger", *PLOTS],
            "dashboard",
            name="build_dashboard",
        ),
    ]
