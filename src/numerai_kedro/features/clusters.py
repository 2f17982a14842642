"""Clusters of near-duplicate features, and partial effects of features.

Numerai publishes variants of the same few hundred features. Which one of a cluster carries an
effect is not identifiable, so each cluster is tested by its most typical member.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

from numerai_kedro.features.invariance import by_known_eras
from numerai_kedro.metrics.ranks import Matrix, Vector

Columns = npt.NDArray[np.int64]
NO_CLUSTER = -1
SPORADIC = 0.1  # share of eras: a feature missing in fewer is kept in every era's regression


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


def correlation_of(gram: Matrix, sums: Vector, shared: Matrix) -> Matrix:
    """Correlation of features from their products, over rows where both are known.

    Parameters
    ----------
    gram : float64[n_features, n_features]
        Sums over rows of products of two features, each 0 where it is not known.
    sums : float64[n_features]
        Sums over rows.
    shared : float64[n_features, n_features]
        Rows in which both are known.

    Returns
    -------
    float64[n_features, n_features]
        NaN for a feature that does not vary, 0 for two that are never known together.
    """
    own = np.maximum(np.diag(shared), 1)
    means = sums / own
    variances = np.diag(gram) / own - means**2
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(variances > 1e-9, 1 / np.sqrt(variances), np.nan)
    together = gram / np.maximum(shared, 1) - np.where(shared > 0, np.outer(means, means), 0)
    correlation = np.clip(together * np.outer(scale, scale), -1, 1)
    np.fill_diagonal(correlation, np.where(np.isnan(scale), np.nan, 1.0))
    return correlation


def clusters_of(correlation: Matrix, least: float, n_known: Columns | None = None) -> Clusters:
    """Group features whose mean |correlation| is at least `least`.

    By average linkage of 1 - |correlation|; the representative is the member with the highest mean
    |correlation| with its cluster, the first on ties.

    Parameters
    ----------
    n_known : int64[n_features]
        Eras in which each feature is known: only those known longest may be representatives.
    """
    n_features = len(correlation)
    number = np.full(n_features, NO_CLUSTER, dtype=np.int64)
    sign = np.zeros(n_features)
    varying = np.flatnonzero(~np.isnan(np.diag(correlation)))
    if not len(varying):
        return Clusters(number, np.empty(0, np.int64), sign)
    alike = np.abs(correlation[np.ix_(varying, varying)])
    labels = _cut(alike, least)
    clusters = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        typicality = alike[np.ix_(members, members)].mean(axis=1).round(12)
        if n_known is not None:
            n_eras = n_known[varying[members]]
            typicality[n_eras < n_eras.max()] = -1
        typical = members[np.argmax(typicality)]
        clusters.append((int(varying[typical]), varying[members]))
    clusters.sort(key=lambda cluster: cluster[0])
    for position, (representative, members) in enumerate(clusters):
        number[members] = position
        sign[members] = np.sign(correlation[representative, members])
    return Clusters(number, np.array([column for column, _ in clusters], dtype=np.int64), sign)


def _cut(alike: Matrix, least: float) -> Columns:
    """Cluster labels from cutting the tree at average |correlation| `least`."""
    if len(alike) == 1:
        return np.zeros(1, np.int64)
    above = np.triu_indices(len(alike), 1)
    tree = linkage(1 - alike[above], method="average")
    return np.asarray(fcluster(tree, 1 - least, criterion="distance"), dtype=np.int64)


def partial_effects(effects: Matrix, correlation: Matrix, ridge: float) -> Matrix:
    """Effect of each feature given all others, era by era: a one-step ridge regression.

    An era's correlations with the target times the inverse of the features' pooled correlation
    matrix: its expectation is the era's own coefficient, even if effects change from era to era. An
    era's regression uses the features that are known in it.

    Parameters
    ----------
    effects : float64[n_eras, n_features]
        Correlation with the target inside each era; NaN where a feature is not known.
    correlation : float64[n_features, n_features]
        Pooled over eras, without NaN.
    ridge
        Added to its diagonal: the higher, the nearer to the marginal effects.

    Returns
    -------
    float64[n_eras, n_features]
        NaN where the effect is.
    """
    partial, missing = np.full(effects.shape, np.nan), np.isnan(effects)
    # A feature missing in few eras gets effect 0 there: each pattern would cost a matrix.
    sporadic = missing & (missing.mean(axis=0) < SPORADIC)
    effects = np.where(sporadic, 0.0, effects)
    # Group eras by their known features: transposed, as `by_known_eras` groups columns.
    for features, eras in by_known_eras(effects.T):
        if len(features):
            within = correlation[np.ix_(features, features)]
            partial[np.ix_(eras, features)] = _solved(
                within, ridge, effects[np.ix_(eras, features)]
            )
    partial[missing] = np.nan
    return partial


def _solved(correlation: Matrix, ridge: float, effects: Matrix) -> Matrix:
    """Effects times the inverse; with pairs that share few eras, the matrix may be indefinite."""
    shrunk = correlation + ridge * np.eye(len(correlation))
    try:
        return np.asarray(cho_solve(cho_factor(shrunk), effects.T).T)
    except LinAlgError:
        values, vectors = eigh(shrunk)
        return np.asarray(effects @ vectors / np.maximum(values, ridge) @ vectors.T)
