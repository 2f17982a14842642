"""CORR, Numerai's rank correlation with the target: numerai-tools is the definition."""

from __future__ import annotations

import numpy as np

from numerai_kedro.metrics.ranks import (
    TAIL_POWER,
    Matrix,
    Ranked,
    Vector,
    rank_columns,
    signed_power,
    tables,
)


def corr_of_era(predictions: Matrix, target: Vector) -> Vector:
    """Numerai's CORR of each column with the target, inside one era; rows are complete."""
    target = target.astype(np.float64, copy=False)
    return corr_of_ranked(rank_columns(predictions), target - target.mean())


def corr_of_ranked(ranked: Ranked, centred: Vector) -> Vector:
    """CORR of ranked columns with a target that was centred over the whole era."""
    against = signed_power(centred, TAIL_POWER)
    against -= against.mean()
    table = tables(ranked.n_rows).tails
    (products,) = ranked.dot(table, against)
    sums, squares = ranked.moments(table)
    variances = squares - sums**2 / ranked.n_rows
    with np.errstate(invalid="ignore", divide="ignore"):
        corr = products / np.sqrt(variances * (against @ against))
    # The variance of a constant column is rounding error.
    return np.where(variances > 1e-9, corr, np.nan)
