"""The lines that end a run: rich on a terminal, plain when piped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from kedro.io import DatasetError
from rich.console import Console

from numerai_kedro.errors import NumeraiKedroError, without_password
from numerai_kedro.reporting.live_record import record_text

LABEL_WIDTH = 12


def summary_lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of each line: data, models, ensemble, gate, submission."""
    data = summary["data"]
    lines = [
        (
            "data",
            f"{data['version']}, eras {data['first_era']:04d}-{data['last_era']:04d}, "
            f"{data['target']} resolved to {data['resolved_to']:04d}; paid "
            f"{summary['weights']['corr']:g} x CORR + {summary['weights']['mmc']:g} x MMC",
        )
    ]
    if data["version_change"]:
        lines.append(("", data["version_change"]))
    lines += [("cut", cut) for cut in summary["cuts"]]
    for model, outcome in sorted(summary["outcomes"].items()):
        if outcome["status"] == "finished":
            lines.append((model, scores_text(summary["scores"][model])))
            lines += [("", note) for note in notes_of(outcome)]
        else:
            lines.append((model, f"{outcome['stage']}: {outcome['symptom']}"))
    lines.append(("ensemble", scores_text(summary["scores"]["ensemble"], with_sharpe=True)))
    lines.append(("payoff", payoff_text(summary["scores"]["ensemble"])))
    lines += [(f"live {line['slot']}", record_text(line)) for line in summary["live"]]
    several = len(summary["gate"]) > 1
    for decision in summary["gate"].values():
        slot = f"{decision['slot']}: " if several else ""
        lines.append(("gate", slot + gate_text(decision)))
    for receipt in summary["receipts"].values():
        lines.append(("submission", receipt.get("later", receipt)["detail"]))
        if "later" in receipt:
            lines.append(("", f"from before it stays: {receipt['detail']}"))
    return lines


def notes_of(outcome: dict[str, Any]) -> list[str]:
    """What happened to a model that finished, beyond its scores."""
    notes = [outcome["origin"]] if "origin" in outcome else []
    notes += [f"remedy: {remedy}" for remedy in remedies_of(outcome)]
    if outcome["refit_failed"]:
        notes.append(f"the incumbent fit stays: {outcome['refit_failed']}")
    return notes


def remedies_of(outcome: dict[str, Any]) -> list[str]:
    """Each fault with its remedy; repeated ones once, with their number."""
    sentences = [f"{line['symptom']}: {line['remedy']}" for line in outcome["remedies"]]
    times = Counter(sentences)
    return [text if n == 1 else f"{text} ({n} times)" for text, n in times.items()]


def scores_text(scores: dict[str, Any], with_sharpe: bool = False) -> str:
    """CORR and MMC with their intervals."""
    text = f"CORR {scores['corr']['text']}   MMC {scores['mmc']['text']}"
    if not with_sharpe:
        return text
    return f"{text}   Sharpe {'–' if scores['sharpe'] is None else format(scores['sharpe'], '.2f')}"


def payoff_text(scores: dict[str, Any]) -> str:
    """Mean payoff of a round, and the chance that the next weeks burn."""
    text = f"{scores['payoff']['text']} of a round's stake"
    burn = scores["burn"]
    if burn is None:
        return text
    return f"{text}; the next {burn['weeks']} weeks burn with a chance of {burn['probability']:.0%}"


def gate_text(decision: dict[str, Any]) -> str:
    """How many checks passed, which did not, and what warns."""
    checks = [check for check in decision["checks"] if check["kind"] != "warning"]
    passed = f"{sum(check['passed'] for check in checks)} of {len(checks)} checks"
    reasons = "; ".join(decision["reasons"])
    if "override" in decision:
        text = f"overridden ({decision['override']}), {passed} passed"
    elif decision["passed"] and decision.get("feeds") == "champion":
        text = f"the champion predicts: {reasons}"
    elif decision["passed"]:
        text = f"passed, {passed}"
    else:
        text = f"blocked, {passed} passed: {reasons}"
    return "; ".join([text, *(f"warning: {warning}" for warning in decision.get("warnings", ()))])


def headline(summary: dict[str, Any], now: str | None = None) -> str:
    """Tournament and round; `now` describes the round at this moment, if that is known."""
    name = summary["data"]["tournament"]
    return f"numerai_kedro · {name} tournament · {now or summary['round']['text']}"


def _round_now(catalog: Any, summary: dict[str, Any]) -> str | None:
    """The round's description at this moment; None if unavailable, or if another round is open."""
    try:
        newest = catalog.load("tournament").newest_round()
    except (NumeraiKedroError, DatasetError):
        return None
    return str(newest.describe()) if newest.number == summary["round"]["number"] else None


def print_summary(
    summary: dict[str, Any], catalog: Any, seconds: float, tracking_uri: str | None
) -> None:
    """Print headline, lines, where to look, and how long it took."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{headline(summary, _round_now(catalog, summary))}[/bold]")
    page = Path(catalog.get("dashboard")._describe()["filepath"])
    shown = page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page
    look = f"{shown} · kedro viz run"
    if tracking_uri and "://" in tracking_uri and not tracking_uri.startswith("http"):
        look += f" · mlflow ui --backend-store-uri {without_password(tracking_uri)}"
    elif tracking_uri:
        look += f" · MLflow at {without_password(tracking_uri)}"
    took = f"{seconds // 60:.0f} min {seconds % 60:.0f} s" if seconds >= 60 else f"{seconds:.0f} s"
    for label, text in [*summary_lines(summary), ("look", look), ("took", took)]:
        console.print(f"  {label:<{LABEL_WIDTH - 1}} {text}", markup=False)
