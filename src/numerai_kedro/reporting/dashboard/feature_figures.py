"""What is known of features before any model: effects, regimes, trends, latents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from numerai_kedro.data.verdict import Verdict
from numerai_kedro.reporting.dashboard.figures import (
    COLOURS,
    DASHES,
    GREY,
    SYMBOLS,
    blank_figure,
    nothing_yet,
)

CLUSTERS_SHOWN = 24  # in the heat map: those with the most significant mean effect
TRENDS_SHOWN = 6
ERAS_OF_A_CELL = 13
LARGEST_PART = 1e-12  # smaller q values are drawn as this one, so that the logarithm is finite
# In the order in which they are drawn: what matters most lies on top.
LOOKS = {
    Verdict.UNTESTABLE: (GREY, "x"),
    Verdict.NULL: (GREY, "circle"),
    Verdict.INTERACTION: (COLOURS[1], "diamond"),
    Verdict.UNSTABLE: (COLOURS[5], "triangle-up"),
    Verdict.STABLE: (COLOURS[2], "square"),
}


def volcano(report: pd.DataFrame, q: float) -> go.Figure:
    """Each feature's mean effect against its significance, by verdict.

    Parameters
    ----------
    report : pandas.DataFrame
        Of one window, as `features.discovery.discover` returns it.
    q
        False discovery rate that was accepted; drawn as a line.
    """
    figure = blank_figure("mean CORR of the feature", "−log₁₀ q of its cluster")
    tested = report.dropna(subset=["effect", "q"])
    for verdict, (colour, symbol) in LOOKS.items():
        rows = tested[tested["verdict"] == verdict]
        if rows.empty:
            continue
        figure.add_scatter(
            x=rows["effect"],
            y=-np.log10(np.maximum(rows["q"], LARGEST_PART)),
            text=rows["feature"],
            name=f"{verdict} ({len(rows)})",
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 8, "opacity": 0.8},
            hovertemplate="%{text}<br>effect %{x:.4f}, −log₁₀ q %{y:.2f}",
        )
    figure.update_layout(hovermode="closest", showlegend=True)
    if tested.empty:
        return nothing_yet(figure, "no feature could be tested: too few eras")
    figure.add_hline(y=-np.log10(q), line={"dash": "dot", "color": GREY})
    return figure


def effects_by_era(
    linear: pd.DataFrame, report: pd.DataFrame, regimes: list[tuple[int, int]], newest: int
) -> go.Figure:
    """Effects of the most significant clusters over eras, with the regimes that tests compare.

    Parameters
    ----------
    linear : pandas.DataFrame
        CORR, one row per era and one column per feature.
    report
        Of the newest window.
    regimes
        First and last era of each.
    newest
        The newest era that the report used; later eras are shaded, and influenced no verdict.
    """
    figure = blank_figure("era", "")
    sure = (
        report.dropna(subset=["p"]).drop_duplicates("representative").nsmallest(CLUSTERS_SHOWN, "p")
    )
    names = [name for name in sure["representative"] if name in linear]
    if not names:
        return nothing_yet(figure, "no feature could be tested: too few eras")
    # Eras count from 1: the cells are eras 1 to 13, 14 to 26, and so on.
    cells = linear[names].groupby((linear.index - 1) // ERAS_OF_A_CELL * ERAS_OF_A_CELL + 1).mean()
    table = cells.T.iloc[::-1]
    verdicts = report.set_index("feature")["verdict"]
    reach = float(np.nanmax(np.abs(table.to_numpy())))
    figure.add_heatmap(
        x=[int(era) + ERAS_OF_A_CELL / 2 - 0.5 for era in table.columns],
        y=[f"{name} · {verdicts[name]}" for name in table.index],
        z=table.to_numpy(),
        zmin=-reach,
        zmax=reach,
        colorscale="RdBu",
        colorbar={"title": "CORR"},
        hovertemplate="%{y}<br>eras around %{x:.0f}: %{z:.4f}<extra></extra>",
    )
    for number, (first, last) in enumerate(regimes, start=1):
        for border in (first - 0.5, last + 0.5):
            figure.add_vline(x=border, line={"color": "#000", "width": 1.5, "dash": "dash"})
        figure.add_annotation(
            x=(first + last) / 2,
            y=1,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            text=f"regime {number}",
        )
    if newest < linear.index.max():
        figure.add_vrect(
            x0=newest + 0.5, x1=float(linear.index.max()), fillcolor=GREY, opacity=0.15
        )
    figure.update_layout(height=120 + 20 * len(names), hovermode="closest")
    figure.update_yaxes(automargin=True)
    return figure


def effect_and_importance(trend: pd.DataFrame, importance: pd.DataFrame) -> go.Figure:
    """Effects of clusters, block by block, and what models lose without them.

    Parameters
    ----------
    trend : pandas.DataFrame
        `features.effect_trend.effect_trend`.
    importance : pandas.DataFrame
        ``model``, ``feature``, ``first_era``, ``last_era``, ``drop``: CORR lost without it.
    """
    measured = importance.dropna(subset=["drop"])
    shown = _most_telling(trend, measured)
    if not shown:
        return nothing_yet(blank_figure("era", ""), "no effect has been followed yet")
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.08,
        subplot_titles=("mean CORR of the feature itself", "CORR that models lose without it"),
    )
    for position, feature in enumerate(shown):
        colour = COLOURS[position % len(COLOURS)]
        look = {"color": colour, "dash": DASHES[position % len(DASHES)]}
        marker = {"symbol": SYMBOLS[position % len(SYMBOLS)], "size": 7}
        own = trend[trend["feature"] == feature].sort_values("first_era")
        lost = measured[measured["feature"] == feature].groupby(["first_era", "last_era"])["drop"]
        for row, (rows, values, errors) in enumerate(
            (
                (own, own["effect"], own["error"]),
                (lost.mean().reset_index(), lost.mean(), None),
            ),
            start=1,
        ):
            figure.add_scatter(
                x=(rows["first_era"] + rows["last_era"]) / 2,
                y=values,
                error_y=None if errors is None else {"array": errors, "thickness": 1},
                name=feature,
                legendgroup=feature,
                showlegend=row == 1,
                mode="lines+markers",
                line=look,
                marker=marker,
                row=row,
                col=1,
            )
    _lay_out(figure, 560, "x unified", legend_y=-0.1)
    figure.update_xaxes(title="era", row=2, col=1)
    return figure


def _lay_out(figure: go.Figure, height: int, hovermode: str, legend_y: float) -> None:
    """Give a figure of several panels the look of the page, with the legend below."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin=blank_figure("", "").layout.margin,
        hovermode=hovermode,
        legend={"orientation": "h", "yanchor": "top", "y": legend_y},
    )


def _most_telling(trend: pd.DataFrame, importance: pd.DataFrame) -> list[str]:
    """Features that models depend on most; after them, those with the largest effects."""
    traced = {*trend["feature"]}
    lost = importance.groupby("feature")["drop"].mean().sort_values(ascending=False)
    ranked = [str(name) for name in lost.index if name in traced]
    size = trend.groupby("feature")["effect"].mean().abs().sort_values(ascending=False)
    return [*dict.fromkeys([*ranked, *map(str, size.index)])][:TRENDS_SHOWN]


def latent_summary(report: dict[str, Any] | None) -> go.Figure:
    """Spread of the newest encoder's latents; what latents explain and earn, window by window.

    Parameters
    ----------
    report : dict
        The entry `latent_report`; None if there are no latents.
    """
    if report is None or not report["windows"]:
        return nothing_yet(blank_figure("", ""), "no latents have been made")
    windows = report["windows"]
    figure = make_subplots(
        rows=1,
        cols=3,
        horizontal_spacing=0.09,
        subplot_titles=(
            f"spread of the {windows[-1]['n_latents']} latents, {windows[-1]['active']} in use",
            "nats a feature costs to tell",
            "CORR of a ridge regression",
        ),
    )
    spreads = windows[-1]["variances"]
    figure.add_bar(y=spreads, marker={"color": COLOURS[0]}, showlegend=False, row=1, col=1)
    eras = [f"{window['first_era']}–{window['last_era']}" for window in windows]
    lines = (
        (2, "marginal_nats", "by its frequencies", GREY),
        (2, "told_nats", "from the latents", COLOURS[0]),
        (3, "components", "principal components", GREY),
        (3, "latents", "latents", COLOURS[0]),
    )
    for position, (column, key, name, colour) in enumerate(lines):
        figure.add_scatter(
            x=eras,
            y=[window[key] for window in windows],
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": DASHES[position % 2]},
            marker={"symbol": SYMBOLS[position % 2], "size": 7},
            row=1,
            col=column,
        )
    _lay_out(figure, 440, "closest", legend_y=-0.42)
    figure.update_xaxes(title="latent", row=1, col=1)
    for column in (2, 3):
        figure.update_xaxes(title="test eras", type="category", row=1, col=column)
    return figure
