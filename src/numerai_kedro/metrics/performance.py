"""Summaries of per-era scores: Sharpe ratio and drawdown."""

from __future__ import annotations

import numpy as np

from numerai_kedro.metrics.ranks import Vector


def sharpe(scores: Vector) -> float:
    """Mean over standard deviation of per-era scores, per era: not annualised.

    Overlapping targets make neighbouring eras dependent; scaling by the square root of 52 would
    assume independence.
    """
    resolved = scores[~np.isnan(scores)]
    deviation = resolved.std(ddof=1) if len(resolved) > 1 else 0.0
    return float(resolved.mean() / deviation) if deviation > 0 else float("nan")


def drawdown_by_era(scores: Vector) -> Vector:
    """How far the cumulative score is below its highest point so far, era by era (>= 0)."""
    cumulative = np.cumsum(np.nan_to_num(scores))
    peak = np.maximum.accumulate(np.maximum(cumulative, 0.0))
    return peak - cumulative


def max_drawdown(scores: Vector) -> float:
    """Deepest fall of the cumulative score from a peak, in units of score."""
    return float(drawdown_by_era(scores).max(initial=0.0))
