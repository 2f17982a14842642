"""Features as a graph: clusters are nodes, thresholded correlations between them are edges.

Correlation and partial correlation, both shrunk, each give a node its nearest neighbours; there is
an edge if either end has the other among them. No target is used.

References
----------
Ward (1963), Hierarchical grouping to optimize an objective function, JASA 58, for the clusters;
Rothman, Levina and Zhu (2009), Generalized thresholding of large covariance matrices, JASA 104, for
the soft threshold; Maslov and Sneppen (2002), Specificity and stability in topology of protein
networks, Science 296, for random graphs with the degrees of a real one.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import linkage
from scipy.linalg import eigh
from scipy.optimize import linear_sum_assignment

from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.features.clusters import NO_CLUSTER
from numerai_kedro.metrics.ranks import Matrix, Vector

Columns = npt.NDArray[np.int64]

MOST_NODES = 256
FEATURES_A_NODE = 4  # if that gives fewer nodes
MOST_ASKED = 1 / 4  # of all nodes: otherwise the graph would be complete
UNEVEN = 2  # nodes with more than this times the average number of features are cut first
RIDGE = 0.05  # added to the diagonal before partial correlations are taken
SURE = 3  # standard errors by which correlations are shrunk
HOLDS = 0.05  # an old partition is kept if it loses no more cohesion than this


@dataclass(frozen=True)
class GraphChange:
    """Differences between a graph and the one before.

    Parameters
    ----------
    moved
        Features whose node changed; nodes of both graphs are matched one to one, so that as many
        features as possible stay.
    new, gone
        Numbers of edges.
    came, left
        Features that only one of the two graphs has.
    """

    moved: tuple[str, ...]
    new: int
    gone: int
    came: tuple[str, ...]
    left: tuple[str, ...]


def n_nodes_of(n_features: int) -> int:
    """Number of nodes for a number of features."""
    return max(1, min(MOST_NODES, n_features // FEATURES_A_NODE))


def graph_of(
    features: Sequence[str],
    correlation: Matrix,
    n_rows: int,
    neighbours: int,
    before: FeatureGraph | None = None,
) -> FeatureGraph:
    """Make the graph of some features from their correlations.

    Parameters
    ----------
    correlation : float64[n_features, n_features]
        Pooled over training eras; NaN for a feature that does not vary. For features in equally
        frequent bins, Pearson's is Spearman's.
    n_rows
        Rows that were pooled: correlations within three standard errors, as of independent rows,
        become 0.
    neighbours
        Nearest neighbours of a node, half of them by correlation, half by partial correlation; at
        most a quarter of all nodes.
    before
        An earlier graph, whose nodes are kept while their cohesion is about as high as that of new
        ones.
    """
    varying = np.flatnonzero(~np.isnan(np.diag(correlation)))
    node = np.full(len(features), NO_CLUSTER, dtype=np.int64)
    if len(varying):
        within = correlation[np.ix_(varying, varying)]
        node[varying] = _partition([features[k] for k in varying.tolist()], within, before)
    number, between = _between(node, correlation)
    threshold = SURE / np.sqrt(max(n_rows, 1))
    n_nearest = max(1, min(neighbours, int(MOST_ASKED * len(between))))
    shrunk = [_soft(matrix, threshold) for matrix in (between, _partial(between))]
    chosen = _nearest(np.abs(shrunk[0]), (n_nearest + 1) // 2)
    chosen |= _nearest(np.abs(shrunk[1]), n_nearest // 2)
    pairs = np.argwhere(np.triu(chosen | chosen.T, 1))
    return FeatureGraph(
        tuple(features),
        tuple(number.tolist()),
        tuple((int(a), int(b)) for a, b in pairs),
        *(tuple(matrix[pairs[:, 0], pairs[:, 1]].round(4).tolist()) for matrix in shrunk),
    )


def cohesion(node: Columns, correlation: Matrix) -> float:
    """Mean |correlation| of features with the mean of their node, each with its sign."""
    signs = _signs(node, correlation)
    loads = correlation @ signs
    size = np.sqrt(np.maximum(np.einsum("fn,fn->n", signs, loads), 1e-12))
    return float(np.abs(loads[np.arange(len(node)), node] / size[node]).mean())


def change_between(before: FeatureGraph, after: FeatureGraph) -> GraphChange:
    """Changes of the features and nodes that both graphs have."""
    had, has = set(before.features), set(after.features)
    came, removed = (tuple(sorted(names)) for names in (has - had, had - has))
    common = [name for name in after.features if name in had]
    before, after = before.restricted(common), after.restricted(common)
    old, new = (np.array(graph.node, dtype=np.int64) for graph in (before, after))
    both = (old != NO_CLUSTER) & (new != NO_CLUSTER)
    table = np.zeros((old.max(initial=-1) + 1, new.max(initial=-1) + 1), dtype=np.int64)
    np.add.at(table, (old[both], new[both]), 1)
    rows, columns = linear_sum_assignment(-table)
    follows = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    moved = [
        name
        for name, a, b, in_both in zip(common, old.tolist(), new.tolist(), both, strict=True)
        if in_both and follows.get(a) != b
    ]
    was = {tuple(sorted((follows.get(a, -1), follows.get(b, -1)))) for a, b in before.edges}
    now = set(after.edges)
    return GraphChange(tuple(moved), len(now - was), len(was - now), came, removed)


def signed_weight(graph: FeatureGraph) -> Vector:
    """Of each edge, the larger of correlation and partial correlation by magnitude, signed."""
    pairs = np.array([graph.correlation, graph.partial])
    return np.asarray(pairs[np.abs(pairs).argmax(axis=0), np.arange(pairs.shape[1])])


def _partition(features: list[str], correlation: Matrix, before: FeatureGraph | None) -> Columns:
    """Node of each feature: from the graph before, or new ones if those are no longer cohesive."""
    n_nodes = n_nodes_of(len(features))
    fresh = _cut(correlation, n_nodes)
    if before is None:
        return fresh
    inherited = np.array(before.restricted(features).node, dtype=np.int64)
    if (inherited == NO_CLUSTER).all():
        return fresh
    # New features join the most similar node.
    there = inherited != NO_CLUSTER
    sums = np.abs(correlation[:, there]) @ np.eye(inherited.max() + 1)[inherited[there]]
    likeness = sums / np.bincount(inherited[there])
    inherited = np.where(inherited == NO_CLUSTER, likeness.argmax(axis=1), inherited)
    holds = cohesion(inherited, correlation) >= cohesion(fresh, correlation) - HOLDS
    return inherited if holds else fresh


def _cut(correlation: Matrix, n_nodes: int) -> Columns:
    """Cut Ward's tree from the top until there are `n_nodes`, the largest nodes first.

    A node with more than its share of features is cut before one that is only less similar.
    """
    n = len(correlation)
    if n_nodes == 1 or n == 1:
        return np.zeros(n, dtype=np.int64)
    above = np.triu_indices(n, 1)
    distance = np.sqrt(np.maximum(2 * (1 - np.abs(correlation[above])), 0))
    tree = linkage(distance, method="ward")
    most = UNEVEN * n / n_nodes

    def urgency(cluster: int) -> tuple[bool, float, int]:
        if cluster < n:
            return (True, np.inf, cluster)  # a single feature cannot be cut
        _, _, height, size = tree[cluster - n]
        return (bool(size <= most), -float(height), cluster)

    heap = [urgency(2 * n - 2)]
    while len(heap) < min(n_nodes, n):
        *_, cluster = heapq.heappop(heap)
        left, right = tree[cluster - n][:2].astype(int)
        heapq.heappush(heap, urgency(int(left)))
        heapq.heappush(heap, urgency(int(right)))
    members = sorted(sorted(_leaves(tree, n, cluster)) for *_, cluster in heap)
    node = np.empty(n, dtype=np.int64)
    for number, inside in enumerate(members):
        node[inside] = number
    return node


def _leaves(tree: Matrix, n: int, cluster: int) -> list[int]:
    leaves, open_ = [], [cluster]
    while open_:
        current = open_.pop()
        if current < n:
            leaves.append(current)
        else:
            open_ += tree[current - n][:2].astype(int).tolist()
    return leaves


def _between(node: Columns, correlation: Matrix) -> tuple[Columns, Matrix]:
    """Nodes without gaps, and the correlation of their features' means."""
    used = np.unique(node[node != NO_CLUSTER])
    number = np.where(node == NO_CLUSTER, NO_CLUSTER, np.searchsorted(used, node))
    inside = np.flatnonzero(number != NO_CLUSTER)
    within = correlation[np.ix_(inside, inside)]
    signs = _signs(number[inside], within)
    products = signs.T @ within @ signs
    size = np.sqrt(np.maximum(np.diag(products), 1e-12))
    return number, np.clip(products / np.outer(size, size), -1, 1)


def _signs(node: Columns, correlation: Matrix) -> Matrix:
    """float64[n_features, n_nodes]: of each feature in its node, by the node's typical feature."""
    signs = np.zeros((len(node), node.max(initial=-1) + 1))
    for number in range(signs.shape[1]):
        members = np.flatnonzero(node == number)
        inside = correlation[np.ix_(members, members)]
        typical = np.abs(inside).sum(axis=1).round(9).argmax()
        signs[members, number] = np.where(inside[typical] < 0, -1.0, 1.0)
    return signs


def _partial(correlation: Matrix) -> Matrix:
    """Correlation of two nodes given all others, float64[n_nodes, n_nodes]."""
    if not len(correlation):
        return correlation
    values, vectors = eigh(correlation + RIDGE * np.eye(len(correlation)))
    precision = (vectors / np.maximum(values, RIDGE)) @ vectors.T
    size = np.sqrt(np.diag(precision))
    return np.asarray(-precision / np.outer(size, size))


def _soft(values: Matrix, threshold: float) -> Matrix:
    shrunk = np.sign(values) * np.maximum(np.abs(values) - threshold, 0)
    np.fill_diagonal(shrunk, 0)
    return shrunk


def _nearest(likeness: Matrix, count: int) -> npt.NDArray[np.bool_]:
    """bool[n, n]: the `count` largest of each row, if above 0."""
    chosen = np.zeros(likeness.shape, dtype=np.bool_)
    count = min(count, len(likeness) - 1)
    if count > 0:
        order = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
        np.put_along_axis(chosen, order, True, axis=1)
    return chosen & (likeness > 0)
