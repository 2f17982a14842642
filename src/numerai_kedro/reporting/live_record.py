"""Scores expected by the backtest and realised scores of submitted rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from numerai_kedro.metrics.intervals import short
from numerai_kedro.numerai.payout_rule import version_order

# Five rounds open a week, so a target of 60 trading days spans as many rounds.
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
    "version",
)


def newest_versions(scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of the newest version of each round's score; those of older versions are left out.

    Days of two versions are never one series: a new version replaces the old one from its first
    day.

    Parameters
    ----------
    scores
        ``roundNumber``, ``displayName`` and ``value``; ``version`` if the tournament gives it.
        Rows without a value are ignored.

    Returns
    -------
    DataFrame
        With ``version`` as text, empty if it is unknown.
    """
    scored = scores.dropna(subset=["value"])
    reported = scored.get("version", pd.Series("", scored.index))
    versions = reported.where(reported.notna(), "").astype(str)
    scored = scored.assign(version=versions.astype(object))
    by_score = scored.groupby(["roundNumber", "displayName"])["version"]
    newest = by_score.transform(lambda of_score: max(of_score, key=version_order))
    return scored[scored["version"] == newest]


def live_record(
    scores: Mapping[str, pd.DataFrame], decisions: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """Every score of every round, day by day, and what was promised when it was submitted.

    Parameters
    ----------
    scores
        Slot -> ``roundNumber``, ``displayName`` (such as ``corr60``), ``day``, ``value``,
        ``resolved``, and ``version`` if the tournament gives it; one row per round, score, day and
        version. Only the newest version of a round's score counts.
    decisions
        Decisions of the gate by ``<round>-<slot>``; ``promised`` in them holds mean and bounds by
        display name. Rounds without a decision were submitted by something else: they are included
        without a promise, as are rounds whose decision has none.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row per slot, round, score and day.
    """
    rows: list[dict[str, Any]] = []
    for slot, frame in sorted(scores.items()):
        newest = newest_versions(frame.dropna(subset=["day"]))
        for row in newest.sort_values(["roundNumber", "displayName", "day"]).itertuples():
            decision = _mapping(decisions.get(f"{row.roundNumber}-{slot}"))
            promised = _mapping(_mapping(decision.get("promised")).get(row.displayName))
            rows.append(
                {
                    "round": int(row.roundNumber),
                    "slot": slot,
                    "entry": str(decision.get("entry") or ""),
                    "score": str(row.displayName),
                    "day": int(row.day),
                    "value": float(row.value),
                    "resolved": bool(row.resolved),
                    "promised": promised.get("mean"),
                    "promised_low": promised.get("low"),
                    "promised_high": promised.get("high"),
                    "version": str(row.version),
                }
            )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    # Decisions come from files: a promise that is no number counts as none.
    numbers = ["value", "promised", "promised_low", "promised_high"]
    frame[numbers] = frame[numbers].apply(pd.to_numeric, errors="coerce")
    return frame.astype(dict.fromkeys(numbers, "float64"))


def _mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, otherwise an empty one."""
    return value if isinstance(value, Mapping) else {}


def expected_vs_realized(record: pd.DataFrame) -> list[dict[str, Any]]:
    """Per slot, entry and score: means over resolved rounds, and how many of those are independent.

    The newest day of each round counts. Scores are never mixed, because a 20-day score is final
    long before the 60-day one; nor are versions of a score, which have one line each. The promised
    mean covers those of the resolved rounds that have a promise.
    """
    lines = []
    newest = record.sort_values("day").groupby(["slot", "round", "score"]).tail(1)
    by_score = ["slot", "entry", "score"]
    n_versions = newest.groupby(by_score)["version"].nunique()
    for (*keys, version), rows in newest.groupby([*by_score, "version"], sort=True):
        resolved = rows[rows["resolved"]]
        line: dict[str, Any] = dict(zip(by_score, map(str, keys), strict=True))
        if n_versions[*keys] > 1:
            line["score"] += f" (version {version or 'not said'})"
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
    """How the realised mean misses the promised interval; None if inside, or without a promise.

    Only rounds with a promise count, for both sides of the comparison.
    """
    with_promise = resolved.dropna(subset=["promised_low", "promised_high"])
    came, low, high = (
        with_promise[name].mean() for name in ("value", "promised_low", "promised_high")
    )
    if pd.isna(low) or pd.isna(high) or low <= came <= high:
        return None
    side = "below" if came < low else "above"
    return f"{side} the promised {short(float(low))} to {short(float(high))}"


def independent_rounds(numbers: list[int]) -> int:
    """Size of the largest set of these rounds whose 60-day targets do not overlap."""
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
