"""What the backtest promised beside what came: live scores of rounds that were submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from numerai_kedro.statistics.intervals import short

# Rounds open on five days a week, and a 60-day target spans so many of them.
OVERLAP_ROUNDS = 60
COLUMNS = (
    "round",
    "slot",
    "entry",
    "score",
    "day",
    "value",
    "resolved",
    "promised",
    "promised_low",
    "promised_high",
)


def live_record(
    scores: Mapping[str, pd.DataFrame], decisions: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """Every score of every round, day by day, beside what was promised when it was submitted.

    Parameters
    ----------
    scores
        Slot -> ``roundNumber``, ``displayName`` (such as ``corr60``), ``day``, ``value``,
        ``resolved``; one row a round, score and day.
    decisions
        Decisions of the gate by ``<round>-<slot>``; ``promised`` in them holds mean and bounds by
        display name. Rounds without one were submitted by something else: they count, with no
        promise.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row a slot, round, score and day.
    """
    rows: list[dict[str, Any]] = []
    for slot, frame in sorted(scores.items()):
        known = frame.dropna(subset=["value", "day"])
        for one in known.sort_values(["roundNumber", "displayName", "day"]).itertuples():
            decision = decisions.get(f"{one.roundNumber}-{slot}", {})
            promised = decision.get("promised", {}).get(one.displayName)
            rows.append(
                {
                    "round": int(one.roundNumber),
                    "slot": slot,
                    "entry": decision.get("entry", ""),
                    "score": str(one.displayName),
                    "day": int(one.day),
                    "value": float(one.value),
                    "resolved": bool(one.resolved),
                    "promised": promised and promised["mean"],
                    "promised_low": promised and promised["low"],
                    "promised_high": promised and promised["high"],
                }
            )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = ["value", "promised", "promised_low", "promised_high"]
    return frame.astype(dict.fromkeys(numbers, "float64"))


def promised_and_came(record: pd.DataFrame) -> list[dict[str, Any]]:
    """Per slot, entry and score: means over resolved rounds, and how many of those are independent.

    Of each round the newest day counts. Scores are never mixed, because a 20-day score is final
    long before the 60-day one. A mean of what was promised goes over the same rounds as the mean
    of what came.
    """
    lines = []
    newest = record.sort_values("day").groupby(["slot", "round", "score"]).tail(1)
    for keys, rows in newest.groupby(["slot", "entry", "score"], sort=True):
        resolved = rows[rows["resolved"]]
        named = zip(("slot", "entry", "score"), map(str, keys), strict=True)
        line: dict[str, Any] = dict(named)
        lines.append(
            line
            | {
                "n_rounds": len(rows),
                "n_resolved": len(resolved),
                "n_independent": independent_rounds(resolved["round"].tolist()),
                "promised": _mean(resolved["promised"]),
                "came": _mean(resolved["value"]),
                "gap": _gap(resolved),
                "running": _mean(rows[~rows["resolved"]]["value"]),
            }
        )
    return lines


def _gap(resolved: pd.DataFrame) -> str | None:
    """Where what came lies beyond the interval of what was promised; None inside, or without."""
    came, low, high = (resolved[name].mean() for name in ("value", "promised_low", "promised_high"))
    if pd.isna(low) or pd.isna(high) or low <= came <= high:
        return None
    side = "below" if came < low else "above"
    return f"{side} the promised {short(float(low))} to {short(float(high))}"


def independent_rounds(numbers: list[int]) -> int:
    """Most rounds of which no two share a day of a 60-day target."""
    count, last = 0, -OVERLAP_ROUNDS
    for number in sorted(numbers):
        if number - last >= OVERLAP_ROUNDS:
            count, last = count + 1, number
    return count


def record_text(line: Mapping[str, Any]) -> str:
    """``corr60 promised .0495, came .0312 (12 rounds resolved, 1 independent)``."""
    n_running = line["n_rounds"] - line["n_resolved"]
    running = f"{n_running} still running" + (
        f" at {short(line['running'])}" if line["running"] is not None else ""
    )
    if not line["n_resolved"]:
        return f"{line['score']}: no round resolved yet, {running}"
    promised = short(line["promised"]) if line["promised"] is not None else "nothing"
    text = (
        f"{line['score']} promised {promised}, came {short(line['came'])} "
        f"({line['n_resolved']} rounds resolved, {line['n_independent']} independent)"
    )
    if line["gap"] is not None:
        text = f"{text}, {line['gap']}"
    return f"{text}; {running}" if n_running else text


def _mean(values: pd.Series) -> float | None:
    mean = values.mean()
    return None if pd.isna(mean) else round(float(mean), 6)
