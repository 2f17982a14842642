"""What features are worth before any model, window by window.

history_panel, folds ─► tabulate ─► linear_effect_by_era, rank_effect_by_era, information_by_era
these, products of features ─► find_verdicts ─► feature_report ─► trace_effects ─► effect_trend
history_panel, folds ─► compress ─► latent_panel, encoders ─► judge_latents ─► latent_report
history_panel, folds ─► derive_features ─► own_feature_panel, live_transforms
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.pipelines.feature_engineering import nodes


def create_pipeline() -> Pipeline:
    """Wire it; a window's partition is learned from the window's eras alone."""
    return Pipeline([*_effects(), *_latents(), _own_transforms()])


def _effects() -> list[Node]:
    """Effects by era, and verdicts by window."""
    return [
        Node(
            nodes.tabulate,
            ["history_panel", "folds", "era_tables"],
            ["linear_effect_by_era", "rank_effect_by_era", "information_by_era"],
            name="tabulate_features",
        ),
        Node(
            nodes.find_verdicts,
            [
                "history_panel",
                "folds",
                "linear_effect_by_era",
                "rank_effect_by_era",
                "information_by_era",
                "block_gram",
                "fold_store",
                "resource_plan",
                "params:feature_engineering",
                "params:resources",
            ],
            "feature_report",
            name="find_verdicts",
        ),
        Node(
            nodes.trace_effects,
            ["linear_effect_by_era", "feature_report", "folds", "params:feature_engineering"],
            ["effect_trend", "drifting_effects"],
            name="trace_effects",
        ),
    ]


def _latents() -> list[Node]:
    """Latents of each window, and what they are worth."""
    return [
        Node(
            nodes.compress,
            [
                "history_panel",
                "folds",
                "resource_plan",
                "run_schedule",
                "fold_store",
                "params:vae",
                "params:resources",
            ],
            [
                "latent_panel",
                "live_encoders",
                "latent_encoders",
                "vae.recovery",
                "vae.fit_readings",
            ],
            name="compress",
        ),
        Node(
            nodes.judge_latents,
            [
                "history_panel",
                "folds",
                "latent_panel",
                "latent_encoders",
                "block_gram",
                "fold_store",
            ],
            "latent_report",
            name="judge_latents",
        ),
    ]


def _own_transforms() -> Node:
    """Columns by the user's own feature transformations."""
    return Node(
        nodes.derive_features,
        ["history_panel", "folds", "fold_store", "params:own_transforms"],
        ["own_feature_panel", "live_transforms"],
        name="derive_features",
    )
