"""Clusters of features and their edges, on planted structures."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.features.graph_building import (
    MOST_NODES,
    change_between,
    cohesion,
    graph_of,
    n_nodes_of,
    signed_weight,
)

N_ROWS = 20_000


def rows_of(n_factors, each, seed=0, links=(), sign=1.0):
    """Features of some factors, and factors that are linked: float[N_ROWS, n_factors * each]."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(N_ROWS, n_factors))
    for a, b in links:
        factors[:, b] = 0.6 * factors[:, a] + 0.8 * factors[:, b]
    columns = np.repeat(factors, each, axis=1) + 0.4 * rng.normal(size=(N_ROWS, n_factors * each))
    columns[:, ::2] *= sign
    return columns


def made(rows, neighbours=4, before=None, names=None):
    correlation = np.atleast_2d(np.corrcoef(rows.T))
    names = names or names_of(rows.shape[1])
    return graph_of(names, correlation, len(rows), neighbours, before)


def names_of(n):
    return [f"feature_{k:03d}" for k in range(n)]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_planted_clusters_are_nodes_and_planted_links_are_edges(sign):
    graph = made(rows_of(12, 4, links=[(0, 1), (1, 2)], sign=sign))
    assert graph.n_nodes == 12
    assert all(len(set(graph.node[4 * k : 4 * k + 4])) == 1 for k in range(12))
    weights = dict(zip(graph.edges, graph.partial, strict=True))
    assert abs(weights[(0, 1)]) > 0.3
    assert abs(weights[(1, 2)]) > 0.3
    # Correlated through node 1 alone: that is no partial correlation.
    assert abs(weights.get((0, 2), 0.0)) < 0.1
    # Others hear of nobody: what correlates less than chance would is nothing.
    assert graph.degrees[3:].sum() == 0


def test_a_graph_may_have_one_node_or_features_that_never_vary():
    graph = made(rows_of(1, 5))
    assert (graph.n_nodes, graph.edges) == (1, ())
    rows = rows_of(2, 5)
    rows[:, 3] = 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        graph = made(rows)
    assert graph.node[3] == -1
    assert graph.n_nodes == 2


def test_a_node_asks_at_most_for_a_quarter_of_the_others():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N_ROWS, 32)) + rng.normal(size=(N_ROWS, 1))
    graph = made(rows, neighbours=8)
    assert graph.n_nodes == 8
    assert len(graph.edges) < 8 * 7 / 2 * 0.7
    assert graph == made(rows, neighbours=2)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 9), st.integers(1, 9))
@example(24, 4, 0, 4)  # one feature alone, others with copies: only these can be cut
def test_every_feature_is_in_one_node_and_every_node_has_features(
    n_features, distinct, seed, neighbours
):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(200, distinct)) + rng.normal(size=(200, 1))
    copied = np.sort(rng.integers(distinct, size=n_features))
    correlation = np.atleast_2d(np.corrcoef(rows.T))[np.ix_(copied, copied)].round(9)
    graph = graph_of(names_of(n_features), correlation, len(rows), neighbours)
    assert sorted(set(graph.node)) == list(range(graph.n_nodes))
    assert graph.n_nodes == n_nodes_of(n_features) <= MOST_NODES
    assert all(a < b for a, b in graph.edges)
    assert list(graph.edges) == sorted(set(graph.edges))
    assert FeatureGraph.from_json(graph.as_json()) == graph
    assert np.abs(graph.correlation).max(initial=0) <= 1


def test_a_node_asks_for_so_many_neighbours_and_gets_them_all():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N_ROWS, 160)) + rng.normal(size=(N_ROWS, 1))
    few, many = made(rows, 2), made(rows, 8)
    assert few.degrees.min() >= 1
    assert many.degrees.min() >= 4
    assert set(few.edges) <= set(many.edges)


def test_nodes_stay_while_they_hold_and_go_when_the_data_moved():
    first = made(rows_of(8, 4))
    later = made(rows_of(8, 4, seed=1), before=first)
    assert later.node == first.node
    assert change_between(first, later).moved == ()
    mixed = rows_of(8, 4, seed=2)[:, np.random.default_rng(3).permutation(32)]
    moved = made(mixed, before=first)
    assert moved.node != first.node
    assert len(change_between(first, moved).moved) > 8
    alone = made(mixed)
    correlation = np.corrcoef(mixed.T)
    assert cohesion(np.array(moved.node), correlation) == pytest.approx(
        cohesion(np.array(alone.node), correlation)
    )


def test_features_come_and_go_from_one_version_to_the_next():
    rows = rows_of(8, 4)
    names = names_of(32)
    first = made(rows)
    columns = [k for k in range(32) if k not in (0, 9)]
    reduced = made(rows[:, columns], before=first, names=[names[k] for k in columns])
    assert change_between(first, reduced).moved == ()
    assert reduced.n_nodes == 8
    # A whole node's features are gone: the rest are as they were.
    rest = made(rows[:, 4:], before=first, names=names[4:])
    assert rest.n_nodes == 7
    assert change_between(first, rest).moved == ()
    # What is new joins its like.
    more = np.column_stack([rows, rows[:, 17] + 0.1 * rows_of(1, 1, seed=4)[:, 0]])
    assert made(more, before=first, names=[*names, "new"]).node[-1] == first.node[17]


def test_nodes_that_only_have_other_numbers_have_not_moved():
    names = tuple("abcdef")
    before = FeatureGraph(names, (0, 0, 1, 1, 2, 2), ((0, 1),), (0.5,), (0.5,))
    after = FeatureGraph(names, (2, 2, 0, 0, 1, 0), ((0, 1), (0, 2)), (0.1, 0.5), (0.1, 0.5))
    change = change_between(before, after)
    # Node 0 is 2 now, and 1 is 0: their edge stays, another came, and f joined c and d.
    assert change.moved == ("f",)
    assert (change.new, change.gone) == (1, 0)


def test_graphs_without_a_feature_in_common_have_nothing_that_moved():
    graphs = [FeatureGraph((name,), (0,), (), (), ()) for name in ("a", "b")]
    change = change_between(*graphs)
    assert (change.moved, change.came, change.left) == ((), ("b",), ("a",))


def blocks(*given):
    """Correlations of blocks of (features, correlation inside)."""
    n = sum(size for size, _ in given)
    correlation, begin = np.eye(n), 0
    for size, inside in given:
        correlation[begin : begin + size, begin : begin + size] = inside
        begin += size
    np.fill_diagonal(correlation, 1.0)
    return correlation


def test_a_node_of_twice_its_share_is_cut_before_one_that_is_less_alike():
    uneven = blocks((6, 0.95), (6, 0.95), (2, 0.5), (2, 0.5))
    uneven[:6, 6:12] = uneven[6:12, :6] = 0.9
    node = graph_of(names_of(16), uneven, N_ROWS, 4).node
    assert node == (*[0] * 6, *[1] * 6, 2, 2, 3, 3)
    even = blocks((8, 0.9), (4, 0.5), (4, 0.5))  # eight are no more than twice four
    assert len(set(graph_of(names_of(16), even, N_ROWS, 4).node[:8])) == 1


def test_edges_are_correlations_of_nodes_shrunk_by_three_standard_errors():
    """Four nodes of four features, correlated inside by .8, and two of the nodes by .4."""
    correlation = blocks(*[(4, 0.8)] * 4)
    correlation[:4, 4:8] = correlation[4:8, :4] = 0.4
    graph = graph_of(names_of(16), correlation, 10_000, 4)
    assert graph.node == tuple(k // 4 for k in range(16))
    between = 16 * 0.4 / (4 + 12 * 0.8)  # of two nodes' means
    assert graph.edges == ((0, 1),)
    assert graph.correlation == (pytest.approx(between - 0.03, abs=1e-4),)
    # Two variables: the partial correlation is theirs, less for the ridge.
    assert graph.partial == (pytest.approx(between / 1.05 - 0.03, abs=1e-4),)
    assert graph_of(names_of(16), correlation, 9, 4).edges == ()


def test_signs_of_features_do_not_count_inside_a_node():
    correlation = blocks(*[(4, 0.8)] * 4)
    correlation[:4, 4:8] = correlation[4:8, :4] = 0.4
    signs = np.where(np.arange(16) % 2, -1.0, 1.0)
    turned = graph_of(names_of(16), correlation * np.outer(signs, signs), 10_000, 4)
    plain = graph_of(names_of(16), correlation, 10_000, 4)
    assert turned.node == plain.node
    assert np.abs(turned.correlation).tolist() == list(plain.correlation)


def test_cohesion_is_the_mean_correlation_with_the_nodes_mean():
    correlation = blocks((2, 0.5), (2, 0.8))
    # A feature of two correlates with their mean by the root of (1 + r) / 2.
    expected = (0.75**0.5 + 0.9**0.5) / 2
    assert cohesion(np.array([0, 0, 1, 1]), correlation) == pytest.approx(expected)
    turned = correlation * np.outer([1, -1, 1, 1], [1, -1, 1, 1])
    assert cohesion(np.array([0, 0, 1, 1]), turned) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("n_features", "n_nodes"), [(1, 1), (7, 1), (8, 2), (1_023, 255), (5_000, 256)]
)
def test_a_node_has_four_features_and_there_are_256_at_most(n_features, n_nodes):
    assert n_nodes_of(n_features) == n_nodes


def test_an_edge_weighs_the_larger_of_its_correlations_with_its_sign():
    edges = ((0, 1), (0, 2), (1, 2))
    graph = FeatureGraph(("a", "b", "c"), (0, 1, 2), edges, (0.5, -0.2, 0.1), (0.4, 0.1, -0.3))
    assert signed_weight(graph).tolist() == [0.5, -0.2, -0.3]


def test_a_graph_of_some_features_knows_nothing_of_the_others():
    graph = made(rows_of(8, 4, links=[(0, 1), (1, 2)]))
    some = graph.restricted(["unknown", *graph.features[8:12], graph.features[0]])
    assert some.node == (-1, 1, 1, 1, 1, 0)
    assert some.n_nodes == 2
    assert graph.restricted(graph.features) == graph


def test_a_random_graph_has_the_same_degrees_and_other_edges():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N_ROWS, 200)) + 0.5 * rng.normal(size=(N_ROWS, 1))
    graph = made(rows)
    random = graph.rewired(1)
    assert (random.degrees == graph.degrees).all()
    shared = len(set(random.edges) & set(graph.edges)) / len(graph.edges)
    assert shared < 0.4
    assert sorted(random.correlation) == sorted(graph.correlation)
    assert random == graph.rewired(1) != graph.rewired(2)
    assert graph.without_edges().edges == ()
