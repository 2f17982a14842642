"""The whole week, and its two halves.

    ingestion ─► feature_engineering ─┬─► gbm ───────────┬─► ensemble ─► backtest ─► submission
                                      ├─► deep_learning ─┤                          ─► reporting
                                      ├─► gnn ───────────┤
                                      └─► own_models ────┘

    prepare   all that needs no live data: hours, any day
    submit    the rest, with the newest finished models: minutes, while a round is open
    weekly    their sum

Packages of their own: `kedro run --pipeline=X` imports `pipelines/X` only (docs/architecture.md).
"""

from __future__ import annotations

from kedro.pipeline import Pipeline

from numerai_kedro.pipelines import (
    backtest,
    deep_learning,
    ensemble,
    feature_engineering,
    gbm,
    gnn,
    ingestion,
    own_models,
    reporting,
    submission,
)

PARTS = (
    ingestion,
    feature_engineering,
    gbm,
    deep_learning,
    gnn,
    own_models,
    ensemble,
    backtest,
    submission,
    reporting,
)
# Both halves ask which round it is, and how it pays.
SHARED = ["find_round", "name_weights"]
# Nodes that run while a round is open; all that depends on them is the second half.
ASKED_LIVE = [
    "download_live",
    "download_live_benchmarks",
    "download_learned_live",
    "name_slots",
    "fetch_live_scores",
]


def create_pipeline() -> Pipeline:
    """Sum the parts in the order in which data flows."""
    return sum((part.create_pipeline() for part in PARTS), Pipeline([]))


def submit_pipeline() -> Pipeline:
    """Cut out what follows from live data."""
    whole = create_pipeline()
    return whole.from_nodes(*ASKED_LIVE) + whole.only_nodes(*SHARED)


def prepare_pipeline() -> Pipeline:
    """Cut out all that needs no live data."""
    whole = create_pipeline()
    return whole - whole.from_nodes(*ASKED_LIVE)
