"""One self-contained page: verdict first, then scores, the gate's table and the plots.

It opens offline: plotly.js is inside. Every text from outside (models, slots, reasons) is escaped.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

from numerai_kedro.reporting.dashboard.feature_tables import (
    claims_tables,
    drift_table,
    features_table,
    graph_table,
)
from numerai_kedro.reporting.dashboard.summary import headline, summary_lines
from numerai_kedro.reporting.dashboard.tables import (
    gate_table,
    leaders_table,
    ledger_table,
    live_table,
    models_table,
    options_table,
    schemes_table,
    scores_table,
    worth_table,
)


def render_page(
    summary: dict[str, Any],
    figures: dict[str, go.Figure],
    leaders: pd.DataFrame,
    ledger: pd.DataFrame,
) -> str:
    """Render the dashboard.

    Parameters
    ----------
    summary : dict
        As the reporting pipeline gathers it.
    figures : dict
        Title to figure, drawn in this order.
    leaders : pandas.DataFrame
        As `reporting.leaderboard` ranks them.
    ledger : pandas.DataFrame
        Faults and their remedies, one row each.
    """
    template = Template(
        files("numerai_kedro.reporting.dashboard").joinpath("page.html").read_text("utf-8")
    )
    return template.substitute(
        title=escape(headline(summary)),
        verdict=_verdict(summary),
        lines=_rows(summary_lines(summary), header="th"),
        scores=scores_table(summary),
        worth=worth_table(summary) + schemes_table(summary["schemes"]),
        live=live_table(summary["live"]),
        models=models_table(summary["outcomes"])
        + options_table(summary["options"])
        + ledger_table(ledger)
        + features_table(summary["features"])
        + graph_table(summary["graph"])
        + drift_table(summary["drift"])
        + leaders_table(leaders)
        + claims_tables(),
        gate="".join(gate_table(decision) for decision in summary["gate"].values()),
        figures="".join(_section(title, figure) for title, figure in figures.items()),
        plotly=get_plotlyjs(),
    )


# Mark and colour of a receipt by its status; what was not sent never looks like a success.
MARKS = {
    "accepted": ("✓ submitted", "good"),
    "late": ("✓ submitted late", "open"),
    "pending": ("… submitted, not validated yet", "open"),
    "unconfirmed": ("? sent, not confirmed", "open"),
    "written": ("– not uploaded", "open"),
    "blocked": ("✗ blocked", "bad"),
    "refused": ("✗ not submitted", "bad"),
    "failed": ("✗ found invalid", "bad"),
    "closed": ("✗ not submitted", "bad"),
    "moved": ("✗ not submitted", "bad"),
}


def _verdict(summary: dict[str, Any]) -> str:
    verdicts = []
    for key, receipt in summary["receipts"].items():
        mark, css = MARKS[receipt["status"]]
        text = escape(f"{mark} · slot {receipt['slot']} · {receipt['detail']}")
        verdicts.append(f'<p class="verdict {css}">{text}</p>')
        verdicts += _notes(receipt, summary["gate"].get(key, {}))
        if "later" in receipt:
            text = escape(f"later run: {receipt['later']['detail']}")
            verdicts.append(f'<p class="verdict open">{text}</p>')
    return "".join(verdicts)


def _notes(receipt: dict[str, Any], decision: dict[str, Any]) -> list[str]:
    """Why the champion predicts if it does, what was overridden, and the gate's warnings."""
    notes = []
    if receipt.get("feeds") == "champion":
        notes.append(f"predicted by the champion: {'; '.join(decision.get('reasons', ()))}")
    if "override" in receipt:
        notes.append(f"the gate was overridden: {receipt['override']}")
    notes += [f"⚠ {warning}" for warning in decision.get("warnings", ())]
    return [f'<p class="verdict open">{escape(note)}</p>' for note in notes]


def _rows(lines: list[tuple[str, str]], header: str) -> str:
    return "".join(
        f"<tr><{header}>{escape(label)}</{header}><td>{escape(text)}</td></tr>"
        for label, text in lines
    )


def _section(title: str, figure: go.Figure) -> str:
    # Letters, digits and dashes only, because plotly does not escape the id.
    plot = plotly.io.to_html(
        figure,
        include_plotlyjs=False,
        full_html=False,
        config={"responsive": True, "displayModeBar": False},
        div_id="plot-" + "".join(c if c.isalnum() else "-" for c in title.lower()),
    )
    return f"<h2>{escape(title)}</h2>{plot}"
