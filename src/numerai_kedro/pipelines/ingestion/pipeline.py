"""From the tournament to panel, folds and plan.

tournament ─► find_round ─► round_info ─► name_weights ─► score_weights, payout_notes
tournament ─► features.json ─► plan (logged before any large download) ─► downloads
train, validation ─► history_panel ─┬─► folds
live ─────────────► live_panel ─────┘
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.pipelines.ingestion import nodes
from numerai_kedro.pipelines.ingestion.planning import plan
from numerai_kedro.pipelines.wiring import as_named, parameters_of_models

FILES = {
    "raw_train": "train.parquet",
    "raw_validation": "validation.parquet",
    "raw_live": "live.parquet",
    "meta_model": "meta_model.parquet",
    "raw_train_benchmarks": "train_benchmark_models.parquet",
    "raw_validation_benchmarks": "validation_benchmark_models.parquet",
    "raw_live_benchmarks": "live_benchmark_models.parquet",
}
OF_ROUND = ("raw_live", "raw_live_benchmarks")


def create_pipeline() -> Pipeline:
    """Wire the ingestion."""
    return Pipeline([*_plan(), *_downloads(), *_panels()])


def _plan() -> list[Node]:
    """Which round it is, how it pays, and what fits on this machine."""
    return [
        Node(
            nodes.find_round,
            ["tournament", "params:ingestion"],
            "round_info",
            name="find_round",
            tags=["always"],
        ),
        Node(
            nodes.offer("features.json"),
            ["tournament", "round_info", "params:ingestion"],
            "feature_metadata",
            name="download_feature_metadata",
            tags=["always"],
        ),
        Node(
            plan,
            {
                **as_named(
                    "tournament", "feature_metadata", "machine", "fold_store", "study_store"
                ),
                "params": "params:ingestion",
                "resources": "params:resources",
                "tuning": "params:tuning",
                "incremental": "params:incremental",
                "feature_engineering": "params:feature_engineering",
                "vae": "params:vae",
                "feature_graph": "params:feature_graph",
                "own_transforms": "params:own_transforms",
                **parameters_of_models(),
            },
            ["resource_plan", "resource_readings", "run_schedule"],
            name="plan_resources",
            tags=["always"],
        ),
        Node(
            nodes.name_weights,
            ["round_info", "params:ingestion", "params:tuning", "rule_store"],
            ["score_weights", "payout_notes"],
            name="name_weights",
        ),
    ]


def _panels() -> list[Node]:
    """Turn files into panels, benchmarks and folds."""
    return [
        Node(
            nodes.read_history,
            ["raw_train", "raw_validation", "feature_metadata", "params:ingestion"],
            "history_panel",
            name="build_history_panel",
        ),
        Node(
            nodes.compare_versions,
            "history_panel",
            "version_change",
            name="compare_versions",
        ),
        Node(
            nodes.name_version,
            ["round_info", "history_panel"],
            "history_version",
            name="name_version",
        ),
        Node(
            nodes.read_live,
            ["raw_live", "feature_metadata", "history_panel", "params:ingestion"],
            "live_panel",
            name="build_live_panel",
        ),
        Node(
            nodes.offer_learned_live,
            ["tournament", "round_info", "learned_versions", "resource_plan"],
            "raw_learned_live",
            name="download_learned_live",
            tags=["always"],
        ),
        Node(
            nodes.read_learned_live,
            ["raw_learned_live", "history_panel"],
            "learned_live_panel",
            name="build_learned_live_panel",
        ),
        Node(
            nodes.join_benchmarks,
            ["raw_train_benchmarks", "raw_validation_benchmarks"],
            "benchmark_predictions",
            name="join_benchmarks",
        ),
        Node(
            nodes.cut_folds,
            ["history_panel", "feature_metadata", "params:ingestion"],
            "folds",
            name="cut_folds",
        ),
    ]


def _downloads() -> list[Node]:
    """One node per file; an unchanged local file is not fetched again."""
    return [
        Node(
            nodes.offer(file, of_round=entry in OF_ROUND),
            ["tournament", "round_info", "params:ingestion", "resource_plan"],
            entry,
            name=f"download_{entry.removeprefix('raw_')}",
            tags=["always"],
        )
        for entry, file in FILES.items()
    ]
