"""A batch of rows on one graph: every row has the same edges, so no batch of graphs is built.

Nodes come first, [n_nodes, n_rows, width]: the neighbours of a node are whole blocks of memory. The
layers are PyTorch Geometric's, with their own weights; they are computed here, edge by edge, and
nothing that is as large as edges x rows x width is kept for the backward pass. Sums over edges are
the same bit by bit each time: a card's own `index_add_` adds in any order.

References
----------
Brody, Alon and Yahav (2022), How attentive are graph attention networks?, ICLR; Xu et al. (2019),
How powerful are graph neural networks?, ICLR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, GINConv

from numerai_kedro.statistics.feature_graph import FeatureGraph

# Of what is computed of edges at once on the CPU, where it stays in the cache.
CHUNK_BYTES = 2 << 20
ITSELF = (1.0, 1.0)  # correlation and partial correlation of a node with itself


class Edges(nn.Module):
    """Directed edges of a graph, both ways, and from every node to itself.

    Attributes
    ----------
    source, goal : int64[n_edges]
        By goal, then source.
    attributes : float[n_edges, 2]
        Correlation and partial correlation.
    """

    source: Tensor
    goal: Tensor
    attributes: Tensor
    place: Tensor
    adjacency: Tensor
    by_goal: Tensor
    by_source: Tensor

    def __init__(self, graph: FeatureGraph, n_nodes: int) -> None:
        """Take a graph's edges; `n_nodes` may be more than it has, which are then alone."""
        super().__init__()
        self.n_nodes = n_nodes
        both = [(b, a, *w) for (a, b), *w in _weighted(graph)]
        both += [(a, b, *w) for (a, b), *w in _weighted(graph)]
        both += [(node, node, *ITSELF) for node in range(n_nodes)]
        both.sort()
        goal, source = (torch.tensor([one[k] for one in both]) for k in (0, 1))
        degrees = torch.bincount(goal, minlength=n_nodes)
        first = torch.cumsum(degrees, 0) - degrees
        self.most = int(degrees.max())
        # Of each edge in a table of a row a node, as wide as the best connected one has edges.
        place = goal * self.most + torch.arange(len(both)) - first[goal]
        by_goal = torch.full((n_nodes, self.most), len(both))  # an edge that is none
        by_goal.view(-1)[place] = torch.arange(len(both))
        number = {(one[0], one[1]): k for k, one in enumerate(both)}
        turned = torch.tensor([*(number[one[1], one[0]] for one in both), len(both)])
        adjacency = torch.zeros(n_nodes, n_nodes)
        adjacency[goal, source] = 1
        adjacency.fill_diagonal_(0)  # GIN counts a node by a number of its own
        for name, value in {
            "source": source,
            "goal": goal,
            "attributes": torch.tensor([one[2:] for one in both]),
            "place": place,
            "adjacency": adjacency,
            "by_goal": by_goal,
            "by_source": turned[by_goal],
        }.items():
            self.register_buffer(name, value, persistent=False)

    def attend(self, layer: GATv2Conv, values: Tensor) -> Tensor:
        """What `layer` makes of [n_nodes, n_rows, width], with edge attributes."""
        heads, n_rows = layer.heads, values.shape[1]
        left, right = layer.lin_l(values), layer.lin_r(values)
        edge = layer.lin_edge(self.attributes).to(left.dtype)
        by_head = torch.eye(heads, device=values.device)[:, None]
        weight = (layer.att[0][..., None] * by_head).reshape(-1, heads).to(left.dtype)
        sums = self._sums(left)
        scores = _Scores.apply(
            left, right, edge, weight, layer.negative_slope, self.source, self.goal, sums
        )
        table = scores.new_full((self.n_nodes * self.most, n_rows, heads), -torch.inf)
        table = table.index_copy(0, self.place, scores)
        shares = table.view(self.n_nodes, self.most, n_rows, heads).softmax(dim=1)
        shares = shares.view(-1, n_rows, heads).index_select(0, self.place)
        shares = nn.functional.dropout(shares, layer.dropout, self.training)
        return _Gathered.apply(left, shares, self.source, self.goal, sums) + layer.bias

    def add(self, layer: GINConv, values: Tensor) -> Tensor:
        """What `layer` makes of [n_nodes, n_rows, width]."""
        n_nodes, *shape = values.shape
        around = (self.adjacency.to(values.dtype) @ values.reshape(n_nodes, -1)).view(-1, *shape)
        return layer.nn(around + (1 + layer.eps) * values)

    def _sums(self, values: Tensor) -> _Sums:
        if values.device.type != "cpu":
            return _Sums(len(self.source), self.by_goal, self.by_source)
        return _Sums(max(1, CHUNK_BYTES // (values[0].numel() * values.element_size())))


@dataclass(frozen=True)
class _Sums:
    """How what belongs to edges is added up by node.

    Parameters
    ----------
    at_once
        Edges, in their order: the core adds them one after the other.
    by_goal, by_source : int64[n_nodes, most]
        Edges of each node, where all are at hand at once; edges that are none are the last.
    """

    at_once: int
    by_goal: Tensor | None = None
    by_source: Tensor | None = None

    def parts(self, n_edges: int) -> list[slice]:
        """Edges that are computed at once."""
        return [slice(begin, begin + self.at_once) for begin in range(0, n_edges, self.at_once)]

    def add(self, made: Tensor, nodes: Tensor, table: Tensor | None, values: Tensor) -> None:
        """Add values of edges to their nodes."""
        if table is None:
            made.index_add_(0, nodes, values)
            return
        padded = torch.cat([values, values.new_zeros(1, *values.shape[1:])])
        for edges in table.T:
            made += padded.index_select(0, edges)


class _Scores(torch.autograd.Function):
    """``leaky_relu(left[source] + right[goal] + edge) @ weight``: float[n_edges, n_rows, n_heads].

    Of its input, what is needed in the backward pass is computed again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        left: Tensor,
        right: Tensor,
        edge: Tensor,
        weight: Tensor,
        slope: float,
        source: Tensor,
        goal: Tensor,
        sums: _Sums,
    ) -> Tensor:
        ctx.save_for_backward(left, right, edge, weight, source, goal)
        ctx.slope, ctx.sums = slope, sums
        made = left.new_empty(len(source), left.shape[1], weight.shape[1])
        for part in sums.parts(len(source)):
            inner = _summed(left, right, edge, source, goal, part)
            made[part] = nn.functional.leaky_relu_(inner, slope) @ weight
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        left, right, edge, weight, source, goal = ctx.saved_tensors
        (above,), sums = gradients, ctx.sums
        above = above.to(left.dtype)
        of_left, of_right = torch.zeros_like(left), torch.zeros_like(right)
        of_edge, of_weight = torch.empty_like(edge), torch.zeros_like(weight)
        for part in sums.parts(len(source)):
            inner = _summed(left, right, edge, source, goal, part)
            slopes = torch.where(inner > 0, inner.new_ones(()), inner.new_tensor(ctx.slope))
            inner *= slopes
            of_weight += inner.flatten(0, 1).T @ above[part].flatten(0, 1)
            torch.matmul(above[part], weight.T, out=inner)
            inner *= slopes
            sums.add(of_left, source[part], sums.by_source, inner)
            sums.add(of_right, goal[part], sums.by_goal, inner)
            of_edge[part] = inner.sum(dim=1)
        return of_left, of_right, of_edge, of_weight, None, None, None, None


class _Gathered(torch.autograd.Function):
    """Sums over edges of ``values[source]`` times the shares of their heads, by goal."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, shares: Tensor, source: Tensor, goal: Tensor, sums: _Sums
    ) -> Tensor:
        ctx.save_for_backward(values, shares, source, goal)
        ctx.sums = sums
        made = torch.zeros_like(values)
        for part in sums.parts(len(source)):
            sums.add(made, goal[part], sums.by_goal, _scaled(values[source[part]], shares[part]))
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, shares, source, goal = ctx.saved_tensors
        (above,), sums = gradients, ctx.sums
        of_values, of_shares = torch.zeros_like(values), torch.empty_like(shares)
        for part in sums.parts(len(source)):
            here = above[goal[part]]
            products = here * values[source[part]]
            of_shares[part] = products.unflatten(-1, (shares.shape[-1], -1)).sum(dim=-1)
            sums.add(of_values, source[part], sums.by_source, _scaled(here, shares[part]))
        return of_values, of_shares, None, None, None


def _summed(
    left: Tensor, right: Tensor, edge: Tensor, source: Tensor, goal: Tensor, part: slice
) -> Tensor:
    made = left.index_select(0, source[part])
    made += right.index_select(0, goal[part])
    made += edge[part, None]
    return made


def _scaled(values: Tensor, shares: Tensor) -> Tensor:
    """Each head's numbers times its share, in place."""
    values.unflatten(-1, (shares.shape[-1], -1)).mul_(shares[..., None])
    return values


def _weighted(graph: FeatureGraph) -> list[tuple[Any, ...]]:
    return list(zip(graph.edges, graph.correlation, graph.partial, strict=True))
