"""The graph of the features by window; no era after a window is used for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from numerai_kedro.cache import FoldStore, code_of
from numerai_kedro.data import EraPanel
from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.features.graph_building import change_between, graph_of
from numerai_kedro.features.screening import Windows
from numerai_kedro.features.sufficient import Products, products_of
from numerai_kedro.files import digest_json
from numerai_kedro.training.protocol import FitProgress, no_progress

logger = logging.getLogger(__name__)


def graphs_of(
    panel: EraPanel,
    windows: Windows,
    neighbours: int,
    store: FoldStore,
    progress: FitProgress = no_progress,
) -> dict[str, FeatureGraph]:
    """Make the graph of every window.

    The oldest window clusters features into nodes; the others keep its nodes while they are
    cohesive, so that graphs are similar from fold to fold and from week to week.

    Parameters
    ----------
    panel : EraPanel
        The features that models learn.
    windows
        All begin with the panel's first era.
    neighbours
        Number of nearest neighbours of a node.
    store : FoldStore
        Stores products of features, and graphs.
    """
    by_end = sorted(windows, key=lambda name: windows[name][1])
    inside = {name: panel.between(*windows[name]) for name in by_end}
    first, code = inside[by_end[0]].digest(), code_of(_made, products_of)
    keys = {
        name: {"graph": view.digest(), "first": first, "neighbours": neighbours, "code": code}
        for name, view in inside.items()
    }
    missing = [name for name in by_end if store.find(keys[name]) is None]
    ends = [windows[name][1] for name in missing]
    graphs: dict[str, FeatureGraph] = {}
    pooled = products_of(panel, ends, store, progress) if ends else iter(())
    for name, products in zip(missing, pooled, strict=True):
        base = None if name == by_end[0] else _kept(store, keys[by_end[0]])
        graph = _made(panel, products, neighbours, base)
        store.remember(keys[name], graph.as_json())
        graphs[name] = graph
    return {name: graphs[name] if name in graphs else _kept(store, keys[name]) for name in by_end}


def changes_of(graphs: Mapping[str, FeatureGraph]) -> list[dict[str, Any]]:
    """Size of each graph, and its differences from the one before."""
    rows: list[dict[str, Any]] = []
    before: FeatureGraph | None = None
    for name, graph in graphs.items():
        degrees = graph.degrees
        row: dict[str, Any] = {
            "window": name,
            "features": len(graph.features),
            "nodes": graph.n_nodes,
            "edges": len(graph.edges),
            "alone": int((degrees == 0).sum()),
        }
        if before is not None:
            row |= asdict(change_between(before, graph))
        rows.append(row)
        before = graph
    return rows


def change_since(newest: FeatureGraph, window: str, store: FoldStore) -> dict[str, Any] | None:
    """Differences between the newest graph and the one that was newest before it.

    The result is the same until another graph becomes the newest. None if there was none before.
    """
    key = {"graph": "newest", "code": code_of(FeatureGraph, reads=("as_json", "from_json"))}
    stored = store.recall(key) or {"now": None, "before": None}
    now = {"window": window, "graph": newest.as_json()}
    if digest_json(stored["now"]) != digest_json(now):
        stored = {"now": now, "before": stored["now"]}
        store.remember(key, stored)
    before = stored["before"]
    if before is None:
        return None
    change = change_between(FeatureGraph.from_json(before["graph"]), newest)
    return {"window": before["window"], **asdict(change)}


def _made(
    panel: EraPanel, products: Products, neighbours: int, base: FeatureGraph | None
) -> FeatureGraph:
    n_rows = int(products.rows.sum())
    return graph_of(panel.feature_names, products.correlation(), n_rows, neighbours, base)


def _kept(store: FoldStore, key: Mapping[str, Any]) -> FeatureGraph:
    stored = store.find(key)
    assert stored is not None
    return FeatureGraph.from_json(stored)
