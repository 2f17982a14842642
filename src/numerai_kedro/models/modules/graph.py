"""Graph networks over clusters of features: embed, pass messages, pool, and a path beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch_geometric.nn import GATv2Conv, GINConv

from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.features.graph_building import FEATURES_A_NODE
from numerai_kedro.models.modules.centred import Centred
from numerai_kedro.models.modules.dropout import Dropout
from numerai_kedro.models.modules.edges import Edges, linear

if TYPE_CHECKING:
    from numerai_kedro.models.graph import GATv2Params, GraphNetworkParams


class GraphNetwork(nn.Module):
    """int8[n, n_features] to float[n, 1, n_targets].

    Features that are in no node, such as latents, form further nodes without neighbours.
    """

    def __init__(
        self,
        params: GraphNetworkParams,
        graph: FeatureGraph,
        n_targets: int,
        layer: type[MessageLayer],
    ) -> None:
        super().__init__()
        width, n_features = params.d_node, len(graph.features)
        self.centred = Centred(params.feature_dropout)
        members = _members(graph)
        self.edges = Edges(graph, len(members))
        most = max(map(len, members))
        # Nodes with fewer features than the largest are padded with a column of zeros.
        padded = torch.tensor([member + [n_features] * (most - len(member)) for member in members])
        self.register_buffer("members", padded, persistent=False)
        sizes = torch.tensor([float(len(member)) for member in members])[:, None, None]
        self.embedding = nn.Parameter(torch.randn(len(members), most, width) * sizes**-0.5)
        self.bias = nn.Parameter(torch.zeros(len(members) * width))  # flat: biases do not decay
        self.layers = nn.ModuleList(layer(params) for _ in range(params.n_layers))
        self.attention = nn.Linear(width, 1)
        self.beside = nn.Sequential(
            nn.Linear(n_features, params.d_beside), nn.ReLU(), Dropout(params.dropout)
        )
        self.head = nn.Linear(2 * width + params.d_beside, n_targets)
        # The signal is small: with a random head it would take epochs to emerge from the noise.
        nn.init.zeros_(self.head.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Predict every target from the nodes' final states, and from the features themselves."""
        values = self.centred(features)
        columns = nn.functional.pad(values, (0, 1)).T.contiguous()
        members = cast("Tensor", self.members)
        inside = columns[members]  # [n_nodes, most, n]
        bias = self.bias.view(len(members), -1, 1)
        nodes = self.embedding.transpose(1, 2).to(values.dtype) @ inside + bias
        for layer in self.layers:
            nodes = layer(nodes, self.edges)
        looked_at = (linear(self.attention, nodes).softmax(dim=0) * nodes).sum(dim=0)
        pooled = torch.cat([looked_at.T, nodes.mean(dim=0).T, self.beside(values)], dim=1)
        return self.head(pooled)[:, None, :]

    def checkpoint_activations(self) -> None:
        """Keep only each layer's inputs, and recompute the rest in the backward pass."""
        for layer in self.layers:
            plain = layer.forward
            layer.forward = lambda *given, plain=plain: checkpoint(
                plain, *given, use_reentrant=False
            )


class MessageLayer(nn.Module):
    """A residual layer: messages from neighbours are added to each node."""

    def __init__(self, params: GraphNetworkParams) -> None:
        super().__init__()
        self.norm = NodeNorm(params.d_node)
        self.dropout = Dropout(params.dropout)

    def forward(self, nodes: Tensor, edges: Edges) -> Tensor:
        """[n_nodes, width, n_rows] to the same."""
        return nodes + self.dropout(self.heard(self.norm(nodes), edges))

    def heard(self, nodes: Tensor, edges: Edges) -> Tensor:
        """Messages over the edges."""
        raise NotImplementedError


class NodeNorm(nn.LayerNorm):
    """`torch.nn.LayerNorm` of each node and row, the width of [n_nodes, width, n_rows]."""

    def forward(self, values: Tensor) -> Tensor:
        """In float32, as it would be in mixed precision."""
        apart = values.float() - values.float().mean(dim=1, keepdim=True)
        scale = (apart.square().mean(dim=1, keepdim=True) + self.eps).rsqrt()
        return torch.addcmul(self.bias[:, None], apart * scale, self.weight[:, None])


class AttentionLayer(MessageLayer):
    """GATv2 with edge attributes."""

    def __init__(self, params: GATv2Params) -> None:
        super().__init__(params)
        each = params.d_node // params.n_heads
        self.layer = GATv2Conv(
            params.d_node,
            each,
            heads=params.n_heads,
            edge_dim=2,
            dropout=params.dropout,
            add_self_loops=False,
        )

    def heard(self, nodes: Tensor, edges: Edges) -> Tensor:
        """Messages by attention, through an ELU."""
        return nn.functional.elu(edges.attend(self.layer, nodes))


class SumLayer(MessageLayer):
    """GIN with two layers inside."""

    def __init__(self, params: GraphNetworkParams) -> None:
        super().__init__(params)
        width = params.d_node
        inside = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.layer = GINConv(inside, train_eps=True)

    def heard(self, nodes: Tensor, edges: Edges) -> Tensor:
        """The sum over neighbours and the node itself, through two layers."""
        return edges.add(self.layer, nodes)


def _members(graph: FeatureGraph) -> list[list[int]]:
    """Columns of each node; columns in no node form further nodes of the usual size."""
    members: list[list[int]] = [[] for _ in range(graph.n_nodes)]
    ungrouped: list[int] = []
    for column, node in enumerate(graph.node):
        (members[node] if node >= 0 else ungrouped).append(column)
    inside = len(graph.node) - len(ungrouped)
    usual = max(FEATURES_A_NODE, -(-inside // max(1, graph.n_nodes)))
    return [*members, *(ungrouped[k : k + usual] for k in range(0, len(ungrouped), usual))]
