"""A batch of rows on one graph: every row has the same edges, so no batch of graphs is built.

Values are [n_nodes, width, n_rows]: each node is one contiguous block of memory. The layers and
weights are PyTorch Geometric's; attention is computed here, some nodes at a time, and nothing as
large as edges x width x rows is kept for the backward pass. Sums over edges are reproducible bit by
bit, which a GPU's own `index_add_` is not.

References
----------
Brody, Alon and Yahav (2022), How attentive are graph attention networks?, ICLR; Xu et al. (2019),
How powerful are graph neural networks?, ICLR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch_geometric.nn import GATv2Conv, GINConv

from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.models.modules.dropout import Dropout

# Bytes of edges that are computed at once: few enough for the cache on the CPU, many on a GPU. They
# decide the order in which dropout is drawn, so another number gives another model, with another
# digest of its code.
CHUNK_BYTES = {"cpu": 1 << 20, "cuda": 64 << 20}
FULL_ENOUGH = 0.75  # minimum share of real edges in a table of nodes and edges
ITSELF = (1.0, 1.0)  # correlation and partial correlation of a node with itself


class Edges(nn.Module):
    """Directed edges of a graph, in both directions, and from every node to itself.

    Attributes
    ----------
    source, goal : int64[n_edges]
        Sorted by goal, then source.
    attributes : float[n_edges, 2]
        Correlation and partial correlation.
    """

    source: Tensor
    goal: Tensor
    attributes: Tensor
    adjacency: Tensor

    def __init__(self, graph: FeatureGraph, n_nodes: int) -> None:
        """Use a graph's edges; nodes beyond the graph's have no neighbours."""
        super().__init__()
        self.n_nodes = n_nodes
        both = [(b, a, *w) for (a, b), *w in _weighted(graph)]
        both += [(a, b, *w) for (a, b), *w in _weighted(graph)]
        both += [(node, node, *ITSELF) for node in range(n_nodes)]
        both.sort()
        goal, source = (torch.tensor([edge[k] for edge in both]) for k in (0, 1))
        adjacency = torch.zeros(n_nodes, n_nodes)
        adjacency[goal, source] = 1
        adjacency.fill_diagonal_(0)  # GIN weights the node itself separately
        for name, value in {
            "source": source,
            "goal": goal,
            "attributes": torch.tensor([edge[2:] for edge in both]),
            "adjacency": adjacency,
        }.items():
            self.register_buffer(name, value, persistent=False)
        self._grouped: dict[tuple[int, torch.device], list[_Group]] = {}

    def attend(self, layer: GATv2Conv, values: Tensor) -> Tensor:
        """Apply `layer` to [n_nodes, width, n_rows], with edge attributes."""
        shape = (layer.heads, layer.out_channels)
        left, right = (
            unflattened(linear(part, values), 1, shape) for part in (layer.lin_l, layer.lin_r)
        )
        edge = unflattened(layer.lin_edge(self.attributes), 1, shape).to(left.dtype)
        weight = layer.att[0].to(left.dtype)
        rate = layer.dropout if self.training else 0.0
        groups = self._groups(left)
        attention: Any = _Attention.apply
        out: Tensor = attention(left, right, edge, weight, layer.negative_slope, rate, groups)
        return out.flatten(1, 2) + layer.bias[:, None]

    def add(self, layer: GINConv, values: Tensor) -> Tensor:
        """Apply `layer` to [n_nodes, width, n_rows]."""
        around = self.adjacency.to(values.dtype) @ values.flatten(1)
        out = around.view_as(values) + (1 + layer.eps) * values
        for part in layer.nn:
            out = linear(part, out) if isinstance(part, nn.Linear) else part(out)
        return out

    def _groups(self, values: Tensor) -> list[_Group]:
        """Nodes whose edges are computed at once."""
        device = values.device
        an_edge = max(1, values[0].numel() * values.element_size())
        # A power of two, so that batches of all sizes share a few groupings.
        at_once = 1 << (CHUNK_BYTES[device.type] // an_edge).bit_length() >> 1
        if (at_once, device) not in self._grouped:
            self._grouped[at_once, device] = _groups_of(
                self.source.tolist(), self.goal.tolist(), self.n_nodes, at_once, device
            )
        return self._grouped[at_once, device]


def linear(layer: Any, values: Tensor) -> Tensor:
    """A linear layer of [n_nodes, width, n_rows]."""
    # `@` would transpose all of the values.
    product = torch.bmm(layer.weight.expand(len(values), -1, -1), values)
    return product if layer.bias is None else product + layer.bias[:, None].to(product.dtype)


@dataclass(frozen=True)
class _Group:
    """Nodes with similar numbers of edges, as a table with one row per node.

    Parameters
    ----------
    goals : int64[n]
        The nodes.
    edges : int64[n, most]
        Edges that end there, padded by an edge that does not exist.
    sources : int64[n * most]
        Nodes where they begin.
    missing : bool[n, most, 1, 1] or None
        Where the table is padded; None if nowhere.
    adding : float[n_nodes, n * most] or None
        One-hot sources, for a GPU: a matrix product adds in the same order each time. Padding adds
        zeros.
    """

    goals: Tensor
    edges: Tensor
    sources: Tensor
    missing: Tensor | None
    adding: Tensor | None = None

    def adding_alike(self, n_nodes: int) -> _Group:
        """The same group, with `adding` for a GPU."""
        return replace(self, adding=nn.functional.one_hot(self.sources, n_nodes).T.float())

    def table(self, values: Tensor) -> Tensor:
        """Values of edges or of their sources, [n * most, ...], as [n, most, ...]."""
        return unflattened(values, 0, tuple(self.edges.shape))

    def add_to_sources(self, totals: Tensor, values: Tensor) -> None:
        """Add values of edges, [n, most, ...], to the nodes where they begin."""
        flat = values.flatten(0, 1)
        if self.adding is None:
            totals.index_add_(0, self.sources, flat)
        else:
            totals += (self.adding.to(flat.dtype) @ flat.flatten(1)).view_as(totals)


def _groups_of(
    source: list[int], goal: list[int], n_nodes: int, at_once: int, device: torch.device
) -> list[_Group]:
    edges: list[list[int]] = [[] for _ in range(n_nodes)]
    for number, node in enumerate(goal):
        edges[node].append(number)
    parts: list[list[int]] = []
    for node in sorted(range(n_nodes), key=lambda k: -len(edges[k])):
        most = len(edges[parts[-1][0]]) if parts else 0
        fits = (len(parts[-1]) + 1) * most <= at_once if parts else False
        if fits and len(edges[node]) >= FULL_ENOUGH * most:
            parts[-1].append(node)
        else:
            parts.append([node])
    groups = []
    for nodes in parts:
        most = len(edges[nodes[0]])
        table = torch.tensor([edges[k] + [len(goal)] * (most - len(edges[k])) for k in nodes])
        sources = torch.tensor([*source, 0])[table].flatten()
        missing = table == len(goal)
        group = _Group(
            torch.tensor(nodes, device=device),
            table.to(device),
            sources.to(device),
            missing[..., None, None].to(device) if missing.any() else None,
        )
        groups.append(group if device.type == "cpu" else group.adding_alike(n_nodes))
    return groups


def unflattened(values: Tensor, axis: int, shape: tuple[int, ...]) -> Tensor:
    """`Tensor.unflatten`, which has no types."""
    return values.reshape(*values.shape[:axis], *shape, *values.shape[axis + 1 :])


def _as_given(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute in the precision of the arguments: autocast would turn some sums to float32."""

    @wraps(function)
    def computed(context: Any, first: Tensor, *others: Any) -> Any:
        with torch.autocast(first.device.type, enabled=False):
            return function(context, first, *others)

    return computed


class _Attention(torch.autograd.Function):
    """``sum(share * left[source])``, the shares a softmax over the edges of a goal.

    Scores are ``sum(leaky_relu(left[source] + right[goal] + edge) * weight)`` by head. Left and
    right are [n_nodes, n_heads, each, n_rows], edge is [n_edges, n_heads, each]. Only the shares
    are saved; their inputs are recomputed in the backward pass.
    """

    @staticmethod
    @_as_given
    def forward(
        ctx: Any,
        left: Tensor,
        right: Tensor,
        edge: Tensor,
        weight: Tensor,
        slope: float,
        rate: float,
        groups: list[_Group],
    ) -> Tensor:
        out, saved = torch.empty_like(right), []
        drop = Dropout(rate)
        edge = torch.cat([edge, edge.new_zeros(1, *edge.shape[1:])])
        for group in groups:
            near = group.table(left.index_select(0, group.sources))
            inner = _inner(near, right, edge, group)
            nn.functional.leaky_relu_(inner, slope)
            scores = (inner * weight[..., None]).sum(dim=-2, dtype=_exact(left))
            if group.missing is not None:
                scores.masked_fill_(group.missing, -torch.inf)
            shares = scores.softmax(dim=1)
            used = (drop(shares) if rate else shares).to(left.dtype)
            saved += [shares, used]
            torch.mul(near, used.unsqueeze(-2), out=inner)
            out[group.goals] = inner.sum(dim=1)
        ctx.save_for_backward(left, right, edge, weight, *saved)
        ctx.slope, ctx.groups = slope, groups
        return out

    @staticmethod
    @once_differentiable
    @_as_given
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        left, right, edge, weight, *saved = ctx.saved_tensors
        above, exact = above.to(left.dtype), _exact(left)
        of_left, of_right, of_edge = torch.zeros_like(left), torch.empty_like(right), edge.clone()
        of_weight = torch.zeros_like(weight, dtype=exact)
        for group, shares, used in zip(ctx.groups, saved[::2], saved[1::2], strict=True):
            here = above.index_select(0, group.goals)[:, None]
            near = group.table(left.index_select(0, group.sources))
            inner = _inner(near, right, edge, group)
            of_used = torch.mul(near, here, out=near).sum(dim=-2, dtype=exact) * used
            of_scores = of_used - shares * of_used.sum(dim=1, keepdim=True)
            of_scores = of_scores.to(left.dtype).unsqueeze(-2)
            bent = nn.functional.leaky_relu(inner, ctx.slope)
            of_weight += bent.mul_(of_scores).sum(dim=(0, 1, 4), dtype=exact)
            torch.mul(of_scores, weight[..., None], out=bent)
            bent = torch.ops.aten.leaky_relu_backward(bent, inner, ctx.slope, False)
            of_right[group.goals] = bent.sum(dim=1)
            of_edge[group.edges] = bent.sum(dim=-1)
            bent += torch.mul(here, used.unsqueeze(-2), out=near)
            group.add_to_sources(of_left, bent)
        return of_left, of_right, of_edge[:-1], of_weight.to(weight.dtype), None, None, None


def _inner(near: Tensor, right: Tensor, edge: Tensor, group: _Group) -> Tensor:
    """Sum of the source's, the goal's and the edge's values, before the activation."""
    inner = near + right.index_select(0, group.goals)[:, None]
    inner += edge[group.edges][..., None]
    return inner


def _exact(values: Tensor) -> torch.dtype:
    """Precision of sums over edges and of shares: at least float32."""
    return torch.promote_types(values.dtype, torch.float32)


def _weighted(graph: FeatureGraph) -> list[tuple[Any, ...]]:
    return list(zip(graph.edges, graph.correlation, graph.partial, strict=True))
