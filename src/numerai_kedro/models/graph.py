"""Graph networks: clusters of features as nodes, their correlations as edges.

References
----------
Brody, Alon and Yahav (2022), How attentive are graph attention networks?, ICLR (GATv2); Xu et al.
(2019), How powerful are graph neural networks?, ICLR (GIN). The graph is given, not learned:
Dubbeldam et al. (2025), arXiv 2510.04543, find that learned edges of tables are no better than
random ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.features.graph_building import graph_of, n_nodes_of
from numerai_kedro.models.network import NetworkModel, Size
from numerai_kedro.models.transformer import sampled_rows
from numerai_kedro.training.network_params import NetworkParams

if TYPE_CHECKING:
    from torch import nn

    from numerai_kedro.data import EraPanel
    from numerai_kedro.strict import Block
    from numerai_kedro.training.protocol import FitContext

NEIGHBOURS = 8  # per node, where only a panel's size is known
EDGES_A_NODE = NEIGHBOURS + 1  # approximate, in both directions and to itself


class GraphNetworkParams(NetworkParams):
    """Sizes, and the kind of edges; see the presets for their effects."""

    d_node: int = Field(gt=0)
    n_layers: int = Field(gt=0)
    d_beside: int = Field(gt=0)
    edges: Literal["real", "random", "none"]


class GATv2Params(GraphNetworkParams):
    """Adds the number of attention heads."""

    n_heads: int = Field(gt=0)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.d_node % self.n_heads:
            raise ValueError(f"d_node {self.d_node} is no multiple of n_heads {self.n_heads}")
        return self


class GraphModel(NetworkModel):
    """See the module; `training.protocol.Model` has the contract."""

    reads_graph: ClassVar[bool] = True
    one_core: ClassVar[bool] = True
    gpu_speed: ClassVar[float] = 10.0  # by memory bandwidth, of a GPU and of two cores

    def __init__(self, params: Any, *, seed: int, threads: int, device: str = "cpu") -> None:
        # A chunk of work fits one core's cache, and a second core would not speed it up: other
        # cores do other fits (`one_core`).
        threads = 1 if device == "cpu" else threads
        super().__init__(params, seed=seed, threads=threads, device=device)
        self.graph: dict[str, Any] = {}

    def prepare(self, train: EraPanel, context: FitContext) -> None:
        """Set the graph of these training eras, restricted to the features that are learned.

        Without a graph, as in a drill, it is built from some of the rows.
        """
        graph = context.graph or _of_rows(train, self.seed)
        graph = graph.restricted(self.feature_names)
        if self.params.edges == "none":
            graph = graph.without_edges()
        elif self.params.edges == "random":
            graph = graph.rewired(self.seed)
        self.graph = graph.as_json()

    def shape(self) -> dict[str, int]:
        """Nodes and edges of the graph that is there."""
        graph = FeatureGraph.from_json(self.graph)
        return {"nodes": graph.n_nodes, "edges": len(graph.edges)}

    @classmethod
    def size(cls, params: Any, n_features: int, n_targets: int) -> Size:
        """An embedding, layers over nodes and edges, and a direct path from the features."""
        d, n_nodes = params.d_node, n_nodes_of(n_features)
        weights, products, floats = cls.layer_size(params, n_nodes)
        ends = params.d_beside * n_features + (2 * d + params.d_beside) * n_targets
        return Size(
            2 * n_features * d + params.n_layers * weights + ends,
            2 * n_features * d + params.n_layers * products + ends,
            params.n_layers * floats + 4 * n_nodes * d + 6 * n_features + 3 * params.d_beside,
        )

    @classmethod
    def layer_size(cls, params: Any, n_nodes: int) -> tuple[int, int, int]:
        """Weights, products and floats held of one layer."""
        raise NotImplementedError


class GATv2(GraphModel):
    """Attention over neighbours."""

    params_type: ClassVar[type[Block]] = GATv2Params

    def build(self, n_features: int, n_targets: int) -> nn.Module:
        """Make the network with fresh weights."""
        from numerai_kedro.models.modules.graph import AttentionLayer, GraphNetwork

        graph = FeatureGraph.from_json(self.graph)
        return GraphNetwork(self.params, graph, n_targets, AttentionLayer)

    @classmethod
    def layer_size(cls, params: Any, n_nodes: int) -> tuple[int, int, int]:
        """An edge costs as much time as fifty multiplications, as memory bandwidth limits it."""
        d, n_edges = params.d_node, n_nodes * EDGES_A_NODE
        weights = 2 * d * d + 7 * d
        products = n_nodes * 2 * d * d + 50 * n_edges * d
        return weights, products, 10 * n_nodes * d + 5 * n_edges * params.n_heads


class GIN(GraphModel):
    """Sums over neighbours."""

    params_type: ClassVar[type[Block]] = GraphNetworkParams

    def build(self, n_features: int, n_targets: int) -> nn.Module:
        """Make the network with fresh weights."""
        from numerai_kedro.models.modules.graph import GraphNetwork, SumLayer

        graph = FeatureGraph.from_json(self.graph)
        return GraphNetwork(self.params, graph, n_targets, SumLayer)

    @classmethod
    def layer_size(cls, params: Any, n_nodes: int) -> tuple[int, int, int]:
        """All nodes by all nodes, then two layers."""
        d = params.d_node
        return 2 * d * d + 6 * d, n_nodes * d * (n_nodes + 2 * d), 9 * n_nodes * d


def _of_rows(train: EraPanel, seed: int) -> FeatureGraph:
    """A graph from some training rows, for a fit without one."""
    rows = sampled_rows(train, seed).astype(np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.atleast_2d(np.corrcoef(rows.T))
    return graph_of(train.feature_names, correlation, len(rows), NEIGHBOURS)
