"""How alike two sets of predictions are, era by era: by rank correlation."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from numerai_kedro.metrics.ranks import Matrix, Vector, percentile_rank
from numerai_kedro.metrics.scoring import IntVector

MIN_ROWS = 20


def rank_correlation(first: Vector, other: Vector) -> float:
    """Spearman's correlation over common rows; NaN if those are few, or one side is constant."""
    both = ~(np.isnan(first) | np.isnan(other))
    if both.sum() < MIN_ROWS:
        return float("nan")
    ranks: Matrix = percentile_rank(np.column_stack([first[both], other[both]]))
    centred = ranks - ranks.mean(axis=0)
    spreads = np.sqrt((centred**2).sum(axis=0))
    if not spreads.all():
        return float("nan")
    return float(centred[:, 0] @ centred[:, 1] / spreads.prod())


def likeness_of_eras(
    predictions: Vector, reference: Vector, era_starts: IntVector
) -> npt.NDArray[np.float64]:
    """Rank correlation with other predictions, such as the benchmark's, in each era.

    Parameters
    ----------
    predictions, reference : float[n_rows]
        Any scale; rows where either is NaN are left out.
    era_starts : int64[n_eras + 1]
        Era `e` is rows ``era_starts[e]:era_starts[e + 1]``.

    Returns
    -------
    float64[n_eras]
        NaN as in `rank_correlation`, for example where the reference is missing.
    """
    bounds = itertools.pairwise(map(int, era_starts))
    return np.array([rank_correlation(predictions[a:b], reference[a:b]) for a, b in bounds])
