"""Plotly figures of per-era scores; one colour and dash per model, readable without colour."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from numerai_kedro.metrics.performance import drawdown_by_era

# Okabe and Ito, distinguishable with every kind of colour vision; then three of Tol.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
    *("#999933", "#882255", "#332288"),
)
# Models that keep their colour and dash in every figure, whatever else it shows.
KNOWN = (
    *("ensemble", "lightgbm", "catboost", "xgboost"),
    *("tabm", "transformer", "vae_head", "gatv2", "gin"),
)
ROWS_SHOWN = 30  # in the heat map: the features that matter most
SYMBOLS = (
    *("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "hexagon"),
    "triangle-down",
)
DASHES = (
    *("solid", "dash", "dot", "dashdot", "longdash", "longdashdot"),
    *("14px,3px,3px,3px,3px,3px", "2px,7px", "18px,6px", "7px,2px"),
)
GREY = "#8C8C8C"  # of the benchmark


def cumulative(era_scores: pd.DataFrame, score: str, intervals: dict[str, str]) -> go.Figure:
    """Cumulative score over the test eras, one line per model, with mean and interval by name.

    Parameters
    ----------
    score
        ``corr`` or ``mmc``; eras without it are left out.
    intervals : dict
        Text by model.
    """
    figure = blank_figure("era", f"cumulative {score.upper()}")
    scored = era_scores.dropna(subset=[score])
    for model, rows, style in _by_model(scored):
        label = f"{model}  {intervals.get(model, '')}".strip()
        figure.add_scatter(x=rows["era"], y=np.cumsum(rows[score]), name=label, line=style)
    return figure if len(scored) else nothing_yet(figure, f"no era has {score.upper()} yet")


def exposure(era_scores: pd.DataFrame) -> go.Figure:
    """Largest correlation with any one feature, era by era."""
    figure = blank_figure("era", "maximum feature exposure")
    for model, rows, style in _by_model(era_scores):
        figure.add_scatter(x=rows["era"], y=rows["max_exposure"], name=model, line=style)
    return figure


def weights_over_time(weights: pd.DataFrame) -> go.Figure:
    """Weights of the members, by the chosen scheme; the last era is the live one."""
    figure = blank_figure("era", "weight")
    shown = weights[weights["chosen"]]
    for model, rows, style in _by_model(shown):
        line = style | {"shape": "hv"}
        figure.add_scatter(x=rows["era"], y=rows["weight"], name=model, line=line)
    figure.update_yaxes(range=[0, 1.05])
    return figure


def payout_growth(growth: dict[str, tuple[list[int], list[float]]]) -> go.Figure:
    """Growth of a stake of 1 over overlapping rounds, one line per model."""
    figure = blank_figure("era", "stake, from 1")
    places = _places(growth)
    for name in sorted(growth, key=places.__getitem__):
        eras, values = growth[name]
        figure.add_scatter(x=eras, y=values, name=name, line=_style(places[name], name))
    figure.add_hline(y=1.0, line_width=1, line_dash="dot")
    return figure


def burn_density(forecasts: dict[str, dict[str, list[float]]]) -> go.Figure:
    """Density of the mean return per round over the coming weeks; below zero the stake burns.

    Parameters
    ----------
    forecasts : dict
        By model: ``returns``, ``density``.
    """
    figure = blank_figure("mean return a round, share of its stake", "density")
    places = _places(forecasts)
    for name in sorted(forecasts, key=places.__getitem__):
        forecast, style = forecasts[name], _style(places[name], name)
        figure.add_scatter(x=forecast["returns"], y=forecast["density"], name=name, line=style)
    figure.add_vline(x=0.0, line_width=1, line_dash="dot")
    return figure if forecasts else nothing_yet(figure, "too few eras to forecast")


def version_trend(versions: pd.DataFrame) -> go.Figure:
    """Payoff, CORR, MMC, minutes and memory by code version and configuration.

    Parameters
    ----------
    versions : pandas.DataFrame
        One row per version, oldest first: ``version``, ``payoff``, ``corr``, ``mmc``, ``minutes``,
        ``peak_gb``; scores over the eras that all versions have.
    """
    from plotly.subplots import make_subplots

    if len(versions) < 2:
        return nothing_yet(blank_figure("", ""), "one version so far: a trend needs two")
    panels = ("payoff", "corr", "mmc", "minutes", "peak_gb")
    titles = ("payoff an era", "CORR", "MMC", "minutes", "GB")
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.03)
    for position, (name, title) in enumerate(zip(panels, titles, strict=True)):
        figure.add_scatter(
            x=versions["version"],
            y=versions[name],
            name=title,
            mode="lines+markers",
            line=_style(position, name),
            marker={"symbol": SYMBOLS[position], "size": 8},
            row=position + 1,
            col=1,
        )
        figure.update_yaxes(title_text=title, row=position + 1, col=1)
    figure.update_layout(
        template="plotly_white",
        height=640,
        showlegend=False,
        margin={"l": 60, "r": 20, "t": 20, "b": 80},
    )
    figure.update_xaxes(type="category")
    return figure


def drawdown(era_scores: pd.DataFrame) -> go.Figure:
    """How far cumulative CORR lies below its peak, drawn downwards."""
    figure = blank_figure("era", "drawdown of cumulative CORR")
    for model, rows, style in _by_model(era_scores):
        depth = -drawdown_by_era(rows["corr"].to_numpy())
        figure.add_scatter(x=rows["era"], y=depth, name=model, line=style)
    return figure


def live_scores_figure(live_scores: pd.DataFrame) -> go.Figure:
    """Newest score of every round, by kind; hollow until the round resolves."""
    figure = blank_figure("round", "live score")
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
    return figure if len(newest) else nothing_yet(figure, "no round has been scored yet")


def optimisation_history(history: pd.DataFrame) -> go.Figure:
    """Objective of every trial, one symbol per family, and each study's best so far."""
    figure = blank_figure("trial", "objective")
    whole = history[history["state"] == "complete"]
    places = _places(whole["model"])
    for model, rows in whole.groupby("model"):
        position = places[str(model)]
        colour = COLOURS[position % len(COLOURS)]
        for number, (study, trials) in enumerate(rows.groupby("study")):
            trials = trials.sort_values("trial")
            figure.add_scatter(
                x=trials["trial"],
                y=trials["objective"],
                name=f"{model} · {study}" if rows["study"].nunique() > 1 else str(model),
                legendgroup=str(model),
                showlegend=number == 0,
                mode="markers",
                marker={"color": colour, "symbol": SYMBOLS[position % len(SYMBOLS)], "size": 8},
                hovertext=trials["params"],
            )
            figure.add_scatter(
                x=trials["trial"],
                y=trials["objective"].cummax(),
                legendgroup=str(model),
                showlegend=False,
                hoverinfo="skip",
                mode="lines",
                line={"color": colour, "shape": "hv", "dash": DASHES[position % len(DASHES)]},
            )
    figure.update_layout(hovermode="closest")
    return figure if len(whole) else nothing_yet(figure, "no trial has run yet")


def importance_figure(importance: dict[str, dict[str, float]]) -> go.Figure:
    """The share of the objective's variation that each parameter explains, by family."""
    figure = blank_figure("share of the objective's variation", "")
    places = _places(importance)
    for model in sorted(importance, key=places.__getitem__):
        shares, position = importance[model], places[model]
        names = sorted(shares, key=lambda name: shares[name])
        figure.add_bar(
            x=[shares[name] for name in names],
            y=[f"{model} · {name}" for name in names],
            orientation="h",
            name=model,
            marker={"color": COLOURS[position % len(COLOURS)]},
        )
    bars = sum(len(shares) for shares in importance.values())
    figure.update_layout(height=max(160, 90 + 22 * bars), showlegend=False, hovermode="closest")
    figure.update_yaxes(automargin=True)
    return figure if bars else nothing_yet(figure, "too few trials to tell")


def importance_by_era_figure(importance: pd.DataFrame) -> go.Figure:
    """What CORR loses without a feature: rows are models and features, columns blocks of eras."""
    measured = importance.dropna(subset=["drop"])
    figure = blank_figure("test eras", "")
    if not len(measured):
        return nothing_yet(figure, "nothing has been measured yet")
    measured = measured.assign(
        name=measured["model"] + " · " + measured["feature"],
        block=[
            f"{first:04d}-{last:04d}"
            for first, last in zip(measured["first_era"], measured["last_era"], strict=True)
        ],
    )
    table = measured.pivot_table(index="name", columns="block", values="drop")
    order = table.mean(axis=1).sort_values()
    table = table.loc[[*order.index[-ROWS_SHOWN:]]]
    reach = float(np.nanmax(np.abs(table.to_numpy())))
    figure.add_heatmap(
        x=list(table.columns),
        y=list(table.index),
        z=table.to_numpy(),
        zmin=-reach,
        zmax=reach,
        colorscale="RdBu",
        colorbar={"title": "CORR lost"},
    )
    figure.update_layout(height=max(200, 110 + 20 * len(table)), hovermode="closest")
    figure.update_xaxes(type="category")
    figure.update_yaxes(automargin=True)
    return figure


def strength_figure(rungs: dict[str, list[list[float]]]) -> go.Figure:
    """Strength of regularisation at each rung, one colour per name; no curves if `rungs` is empty.

    Parameters
    ----------
    rungs : dict
        Name of a model or signal -> climbs, each a list of the strengths tried, in order.
    """
    figure = blank_figure("rung", "strength of regularisation")
    for position, (name, climbs) in enumerate(rungs.items()):
        style = _style(position, name)
        for number, strengths in enumerate(climbs):
            figure.add_scatter(
                x=list(range(1, len(strengths) + 1)),
                y=strengths,
                name=name,
                legendgroup=name,
                showlegend=number == 0,
                mode="lines+markers",
                line=style,
                marker={"symbol": SYMBOLS[position % len(SYMBOLS)], "size": 7},
            )
    figure.update_yaxes(range=[-0.05, 1.05])
    figure.update_xaxes(dtick=1)
    return figure


def nothing_yet(figure: go.Figure, text: str) -> go.Figure:
    """The figure, small and without axes, with a text instead of curves."""
    figure.add_annotation(text=text, showarrow=False, xref="paper", yref="paper")
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(height=120)
    return figure


def _by_model(era_scores: pd.DataFrame) -> list[tuple[str, pd.DataFrame, dict[str, object]]]:
    """Ensemble first, benchmark last, members between."""
    places = _places(era_scores["model"])
    names = sorted({*era_scores["model"]}, key=places.__getitem__)
    return [
        (
            name,
            era_scores[era_scores["model"] == name].sort_values("era"),
            _style(places[name], name),
        )
        for name in names
    ]


def _places(names: Iterable[str]) -> dict[str, int]:
    """Position of each model, which decides its colour and dash; the benchmark comes last."""
    further = sorted({*map(str, names)} - {*KNOWN, "benchmark"})
    return {name: place for place, name in enumerate((*KNOWN, *further, "benchmark"))}


def _style(position: int, name: str) -> dict[str, object]:
    """Colour, dash and width; colours repeat, dashes only after ten models."""
    return {
        "color": GREY if name == "benchmark" else COLOURS[position % len(COLOURS)],
        "dash": DASHES[position % len(DASHES)],
        "width": 2.5 if name == "ensemble" else 1.6,
    }


def blank_figure(x_title: str, y_title: str) -> go.Figure:
    """An empty figure with the look of the page."""
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        xaxis_title=x_title,
        yaxis_title=y_title,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02},
        margin={"l": 60, "r": 20, "t": 30, "b": 50},
        height=380,
        hovermode="x unified",
    )
    return figure
