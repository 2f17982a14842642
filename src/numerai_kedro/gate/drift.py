"""Whether live features are distributed as last year's, in measures scaled by their past spread.

Each measure compares the live era with past eras, and single past eras with the other ones: where
the live value lies among the past values says more than a fixed threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from numerai_kedro.metrics.ranks import Matrix, Vector, percentile_rank

N_FEATURES = 200  # at most, evenly spaced
N_ROWS = 200  # of a past era, evenly spaced
N_CONTROLS = 13
RIDGE = 0.01  # of the classifier, relative to the features' variance
# A spread estimated from few eras is uncertain, so none is taken to be smaller than this.
SMALLEST_SPREAD = {"correlations": 0.002, "adversarial_auc": 0.01}

Rows = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Drift:
    """One measure of the live era, and the same of past eras.

    Parameters
    ----------
    value
        Of the live era.
    past
        Of past eras, each compared with the others.
    smallest_spread
        Lower limit of the standard deviation of `past`.
    """

    value: float
    past: tuple[float, ...]
    smallest_spread: float = 0.0

    @property
    def deviations(self) -> float:
        """How many standard deviations of the past values the live value lies above their mean."""
        past = np.array(self.past)
        spread = max(float(past.std(ddof=1)), self.smallest_spread)
        return float((self.value - past.mean()) / spread)


def features_shown(n_features: int) -> npt.NDArray[np.intp]:
    """The features that are compared: at most `N_FEATURES`, evenly spaced."""
    return _spaced(np.arange(n_features), N_FEATURES)


def constant_features(live: Rows, past: Sequence[Rows]) -> Drift:
    """How many features have one value only."""
    count = [float((rows == rows[0]).all(axis=0).sum()) for rows in (live, *past)]
    return Drift(count[0], tuple(count[1:]))


def moved_correlations(live: Rows, past: Sequence[Rows]) -> Drift:
    """Root mean square distance of the features' correlation matrix to the past mean."""
    matrices = [_correlations(rows) for rows in past]
    total = np.sum(matrices, axis=0)
    n = len(matrices)
    of_live = _distance(_correlations(live), total / n)
    distances = (_distance(matrix, (total - matrix) / (n - 1)) for matrix in matrices)
    return Drift(of_live, tuple(distances), SMALLEST_SPREAD["correlations"])


def adversarial_auc(live: Rows, past: Sequence[Rows]) -> Drift:
    """AUC of a linear classifier of one era against the others, on held-out rows."""
    sampled = [_spaced(rows, N_ROWS) for rows in past]
    # Each control costs a classifier, so only some of the past eras are controls.
    controls = np.unique(np.linspace(0, len(past) - 1, min(N_CONTROLS, len(past))).astype(int))
    of_live = _area(live, np.vstack(sampled))
    areas = (_area(past[k], np.vstack(sampled[:k] + sampled[k + 1 :])) for k in controls)
    return Drift(of_live, tuple(areas), SMALLEST_SPREAD["adversarial_auc"])


def _correlations(rows: Rows) -> Matrix:
    centred = rows - rows.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    centred /= np.where(norms > 0, norms, 1.0)
    return centred.T @ centred


def _distance(first: Matrix, other: Matrix) -> float:
    return float(np.sqrt(((first - other) ** 2).mean()))


def _spaced(rows: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(int))]


def _area(era: Rows, other_eras: Rows) -> float:
    """AUC on the odd rows of a classifier that learned from the even ones."""
    direction = _discriminant(era[::2].astype(float), other_eras[::2].astype(float))
    values = np.concatenate([era[1::2] @ direction, other_eras[1::2] @ direction])
    n_era, n = len(era[1::2]), len(values)
    # The AUC from the sum of ranks (Mann-Whitney), which are counted from 1.
    ranks = percentile_rank(values[:, None])[:, 0] * n + 0.5
    return float((ranks[:n_era].sum() - n_era * (n_era + 1) / 2) / (n_era * (n - n_era)))


def _discriminant(first: Matrix, other: Matrix) -> Vector:
    """Fisher's direction with a ridge."""
    centred = np.vstack([first - first.mean(axis=0), other - other.mean(axis=0)])
    covariance = centred.T @ centred / len(centred)
    ridge = RIDGE * max(float(np.trace(covariance)) / len(covariance), 1e-9)
    covariance[np.diag_indices_from(covariance)] += ridge
    return np.linalg.solve(covariance, first.mean(axis=0) - other.mean(axis=0))
