"""The graph of the features, coloured by their official groups; a menu chooses the window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.features.graph_building import signed_weight
from numerai_kedro.reporting.dashboard.figures import (
    COLOURS,
    GREY,
    SYMBOLS,
    blank_figure,
    nothing_yet,
)

NAMED = 3  # features of a node that its label names
WIDTHS = ((0.0, 0.8), (0.1, 1.8), (0.3, 3.5))  # smallest weight of a class of edges, and its width
NO_GROUP = "of no group"
# The invisible node in the middle, and the weight of its edges; see `_places`.
MIDDLE, HELD = -1, 0.05


def feature_graph_figure(
    graphs: Mapping[str, FeatureGraph], groups: Mapping[str, str]
) -> go.Figure:
    """Larger nodes have more features, wider edges more weight; negative edges are dotted.

    Parameters
    ----------
    graphs
        By window; the last one is shown first.
    groups
        Official group of each feature that has one.
    """
    figure = blank_figure("", "")
    if not graphs:
        return nothing_yet(figure, "no graph has been made")
    names = [*sorted({*groups.values()}), NO_GROUP]
    looks = {name: _look(k, name) for k, name in enumerate(names)}
    counts: list[tuple[str, int]] = []
    places, placed = np.zeros((0, 2)), None
    for window, graph in reversed(list(graphs.items())):
        if graph.node != placed:  # the same nodes keep their places
            places, placed = _places(graph), graph.node
        traces = [*_edges(graph, places), *_nodes(graph, places, groups, looks)]
        for trace in traces:
            figure.add_trace(trace.update(visible=not counts))
        counts.append((window, len(traces)))
    _lay_out(figure, counts)
    return figure


def _look(number: int, group: str) -> tuple[str, str]:
    """Colour and symbol of a group; once all colours are used, they come with other symbols."""
    turn, colour = divmod(number, len(COLOURS))
    symbol = SYMBOLS[(colour + turn) % len(SYMBOLS)]
    return GREY if group == NO_GROUP else COLOURS[colour], symbol


def _lay_out(figure: go.Figure, counts: Sequence[tuple[str, int]]) -> None:
    total, first, buttons = sum(n for _, n in counts), 0, []
    for window, n in counts:
        seen = [first <= k < first + n for k in range(total)]
        buttons.append(
            {"label": f"eras up to {window}", "method": "update", "args": [{"visible": seen}]}
        )
        first += n
    figure.update_layout(
        height=640,
        hovermode="closest",
        updatemenus=[{"buttons": buttons, "x": 0.0, "xanchor": "left", "y": 1.06}],
        legend={"orientation": "h", "yanchor": "top", "y": -0.02},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")


def _places(graph: FeatureGraph) -> np.ndarray:
    """float[n_nodes, 2]: neighbours near each other (Fruchterman and Reingold, by networkx).

    An invisible node in the middle keeps parts together that no edge connects.
    """
    import networkx as nx

    drawn = nx.Graph()
    drawn.add_nodes_from(range(graph.n_nodes))
    weights: Sequence[float] = np.abs(signed_weight(graph)).tolist() if graph.edges else []
    drawn.add_weighted_edges_from(
        (a, b, 0.1 + w)  # so that even the weakest edge keeps its nodes near each other
        for (a, b), w in zip(graph.edges, weights, strict=True)
    )
    drawn.add_weighted_edges_from((MIDDLE, node, HELD) for node in range(graph.n_nodes))
    places = nx.spring_layout(drawn, seed=0, iterations=100)
    return np.array([places[node] for node in range(graph.n_nodes)]).reshape(-1, 2).round(3)


def _edges(graph: FeatureGraph, places: np.ndarray) -> list[go.Scatter]:
    """One trace per width and sign."""
    traces = []
    weights = signed_weight(graph) if graph.edges else np.zeros(0)
    floors = [floor for floor, _ in WIDTHS]
    classes = np.searchsorted(floors, np.abs(weights), side="right") - 1
    for number, (_, width) in enumerate(WIDTHS):
        for below in (False, True):
            chosen = np.flatnonzero((classes == number) & ((weights < 0) == below))
            if not len(chosen):
                continue
            ends = np.array([graph.edges[k] for k in chosen])
            gaps = np.full(len(chosen), None)  # interrupt the line after each edge
            x, y = (
                np.column_stack([places[ends[:, 0], axis], places[ends[:, 1], axis], gaps]).ravel()
                for axis in (0, 1)
            )
            line = {"color": GREY, "width": width, "dash": "dot" if below else "solid"}
            traces.append(
                go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)
            )
    return traces


def _nodes(
    graph: FeatureGraph,
    places: np.ndarray,
    groups: Mapping[str, str],
    looks: Mapping[str, tuple[str, str]],
) -> list[go.Scatter]:
    """One trace per group, of the nodes in which it is the most frequent."""
    degrees = graph.degrees
    members: list[list[str]] = [[] for _ in range(graph.n_nodes)]
    for name, node in zip(graph.features, graph.node, strict=True):
        if node >= 0:
            members[node].append(name)
    shares = [Counter(groups.get(name, NO_GROUP) for name in inside) for inside in members]
    by_group: dict[str, list[int]] = {}
    for node, share in enumerate(shares):
        by_group.setdefault(share.most_common(1)[0][0], []).append(node)
    traces = []
    for group, (colour, symbol) in looks.items():
        nodes = by_group.get(group, [])
        if nodes:
            sizes = [8 + 4 * len(members[node]) ** 0.5 for node in nodes]
            traces.append(
                go.Scatter(
                    x=places[nodes, 0],
                    y=places[nodes, 1],
                    mode="markers",
                    name=group,
                    marker={
                        "color": colour,
                        "symbol": symbol,
                        "size": sizes,
                        "line": {"color": "white", "width": 1},
                    },
                    hovertext=[
                        _told(node, members[node], shares[node], int(degrees[node]))
                        for node in nodes
                    ],
                    hoverinfo="text",
                )
            )
    return traces


def _told(node: int, members: list[str], share: Counter[str], degree: int) -> str:
    named = ", ".join(members[:NAMED])
    more = f" and {len(members) - NAMED} more" if len(members) > NAMED else ""
    parts = ", ".join(f"{count} {group}" for group, count in share.most_common())
    return f"node {node}: {len(members)} features ({parts})<br>{named}{more}<br>{degree} neighbours"
