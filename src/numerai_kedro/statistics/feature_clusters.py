"""Features that are near-duplicates of each other, and effects that are a feature's own.

Numerai publishes variants of the same few hundred features: which one of a cluster carries an
effect cannot be told, so clusters are tested, each by the member that is most like the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.linalg import cho_factor, cho_solve

from numerai_kedro.statistics.ranks import Matrix, Vector

Columns = npt.NDArray[np.int64]
NO_CLUSTER = -1


@dataclass(frozen=True)
class Clusters:
    """Which features belong together.

    Parameters
    ----------
    number : int64[n_features]
        Of each feature's cluster, in the order of their representatives; `NO_CLUSTER` for a
        feature that never varies.
    representatives : int64[n_clusters]
        Columns that stand for their clusters.
    sign : float64[n_features]
        Of each feature's correlation with its representative; 0 without a cluster.
    """

    number: Columns
    representatives: Columns
    sign: Vector


def correlation_of(gram: Matrix, sums: Vector, n_rows: float) -> Matrix:
    """Correlation of features from their products.

    Parameters
    ----------
    gram : float64[n_features, n_features]
        Sums over rows of products of two features.
    sums : float64[n_features]
        Sums over rows.

    Returns
    -------
    float64[n_features, n_features]
        NaN for a feature that does not vary.
    """
    covariance = gram / n_rows - np.outer(sums, sums) / n_rows**2
    variances = np.diag(covariance)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(variances > 1e-9, 1 / np.sqrt(variances), np.nan)
    made = np.clip(covariance * np.outer(scale, scale), -1, 1)
    np.fill_diagonal(made, np.where(np.isnan(scale), np.nan, 1.0))
    return made


def clusters_of(correlation: Matrix, least: float) -> Clusters:
    """Group features whose correlation, whatever its sign, is `least` on average.

    By average linkage of 1 - |correlation|; the representative is the member with the highest mean
    |correlation| with its cluster, of several the first.
    """
    n_features = len(correlation)
    number = np.full(n_features, NO_CLUSTER, dtype=np.int64)
    sign = np.zeros(n_features)
    varying = np.flatnonzero(~np.isnan(np.diag(correlation)))
    if not len(varying):
        return Clusters(number, np.empty(0, np.int64), sign)
    alike = np.abs(correlation[np.ix_(varying, varying)])
    labels = _cut(alike, least)
    found = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        typical = members[np.argmax(alike[np.ix_(members, members)].mean(axis=1).round(12))]
        found.append((int(varying[typical]), varying[members]))
    found.sort(key=lambda one: one[0])
    for position, (representative, members) in enumerate(found):
        number[members] = position
        sign[members] = np.sign(correlation[representative, members])
    return Clusters(number, np.array([one for one, _ in found], dtype=np.int64), sign)


def _cut(alike: Matrix, least: float) -> Columns:
    """Labels of a tree that is cut where clusters are less alike."""
    if len(alike) == 1:
        return np.zeros(1, np.int64)
    above = np.triu_indices(len(alike), 1)
    tree = linkage(1 - alike[above], method="average")
    return np.asarray(fcluster(tree, 1 - least, criterion="distance"), dtype=np.int64)


def partial_effects(effects: Matrix, correlation: Matrix, ridge: float) -> Matrix:
    """What each feature adds to all others, era by era: a one-step ridge regression.

    Every era's correlations with the target times the inverse of the features' pooled correlation
    matrix: with effects that change from era to era, its expectation is the era's own coefficient.

    Parameters
    ----------
    effects : float64[n_eras, n_features]
        Correlation with the target inside each era; NaN where a feature is not known.
    correlation : float64[n_features, n_features]
        Pooled over eras, without NaN.
    ridge
        Added to its diagonal: higher, nearer to the effects themselves.

    Returns
    -------
    float64[n_eras, n_features]
        NaN where the effect is.
    """
    unknown = np.isnan(effects)
    shrunk = correlation + ridge * np.eye(len(correlation))
    made = cho_solve(cho_factor(shrunk), np.where(unknown, 0.0, effects).T).T
    return np.where(unknown, np.nan, made)
