"""Tables of the page: scores, what they are worth, models, trials, rounds and the gate.

Whatever comes from outside (models, slots, reasons) is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd

from numerai_kedro.metrics.intervals import short
from numerai_kedro.reporting.dashboard.summary import remedies_of

SCORES = (
    ("corr", "CORR"),
    ("mmc", "MMC"),
    ("bmc", "BMC"),
    ("fnc", "FNC"),
    ("payoff", "payoff a round"),
    ("max_exposure", "max. exposure"),
)


def scores_table(summary: dict[str, Any]) -> str:
    """Scores of each model over the test eras."""
    titles = "".join(f"<th>{title}</th>" for _, title in SCORES)
    head = f"<tr><th>model</th>{titles}<th>drawdown</th></tr>"
    body = ""
    for model, scores in sorted(summary["scores"].items()):
        cells = "".join(f"<td>{escape(scores[name]['text'])}</td>" for name, _ in SCORES)
        label, drawdown = escape(_label(summary, model)), scores["max_drawdown"]
        body += f"<tr><th>{label}</th>{cells}<td>{drawdown:.3f}</td></tr>"
    return head + body


def _label(summary: dict[str, Any], model: str) -> str:
    """The model's name, marked if its predictions were made elsewhere."""
    outcome = summary["outcomes"].get(model, {})
    return f"{model} (not ours)" if "origin" in outcome else model


def worth_table(summary: dict[str, Any]) -> str:
    """How much of the record may be luck, and the chance that the next weeks burn."""
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
        body += f"<tr><th>{escape(_label(summary, model))}</th>{texts}</tr>"
    worth = [*_luck_lines(summary["worth"]), *_ensemble_lines(summary)]
    lines = "".join(f"<p>{escape(line)}</p>" for line in worth)
    table = f'<div class="wide"><table class="scores"><tr>{head}</tr>{body}</table></div>'
    return f"<h2>Significance of the record</h2>{table}{lines}"


def schemes_table(schemes: list[dict[str, Any]]) -> str:
    """Weighting schemes side by side, and what each gains over equal weights."""
    titles = ("weights", "CORR", "MMC", "payoff a round", "payoff against equal weights")
    names = ("scheme", "corr", "mmc", "payoff", "payoff_gain")
    table = table_of(titles, [[scheme[name] for name in names] for scheme in schemes], "scores")
    return f"<h2>Weighting schemes</h2>{table}"


def table_of(titles: Sequence[str], rows: Sequence[Sequence[str]], css: str = "") -> str:
    """A table in which the first cell of each row is its heading."""
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = ""
    for name, *values in rows:
        cells = "".join(f"<td>{escape(value)}</td>" for value in values)
        body += f"<tr><th>{escape(name)}</th>{cells}</tr>"
    kind = f' class="{css}"' if css else ""
    return f'<div class="wide"><table{kind}><tr>{head}</tr>{body}</table></div>'


def models_table(outcomes: dict[str, dict[str, Any]]) -> str:
    """Each model's parameters, verdict of tuning and remedies, or why it failed."""
    head = "".join(f"<th>{title}</th>" for title in ("model", "parameters", "tuning", "remedies"))
    body = ""
    for model, outcome in sorted(outcomes.items()):
        if outcome["status"] == "finished":
            remedies = remedies_of(outcome)
            if outcome["refit_failed"]:
                remedies.append(f"the incumbent fit stays: {outcome['refit_failed']}")
            source = [*filter(None, [outcome.get("origin")]), outcome["source"]]
            source += [*(f"{key} {value}" for key, value in outcome["option"].items())]
            cells = [", ".join(source), outcome["tuning"] or "–", "; ".join(remedies) or "–"]
        else:
            remedies = remedies_of(outcome)
            cells = ["–", f"{outcome['stage']}: {outcome['symptom']}", "; ".join(remedies) or "–"]
        texts = "".join(f'<td class="text">{escape(cell)}</td>' for cell in cells)
        body += f"<tr><th>{escape(model)}</th>{texts}</tr>"
    return f'<h2>Models</h2><div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def ledger_table(ledger: pd.DataFrame) -> str:
    """All faults and their remedies; empty if there were none."""
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
    return f"<h2>Recoveries</h2>{table}"


def options_table(options: list[dict[str, Any]]) -> str:
    """Options of each model compared with the incumbent; empty if none was tried."""
    if not options:
        return ""
    titles = ("model", "instead", "gain in payoff an era", "in CORR", "in BMC")
    names = ("model", "option", "payoff", "corr", "bmc")
    table = table_of(titles, [[option[name] for name in names] for option in options], "scores")
    return f"<h2>Model options, on the validation period</h2>{table}"


def leaders_table(leaders: pd.DataFrame) -> str:
    """The best trials of all families; empty before the first has run."""
    if leaders.empty:
        return ""
    titles = ("model", "trial", "objective", "payoff an era", "CORR", "BMC", "parameters")
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = ""
    for row in leaders.itertuples():
        values = [str(row.trial), short(row.objective), row.payoff, short(row.corr), short(row.bmc)]
        cells = "".join(f"<td>{escape(value)}</td>" for value in values)
        body += f"<tr><th>{escape(row.model)}</th>{cells}"
        body += f'<td class="text">{escape(_params_text(row.params))}</td></tr>'
    table = f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
    return f"<h2>Leaderboard of trials</h2>{table}"


def live_table(lines: list[dict[str, Any]]) -> str:
    """Expected and realised scores; empty before the first round is scored."""
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
    return f"<h2>Expected and realised scores</h2>{table}"


def gate_table(decision: dict[str, Any]) -> str:
    """Every check of a slot's gate, and the test whether anything of ours beats the champion."""
    title = escape(f"Gate · slot {decision['slot']}, fed by {decision['entry']}")
    table = f"<h2>{title}</h2>{_checks_table(decision['checks'])}"
    if "champion_checks" in decision:
        again = "What was asked of the champion before it predicted in their place:"
        table += f"<p>{again}</p>{_checks_table(decision['champion_checks'])}"
    superior = decision.get("superior_to_champion")
    if superior is None:
        return table
    text = f"That nothing of ours earns more than the champion has a p value of {superior:.2f}"
    return f"{table}<p>{text} (a test of superior predictive ability).</p>"


def _checks_table(checks: list[dict[str, Any]]) -> str:
    """Value, threshold and result of checks, and what to do where one is missed."""
    titles = ("check", "value", "wanted", "result", "what it says", "what to do if missed")
    head = f"<tr>{''.join(f'<th>{title}</th>' for title in titles)}</tr>"
    body = ""
    for check in checks:
        css, result = _result_of(check)
        body += (
            f"<tr><th>{escape(check['label'])}</th><td>{_number(check['value'])}</td>"
            f"<td>{escape(check['side'])} {_number(check['threshold'])}</td>"
            f'<td class="{css}">{result}</td><td class="text">{escape(check["why"])}</td>'
            f'<td class="text">{escape(check["remedy"])}</td></tr>'
        )
    return f'<div class="wide"><table>{head}{body}</table></div>'


def _result_of(check: dict[str, Any]) -> tuple[str, str]:
    if check["passed"]:
        return "good", "✓ passed"
    return ("open", "⚠ warning") if check["kind"] == "warning" else ("bad", "✗ missed")


def _luck_lines(worth: dict[str, Any]) -> list[str]:
    lines = [
        f"The deflated Sharpe is the probability that skill is above the best that luck makes of "
        f"{worth['n_procedures']} configurations, as many as were ever tried on these eras."
    ]
    if worth["superior_to_benchmark"] is not None:
        lines.append(
            "That no model is better than the benchmark has a p value of "
            f"{worth['superior_to_benchmark']:.2f} (a test of superior predictive ability)."
        )
    for name, studies in sorted(worth["overfitting"].items()):
        newest = next(reversed(studies.values()))
        ran = f"{newest['n_trials']} trials that ran all folds, {newest['n_pruned']} pruned"
        probability = newest["probability"]
        text = "too little to tell" if probability is None else f"{probability:.0%}"
        lines.append(f"Probability that {name}'s best trial is overfitted: {text} ({ran}).")
    return lines


def _ensemble_lines(summary: dict[str, Any]) -> list[str]:
    """The verdict on neutralisation, and the champions."""
    lines = [f"Neutralisation of the blend: {summary['neutralisation']['verdict']}."]
    for slot, champion in sorted(summary["champions"].items()):
        lines.append(f"Champion of slot {slot}: {champion['entry']} of round {champion['round']}.")
    return lines


def _two_digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _params_text(params: str) -> str:
    """Names and values, three digits."""
    return ", ".join(f"{name} {value:.3g}" for name, value in json.loads(params).items())


def _number(value: float | None) -> str:
    return "–" if value is None else short(value)
