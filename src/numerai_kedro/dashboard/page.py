"""One self-contained page: verdict first, then scores, the gate's table and the plots.

It opens offline: plotly.js is inside. Every text from outside (models, slots, reasons) is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

from numerai_kedro.dashboard.summary import headline, remedies_of, summary_lines
from numerai_kedro.statistics.discovery import Verdict
from numerai_kedro.statistics.intervals import short

# What the verdicts can say, and what they cannot.
CAUSAL = (
    "Stable features predict with one sign in most long regimes: replicable, not causal. Data are "
    "observational and anonymised, so that no test here can show a cause; a feature called null "
    "may be of use in an interaction, or too weak to show"
)
NAMED = 3  # features of a sentence; the rest are counted
SCORES = (
    ("corr", "CORR"),
    ("mmc", "MMC"),
    ("bmc", "BMC"),
    ("fnc", "FNC"),
    ("payoff", "payoff a round"),
    ("max_exposure", "max. exposure"),
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
        As `statistics.leaderboard` ranks them.
    ledger : pandas.DataFrame
        What went wrong and was mended, a line each.
    """
    template = Template(files("numerai_kedro.dashboard").joinpath("page.html").read_text("utf-8"))
    return template.substitute(
        title=escape(headline(summary)),
        verdict=_verdict(summary),
        lines=_rows(summary_lines(summary), header="th"),
        scores=_scores_table(summary),
        worth=_worth_table(summary) + _schemes_table(summary["schemes"]),
        live=_live_table(summary["live"]),
        models=_models_table(summary["outcomes"])
        + _options_table(summary["options"])
        + _ledger_table(ledger)
        + _features_table(summary["features"])
        + _graph_table(summary["graph"])
        + _drift_table(summary["drift"])
        + _leaders_table(leaders)
        + _claims_tables(),
        gate="".join(_gate_table(decision) for decision in summary["gate"].values()),
        figures="".join(_section(title, figure) for title, figure in figures.items()),
        plotly=get_plotlyjs(),
    )


def _verdict(summary: dict[str, Any]) -> str:
    verdicts = []
    for receipt in summary["receipts"].values():
        mark = {"accepted": "✓ submitted", "blocked": "✗ blocked"}.get(receipt["status"], "–")
        css = {"accepted": "good", "blocked": "bad"}.get(receipt["status"], "open")
        text = escape(f"{mark} · slot {receipt['slot']} · {receipt['detail']}")
        verdicts.append(f'<p class="verdict {css}">{text}</p>')
        verdicts += _notes(receipt)
        if "later" in receipt:
            text = escape(f"later run: {receipt['later']['detail']}")
            verdicts.append(f'<p class="verdict open">{text}</p>')
    return "".join(verdicts)


def _notes(receipt: dict[str, Any]) -> list[str]:
    """Who predicts in the place of whom, and who has overridden the gate."""
    notes = []
    if receipt.get("feeds") == "champion":
        notes.append("predicted by the champion: the changed configuration is surely worse")
    if "override" in receipt:
        notes.append(f"the gate was overridden: {receipt['override']}")
    return [f'<p class="verdict open">{escape(note)}</p>' for note in notes]


def _rows(lines: list[tuple[str, str]], header: str) -> str:
    return "".join(
        f"<tr><{header}>{escape(label)}</{header}><td>{escape(text)}</td></tr>"
        for label, text in lines
    )


def _scores_table(summary: dict[str, Any]) -> str:
    titles = "".join(f"<th>{title}</th>" for _, title in SCORES)
    head = f"<tr><th>model</th>{titles}<th>drawdown</th></tr>"
    body = ""
    for model, scores in sorted(summary["scores"].items()):
        cells = "".join(f"<td>{escape(scores[name]['text'])}</td>" for name, _ in SCORES)
        body += f"<tr><th>{escape(model)}</th>{cells}<td>{scores['max_drawdown']:.3f}</td></tr>"
    return head + body


def _worth_table(summary: dict[str, Any]) -> str:
    """How much of the record is luck, and what the next weeks may burn."""
    titles = (
        "model",
        "Sharpe",
        "Sharpe without overlap",
        "deflated Sharpe",
        "next 12 weeks, a round",
        "chance of a burn",
        "independent spans",
    )
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = ""
    for model, scores in sorted(summary["scores"].items()):
        burn = scores["burn"]
        mean = "–" if burn is None else f"{short(burn['mean'])} [{short(burn['low'])}, "
        cells = (
            _two_digits(scores["sharpe"]),
            _two_digits(scores["overlap_sharpe"]),
            _share(scores["deflated_sharpe"]),
            mean if burn is None else f"{mean}{short(burn['high'])}]",
            "–" if burn is None else _share(burn["probability"]),
            "–" if burn is None else f"{burn['n_windows']:.0f}",
        )
        texts = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        body += f"<tr><th>{escape(model)}</th>{texts}</tr>"
    worth = [*_luck_lines(summary["worth"]), *_ensemble_lines(summary)]
    lines = "".join(f"<p>{escape(line)}</p>" for line in worth)
    table = f'<div class="wide"><table class="scores"><tr>{head}</tr>{body}</table></div>'
    return f"<h2>What the record is worth</h2>{table}{lines}"


def _luck_lines(worth: dict[str, Any]) -> list[str]:
    lines = [
        f"The deflated Sharpe is the probability that skill is above the best that luck makes of "
        f"{worth['n_procedures']} configurations, as many as were ever judged on these eras."
    ]
    if worth["superior_to_benchmark"] is not None:
        lines.append(
            "That no model is better than the benchmark has a p value of "
            f"{worth['superior_to_benchmark']:.2f} (Hansen's SPA)."
        )
    for name, studies in sorted(worth["overfitting"].items()):
        one = next(reversed(studies.values()))
        ran = f"{one['n_trials']} trials that ran all folds, {one['n_pruned']} pruned"
        known = one["probability"]
        found = "too little to tell" if known is None else f"{known:.0%}"
        lines.append(f"Probability that {name}'s best trial is overfitted: {found} ({ran}).")
    return lines


def _ensemble_lines(summary: dict[str, Any]) -> list[str]:
    """What was neutralised, and who is champion."""
    lines = [f"Neutralisation of the blend: {summary['neutralisation']['verdict']}."]
    for slot, one in sorted(summary["champions"].items()):
        lines.append(f"Champion of slot {slot}: {one['entry']} of round {one['round']}.")
    return lines


def _schemes_table(schemes: list[dict[str, Any]]) -> str:
    """Weighting schemes side by side, and what each gains over equal weights."""
    titles = ("weights", "CORR", "MMC", "payoff a round", "payoff against equal weights")
    names = ("scheme", "corr", "mmc", "payoff", "payoff_gain")
    table = _table(titles, [[one[name] for name in names] for one in schemes], "scores")
    return f"<h2>Ways to weigh the members</h2>{table}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], css: str = "") -> str:
    """A table whose rows begin with their names."""
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = ""
    for name, *values in rows:
        cells = "".join(f"<td>{escape(value)}</td>" for value in values)
        body += f"<tr><th>{escape(name)}</th>{cells}</tr>"
    kind = f' class="{css}"' if css else ""
    return f'<div class="wide"><table{kind}><tr>{head}</tr>{body}</table></div>'


def _two_digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _models_table(outcomes: dict[str, dict[str, Any]]) -> str:
    """What became of each model: parameters in force, what tuning said, what had to be tried."""
    head = "".join(f"<th>{title}</th>" for title in ("model", "parameters", "tuning", "remedies"))
    body = ""
    for model, outcome in sorted(outcomes.items()):
        if outcome["status"] == "finished":
            remedies = remedies_of(outcome)
            if outcome["refit_failed"]:
                remedies.append(f"the fit before stays in force: {outcome['refit_failed']}")
            made = [outcome["source"], *(f"{key} {one}" for key, one in outcome["option"].items())]
            cells = [", ".join(made), outcome["tuning"] or "–", "; ".join(remedies) or "–"]
        else:
            remedies = remedies_of(outcome)
            cells = ["–", f"{outcome['stage']}: {outcome['symptom']}", "; ".join(remedies) or "–"]
        texts = "".join(f'<td class="text">{escape(cell)}</td>' for cell in cells)
        body += f"<tr><th>{escape(model)}</th>{texts}</tr>"
    return f'<h2>Models</h2><div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _ledger_table(ledger: pd.DataFrame) -> str:
    """Everything that went wrong and was mended; nothing where all went well."""
    if ledger.empty:
        return ""
    titles = ("model", "stage", "when", "where", "seen", "evidence", "done", "what came of it")
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = ""
    for line in ledger.itertuples(index=False):
        model, *cells = (escape(str(cell)) for cell in line)
        texts = "".join(f'<td class="text">{cell}</td>' for cell in cells)
        body += f"<tr><th>{model}</th>{texts}</tr>"
    table = f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
    return f"<h2>What went wrong and was mended</h2>{table}"


def _options_table(options: list[dict[str, Any]]) -> str:
    """Other ways to make each model beside the one in force; nothing where none was tried."""
    if not options:
        return ""
    titles = ("model", "instead", "gain in payoff an era", "in CORR", "in BMC")
    names = ("model", "option", "payoff", "corr", "bmc")
    table = _table(titles, [[one[name] for name in names] for one in options], "scores")
    return f"<h2>Ways to make a model, on the tuning stretch</h2>{table}"


def claims() -> list[dict[str, Any]]:
    """Tables of what was measured over seeds of the demo, which come with the package.

    Each has a title, heads, rows that begin with their names, and a sentence; ``make evidence``
    writes them.
    """
    folder = files("numerai_kedro.dashboard") / "claims"
    kept = sorted(folder.iterdir(), key=lambda one: one.name) if folder.is_dir() else []
    return [json.loads(one.read_text("utf-8")) for one in kept]


def _claims_tables() -> str:
    """The same for every user: what to expect before one's own eras have told."""
    tables = "".join(
        f"<h3>{escape(one['title'])}</h3>{_table(one['heads'], one['rows'], 'scores claims')}"
        f"<p>{escape(one['said'])}</p>"
        for one in claims()
    )
    return f"<h2>Measured on demo tournaments, not in this run</h2>{tables}" if tables else ""


def _features_table(features: dict[str, Any]) -> str:
    """Verdicts window by window, effects that die or flip, and what latents are worth."""
    rows = [
        [window, *(str(counted.get(verdict.value, 0)) for verdict in Verdict)]
        for window, counted in features["verdicts"].items()
    ]
    drifts = [
        f"{one['feature']} {one['kind']}: CORR {short(one['before'])} before, "
        f"{short(one['now'])} in the newest block"
        for one in features["drift"]
    ]
    drifts = drifts or ["No effect has surely died or flipped"]
    lines = "".join(
        f"<p>{escape(line)}.</p>" for line in (CAUSAL, f"Latents: {features['latents']}", *drifts)
    )
    return f"<h2>Verdicts on features</h2>{_table(('eras up to', *Verdict), rows)}{lines}"


def _graph_table(graph: dict[str, Any]) -> str:
    """What the graph is, what changed in it from window to window, and what it earns."""
    titles = ("eras up to", "features", "nodes", "edges", "nodes alone")
    changed = ("features in another node", "edges new", "edges gone")
    rows = [
        [
            *(str(one[name]) for name in ("window", "features", "nodes", "edges", "alone")),
            str(len(one["moved"])) if "moved" in one else "",
            *(str(one.get(name, "")) for name in ("new", "gone")),
        ]
        for one in graph["windows"]
    ]
    worth = [
        [one["model"], one["control"], one["gain"], "–".join(map(str, one["eras"])), one["verdict"]]
        for one in graph["models"]
        if "gain" in one
    ]
    heads = ("model", "edges", "CORR of the real graph less theirs", "eras", "the real graph")
    controls = _table(heads, worth) if worth else ""
    lines = [*_since(graph["since"]), f"What the graph earns: {graph['text']}"]
    said = "".join(f"<p>{escape(line)}.</p>" for line in lines)
    return f"<h2>Graph of the features</h2>{_table((*titles, *changed), rows)}{controls}{said}"


def _since(change: dict[str, Any] | None) -> Iterator[str]:
    """What is other in the newest graph than in the newest one before, which another week made."""
    if change is None:
        return
    parts = [f"{change['new']} edges new, {change['gone']} gone"]
    for name, what in (("moved", "in another node"), ("came", "new"), ("left", "gone")):
        if names := change[name]:
            more = ", …" if len(names) > NAMED else ""
            parts.append(f"{len(names)} features {what} ({', '.join(names[:NAMED])}{more})")
    yield f"Beside the newest graph before, of eras up to {change['window']}: {'; '.join(parts)}"


def _drift_table(drift: dict[str, list[dict[str, Any]]]) -> str:
    """Features that mattered for sure and do not any more; nothing where there are none."""
    titles = ("model", "feature", "", "CORR lost without it, before", "in the newest block")
    rows = [
        [model, one["feature"], one["kind"], short(one["before"]), short(one["now"])]
        for model, features in sorted(drift.items())
        for one in features
    ]
    return f"<h2>Features that drift</h2>{_table(titles, rows)}" if rows else ""


def _leaders_table(leaders: pd.DataFrame) -> str:
    """The best trials of all families; nothing before the first has run."""
    if leaders.empty:
        return ""
    titles = ("model", "trial", "objective", "payoff an era", "CORR", "BMC", "parameters")
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = ""
    for one in leaders.itertuples():
        values = [str(one.trial), short(one.objective), one.payoff, short(one.corr), short(one.bmc)]
        cells = "".join(f"<td>{escape(value)}</td>" for value in values)
        body += f"<tr><th>{escape(one.model)}</th>{cells}"
        body += f'<td class="text">{escape(_params_text(one.params))}</td></tr>'
    table = f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
    return f"<h2>Leaderboard of trials</h2>{table}"


def _params_text(params: str) -> str:
    """Names and values, three digits."""
    return ", ".join(f"{name} {value:.3g}" for name, value in json.loads(params).items())


def _live_table(lines: list[dict[str, Any]]) -> str:
    """What the backtest promised beside what came; nothing before the first round is scored."""
    if not lines:
        return ""
    titles = ("slot", "fed by", "score", "promised", "came", "rounds resolved", "independent")
    head = "".join(f"<th>{title}</th>" for title in (*titles, "running", "so far"))
    body = ""
    for line in lines:
        values = [
            line["entry"] or "–",
            line["score"],
            _number(line["promised"]),
            _number(line["came"]) + (f", {line['gap']}" if line["gap"] else ""),
            str(line["n_resolved"]),
            str(line["n_independent"]),
            str(line["n_rounds"] - line["n_resolved"]),
            _number(line["running"]),
        ]
        cells = "".join(f"<td>{escape(value)}</td>" for value in values)
        body += f"<tr><th>{escape(line['slot'])}</th>{cells}</tr>"
    table = f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
    return f"<h2>Promised and came</h2>{table}"


def _number(value: float | None) -> str:
    return "–" if value is None else short(value)


def _gate_table(decision: dict[str, Any]) -> str:
    titles = ("check", "value", "wanted", "result", "why")
    head = f"<tr>{''.join(f'<th>{title}</th>' for title in titles)}</tr>"
    body = ""
    for check in decision["checks"]:
        passed = check["passed"]
        value = "–" if check["value"] is None else short(check["value"])
        threshold = "–" if check["threshold"] is None else short(check["threshold"])
        body += (
            f"<tr><th>{escape(check['label'])}</th><td>{value}</td>"
            f"<td>{escape(check['side'])} {threshold}</td>"
            f'<td class="{"good" if passed else "bad"}">{"✓ passed" if passed else "✗ missed"}</td>'
            f'<td class="text">{escape(check["why"])}</td></tr>'
        )
    title = escape(f"Gate · slot {decision['slot']}, fed by {decision['entry']}")
    table = f'<h2>{title}</h2><div class="wide"><table>{head}{body}</table></div>'
    superior = decision.get("superior_to_champion")
    if superior is None:
        return table
    text = f"That nothing of ours earns more than the champion has a p value of {superior:.2f}"
    return f"{table}<p>{text} (Hansen's SPA).</p>"


def _section(title: str, figure: go.Figure) -> str:
    # An id of our own making: plotly does not escape it.
    plot = plotly.io.to_html(
        figure,
        include_plotlyjs=False,
        full_html=False,
        config={"responsive": True, "displayModeBar": False},
        div_id="plot-" + "".join(c if c.isalnum() else "-" for c in title.lower()),
    )
    return f"<h2>{escape(title)}</h2>{plot}"
