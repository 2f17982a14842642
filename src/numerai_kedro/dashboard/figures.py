"""Plotly figures of per-era scores; one colour and one dash a model, readable without colour."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from numerai_kedro.statistics.performance import drawdown_by_era

# Okabe and Ito: told apart by every kind of colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def cumulative_corr(era_scores: pd.DataFrame) -> go.Figure:
    """Cumulative CORR over the judged eras, one line a model."""
    figure = _figure("era", "cumulative CORR")
    for model, rows, style in _by_model(era_scores):
        total = np.nancumsum(rows["corr"])
        figure.add_scatter(x=rows["era"], y=total, name=model, line=style)
    return figure


def drawdown(era_scores: pd.DataFrame) -> go.Figure:
    """How far cumulative CORR lies below its peak, drawn downwards."""
    figure = _figure("era", "drawdown of cumulative CORR")
    for model, rows, style in _by_model(era_scores):
        depth = -drawdown_by_era(rows["corr"].to_numpy())
        figure.add_scatter(x=rows["era"], y=depth, name=model, line=style)
    return figure


def live_scores_figure(live_scores: pd.DataFrame) -> go.Figure:
    """Newest score of every round, by kind; hollow until the round resolves."""
    figure = _figure("round", "live score")
    newest = (
        live_scores.dropna(subset=["value"])
        .sort_values("day")
        .groupby(["displayName", "roundNumber"])
        .tail(1)
    )
    kinds = newest.sort_values("roundNumber").groupby("displayName")
    for position, (kind, rows) in enumerate(kinds):
        symbols = np.where(rows["resolved"].astype(bool), "circle", "circle-open")
        figure.add_scatter(
            x=rows["roundNumber"],
            y=rows["value"],
            name=str(kind),
            mode="markers",
            marker={"symbol": symbols, "size": 9, "color": COLOURS[position % len(COLOURS)]},
        )
    if not len(newest):
        figure.add_annotation(
            text="no round has been scored yet", showarrow=False, xref="paper", yref="paper"
        )
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        figure.update_layout(height=120)
    return figure


def _by_model(era_scores: pd.DataFrame) -> list[tuple[str, pd.DataFrame, dict[str, object]]]:
    """Ensemble first, benchmark last, members between."""
    names = era_scores["model"].unique()
    order = sorted(names, key=lambda name: (name == "benchmark", name != "ensemble", name))
    return [
        (
            str(name),
            era_scores[era_scores["model"] == name].sort_values("era"),
            {
                "color": COLOURS[position % len(COLOURS)],
                "dash": DASHES[position % len(DASHES)],
                "width": 2.5 if name == "ensemble" else 1.6,
            },
        )
        for position, name in enumerate(order)
    ]


def _figure(x_title: str, y_title: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        xaxis_title=x_title,
        yaxis_title=y_title,
        legend={"orientation": "h", "y": 1.12},
        margin={"l": 60, "r": 20, "t": 30, "b": 50},
        height=380,
        hovermode="x unified",
    )
    return figure
