"""MMC and BMC: what predictions add to the meta model or the benchmark, by numerai-tools."""

from __future__ import annotations

import numpy as np

from numerai_kedro.metrics.ranks import Matrix, Ranked, Vector, gaussian_rank, rank_columns, tables

# numerai-tools brings a target in [0, 1] to [0, 4] before the MMC covariance.
TARGET_SCALE = 4.0


def contribution_of_era(predictions: Matrix, reference: Vector, target: Vector) -> Vector:
    """MMC (reference: the meta model) or BMC (reference: the benchmark) inside one era.

    The covariance of the target with the part of each prediction orthogonal to the reference.
    """
    target = target.astype(np.float64, copy=False)
    return contribution_of_ranked(rank_columns(predictions), reference, target)


def contribution_of_ranked(ranked: Ranked, reference: Vector, target: Vector) -> Vector:
    """As `contribution_of_era`, for columns that are already ranked."""
    against = gaussian_rank(reference[:, None])[:, 0]
    centred = TARGET_SCALE * (target - target.mean())
    with_target, with_reference = ranked.dot(tables(ranked.n_rows).gaussian, centred, against)
    norm = against @ against
    if norm < 1e-9:
        return np.full(len(with_target), np.nan)
    return (with_target - (centred @ against) / norm * with_reference) / ranked.n_rows
