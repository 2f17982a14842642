"""Features as a graph: clusters are nodes; `features/graph_building.py` builds it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from numerai_kedro.files import digest_json

Columns = npt.NDArray[np.int64]

NO_NODE = -1  # of a feature that never varies


@dataclass(frozen=True)
class FeatureGraph:
    """Clusters of features and the edges between them.

    Parameters
    ----------
    features : tuple of str
    node : tuple of int
        Of each feature; -1 for one that never varies, which is in no node.
    edges : tuple of (int, int)
        Pairs of nodes, the smaller first, in order; no node is its own neighbour.
    correlation, partial : tuple of float
        Of each edge, shrunk, in [-1, 1].
    """

    features: tuple[str, ...]
    node: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    correlation: tuple[float, ...]
    partial: tuple[float, ...]

    @property
    def n_nodes(self) -> int:
        """Nodes are numbered from 0 without gaps."""
        return max(self.node, default=-1) + 1

    @functools.cached_property
    def digest(self) -> str:
        """Digest of the graph."""
        return digest_json(self.as_json())

    @property
    def degrees(self) -> Columns:
        """Neighbours of each node, int64[n_nodes]."""
        ends = np.array(self.edges, dtype=np.int64).reshape(-1)
        return np.bincount(ends, minlength=self.n_nodes)

    def restricted(self, features: Sequence[str]) -> FeatureGraph:
        """The graph of some features, in this order; nodes without features are removed.

        A feature that the graph does not have is in no node.
        """
        node_of = dict(zip(self.features, self.node, strict=True))
        nodes = [node_of.get(name, NO_NODE) for name in features]
        remaining = sorted({node for node in nodes if node != NO_NODE})
        number = {old: new for new, old in enumerate(remaining)} | {NO_NODE: NO_NODE}
        chosen = [k for k, (a, b) in enumerate(self.edges) if a in number and b in number]
        return FeatureGraph(
            tuple(features),
            tuple(number[node] for node in nodes),
            tuple((number[self.edges[k][0]], number[self.edges[k][1]]) for k in chosen),
            tuple(self.correlation[k] for k in chosen),
            tuple(self.partial[k] for k in chosen),
        )

    def without_edges(self) -> FeatureGraph:
        """The same nodes, each alone."""
        return dataclasses.replace(self, edges=(), correlation=(), partial=())

    def rewired(self, seed: int) -> FeatureGraph:
        """A random graph with the same degrees; edges keep their weights.

        By ten swaps of ends per edge (Maslov and Sneppen).
        """
        rng = np.random.default_rng(seed)
        edges = list(self.edges)
        there = set(edges)
        for first, second in rng.integers(0, max(1, len(edges)), (10 * len(edges), 2)):
            (a, b), (c, d) = edges[first], edges[second]
            if rng.random() < 0.5:
                c, d = d, c
            new = (min(a, d), max(a, d)), (min(c, b), max(c, b))
            if len({a, b, c, d}) < 4 or there & set(new):
                continue
            there -= {edges[first], edges[second]}
            there |= set(new)
            edges[first], edges[second] = new
        order = sorted(range(len(edges)), key=lambda k: edges[k])
        return dataclasses.replace(
            self,
            edges=tuple(edges[k] for k in order),
            correlation=tuple(self.correlation[k] for k in order),
            partial=tuple(self.partial[k] for k in order),
        )

    def as_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return dataclasses.asdict(self) | {"edges": [list(edge) for edge in self.edges]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FeatureGraph:
        """The inverse of `as_json`."""
        return cls(
            tuple(value["features"]),
            tuple(value["node"]),
            tuple((int(a), int(b)) for a, b in value["edges"]),
            tuple(value["correlation"]),
            tuple(value["partial"]),
        )
