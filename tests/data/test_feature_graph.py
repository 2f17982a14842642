"""A graph of features keeps its weights where they belong, whatever is taken from it."""

import pytest

from numerai_kedro.data.feature_graph import FeatureGraph

GRAPH = FeatureGraph(
    ("a", "b", "c", "d", "e"),
    (0, 1, 2, 1, -1),
    ((0, 1), (0, 2), (1, 2)),
    (0.1, 0.2, 0.3),
    (-0.1, -0.2, -0.3),
)
NONE = FeatureGraph((), (), (), (), ())


def test_nodes_and_neighbours_are_counted():
    assert GRAPH.n_nodes == 3
    assert GRAPH.degrees.tolist() == [2, 2, 2]
    assert NONE.n_nodes == 0
    assert NONE.degrees.tolist() == []


def test_a_graph_of_some_features_keeps_their_order_and_loses_empty_nodes():
    some = GRAPH.restricted(["d", "c", "x", "e"])
    assert some == FeatureGraph(("d", "c", "x", "e"), (0, 1, -1, -1), ((0, 1),), (0.3,), (-0.3,))
    assert GRAPH.restricted(GRAPH.features) == GRAPH
    assert GRAPH.restricted(["a"]).edges == ()


def test_without_edges_the_nodes_stay():
    alone = GRAPH.without_edges()
    assert (alone.node, alone.edges) == (GRAPH.node, ())
    assert (alone.correlation, alone.partial) == ((), ())


def test_json_gives_the_graph_back_and_the_digest_depends_on_all_of_it():
    value = GRAPH.as_json()
    assert value["edges"] == [[0, 1], [0, 2], [1, 2]]
    assert FeatureGraph.from_json(value) == GRAPH
    digests = {
        FeatureGraph.from_json(value | changed).digest
        for changed in ({}, {"partial": (0.0, 0.0, 0.0)}, {"node": (0, 1, 2, 2, -1)})
    }
    assert len(digests) == 3
    assert GRAPH.digest in digests


@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_graph_keeps_degrees_and_the_weights_of_its_edges(seed):
    n = 12
    ring = tuple(sorted((min(k, (k + 1) % n), max(k, (k + 1) % n)) for k in range(n)))
    weights = tuple(k / n for k in range(n))
    names = tuple(f"f{k}" for k in range(n))
    graph = FeatureGraph(names, tuple(range(n)), ring, weights, weights[::-1])
    other = graph.rewired(seed)
    assert other.degrees.tolist() == [2] * n
    assert other.edges == tuple(sorted(set(other.edges)))
    assert all(a < b for a, b in other.edges)
    assert len(set(other.edges) & set(ring)) < n / 2
    assert sorted(zip(other.correlation, other.partial, strict=True)) == sorted(
        zip(weights, weights[::-1], strict=True)
    )
    assert other == graph.rewired(seed)
    assert NONE.rewired(seed) == NONE
