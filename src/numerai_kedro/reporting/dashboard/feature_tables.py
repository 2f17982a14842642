"""Tables of the page: verdicts on features, their graph, and measurements over demo seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any

from numerai_kedro.data.verdict import Verdict
from numerai_kedro.metrics.intervals import short
from numerai_kedro.reporting.dashboard.tables import table_of

# What the verdicts can say, and what they cannot.
CAUSAL = (
    "Stable features predict with one sign in most long regimes: replicable, not causal. Data are "
    "observational and anonymised, so that no test here can show a cause; a feature called null "
    "may be of use in an interaction, or too weak to show"
)
NAMED = 3  # features that a sentence names


def claims() -> list[dict[str, Any]]:
    """Tables of measurements over seeds of the demo, which come with the package.

    Each has a title, heads, rows that begin with their names, and a sentence; ``make evidence``
    writes them.
    """
    folder = files("numerai_kedro.reporting.dashboard") / "claims"
    paths = sorted(folder.iterdir(), key=lambda path: path.name) if folder.is_dir() else []
    return [json.loads(path.read_text("utf-8")) for path in paths]


def claims_tables() -> str:
    """What to expect before a user's own eras have resolved; the same for every user."""
    tables = "".join(
        f"<h3>{escape(claim['title'])}</h3>"
        f"{table_of(claim['heads'], claim['rows'], 'scores claims')}"
        f"<p>{escape(claim['said'])}</p>"
        for claim in claims()
    )
    return f"<h2>Measured on demo tournaments, not in this run</h2>{tables}" if tables else ""


def features_table(features: dict[str, Any]) -> str:
    """Verdicts window by window, effects that die or flip, and what latents are worth."""
    rows = [
        [window, *(str(counted.get(verdict.value, 0)) for verdict in Verdict)]
        for window, counted in features["verdicts"].items()
    ]
    drifts = [
        f"{drift['feature']} {drift['kind']}: CORR {short(drift['before'])} before, "
        f"{short(drift['now'])} in the newest block"
        for drift in features["drift"]
    ]
    drifts = drifts or ["No effect has significantly died or flipped"]
    lines = "".join(
        f"<p>{escape(line)}.</p>" for line in (CAUSAL, f"Latents: {features['latents']}", *drifts)
    )
    return f"<h2>Verdicts on features</h2>{table_of(('eras up to', *Verdict), rows)}{lines}"


def graph_table(graph: dict[str, Any]) -> str:
    """Size of the graph, its changes from window to window, and what it earns."""
    titles = ("eras up to", "features", "nodes", "edges", "nodes alone")
    changed = ("features in another node", "edges new", "edges gone")
    rows = [
        [
            *(str(window[name]) for name in ("window", "features", "nodes", "edges", "alone")),
            str(len(window["moved"])) if "moved" in window else "",
            *(str(window.get(name, "")) for name in ("new", "gone")),
        ]
        for window in graph["windows"]
    ]
    worth = [
        [
            model["model"],
            model["control"],
            model["gain"],
            "–".join(map(str, model["eras"])),
            model["verdict"],
        ]
        for model in graph["models"]
        if "gain" in model
    ]
    heads = ("model", "edges", "CORR of the real graph less theirs", "eras", "the real graph")
    controls = table_of(heads, worth) if worth else ""
    lines = [*_since(graph["since"]), f"What the graph earns: {graph['text']}"]
    paragraphs = "".join(f"<p>{escape(line)}.</p>" for line in lines)
    return (
        f"<h2>Graph of the features</h2>{table_of((*titles, *changed), rows)}{controls}{paragraphs}"
    )


def drift_table(drift: dict[str, list[dict[str, Any]]]) -> str:
    """Features whose significant importance died or flipped; empty if there are none."""
    titles = ("model", "feature", "", "CORR lost without it, before", "in the newest block")
    rows = [
        [
            model,
            feature["feature"],
            feature["kind"],
            short(feature["before"]),
            short(feature["now"]),
        ]
        for model, features in sorted(drift.items())
        for feature in features
    ]
    return f"<h2>Features that drift</h2>{table_of(titles, rows)}" if rows else ""


def _since(change: dict[str, Any] | None) -> Iterator[str]:
    """What changed in the newest graph since the newest graph of an earlier week."""
    if change is None:
        return
    parts = [f"{change['new']} edges new, {change['gone']} gone"]
    for name, what in (("moved", "in another node"), ("came", "new"), ("left", "gone")):
        if names := change[name]:
            more = ", …" if len(names) > NAMED else ""
            parts.append(f"{len(names)} features {what} ({', '.join(names[:NAMED])}{more})")
    yield f"Beside the newest graph before, of eras up to {change['window']}: {'; '.join(parts)}"
