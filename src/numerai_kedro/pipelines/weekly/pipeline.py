"""The whole week.

    ingestion ─► gbm ─► ensemble ─► backtest ─► submission ─► reporting

A package of its own: `kedro run --pipeline=X` imports `pipelines/X` only (docs/architecture.md).
"""

from __future__ import annotations

from kedro.pipeline import Pipeline

from numerai_kedro.pipelines import backtest, ensemble, gbm, ingestion, reporting, submission

PARTS = (ingestion, gbm, ensemble, backtest, submission, reporting)


def create_pipeline() -> Pipeline:
    """Sum the parts in the order in which data flows."""
    return sum((part.create_pipeline() for part in PARTS), Pipeline([]))
