"""Lines of `kedro tournament status`; missing data are left out or reported."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from numerai_kedro.errors import TournamentError
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.confirmation import number_of_round
from numerai_kedro.numerai.round_info import RoundInfo
from numerai_kedro.reporting.live_record import expected_vs_realized, live_record, record_text

LAST_ROUNDS = 10
TWIN = "canon_"  # prefix of the second name of a score
DECISIONS = Path("08_reporting/gate_decisions")


def status_lines(
    client: Client, newest: RoundInfo, data_folder: Path, everything: bool = False
) -> list[str]:
    """Submissions of the newest round, scores of earlier ones, and scores expected of them.

    Parameters
    ----------
    everything
        All rounds and all scores; otherwise the last `LAST_ROUNDS`, and the scores that some round
        pays, each under one name only.
    """
    models = client.models()
    scores = {
        name: client.scores(model_id).dropna(subset=["value"]) for name, model_id in models.items()
    }
    submitted = [
        line
        for name, model_id in models.items()
        for line in submitted_lines(name, client.submissions(model_id), newest.number)
    ]
    rounds, names = _distinct(scores, "roundNumber"), _distinct(scores, "displayName")
    recent, shown = rounds, names
    if not everything:
        recent = rounds[-LAST_ROUNDS:]
        shown = names_shown(names, _paid(client, newest, recent))
    return [
        *(submitted or ["submitted   nothing yet in this round"]),
        *(
            line
            for name, table in scores.items()
            for line in scored_lines(
                name, table[table["roundNumber"].isin(recent) & table["displayName"].isin(shown)]
            )
        ),
        *record_lines(data_folder / DECISIONS, scores, shown),
        *folded_lines(len(rounds) - len(recent), [name for name in names if name not in shown]),
    ]


def submitted_lines(name: str, submissions: list[dict[str, Any]], round_number: int) -> list[str]:
    """One line for the model's submission that counts in the round."""
    return [
        f"submitted   {name}: {submission.get('filename') or 'without a name'}, "
        f"{submission.get('insertedAt') or 'at an unknown time'}"
        for submission in submissions
        if submission.get("selected") and number_of_round(submission) == round_number
    ]


def names_shown(names: Collection[str], paid: Collection[str]) -> list[str]:
    """Scores that some round pays, each under one name; all of them if what pays is unknown.

    ``canon_corr60`` is another name of ``corr60``, and pays where that does.
    """
    plain = {name.removeprefix(TWIN) for name in paid}
    return [
        name
        for name in names
        if not (name.startswith(TWIN) and name.removeprefix(TWIN) in names)
        and (not paid or name.removeprefix(TWIN) in plain)
    ]


def scored_lines(name: str, scores: pd.DataFrame) -> list[str]:
    """Each round's newest scores of a model."""
    by_score = ["roundNumber", "displayName"]
    # A row of unknown day counts only if the round has no other row.
    ordered = scores.sort_values([*by_score, "day"], na_position="first")
    lines = []
    for number, rows in ordered.groupby(by_score).tail(1).groupby("roundNumber"):
        values = ", ".join(f"{row.displayName} {row.value:+.4f}" for row in rows.itertuples())
        day = rows["day"].max()
        running = "day unknown" if pd.isna(day) else f"day {day:.0f}"
        state = "resolved" if rows["resolved"].all() else running
        lines.append(f"scored      {name}, round {number}: {values} ({state})")
    return lines


def record_lines(
    folder: Path, scores: Mapping[str, pd.DataFrame], shown: Collection[str]
) -> list[str]:
    """Expected and realised scores of rounds that this project submitted.

    Only scores that are shown, and those with an expectation.
    """
    decisions, lines = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            decisions[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            lines.append(f"record      {path.name} cannot be read: its round has no promise")
    record = live_record(scores, decisions)
    is_shown = record["score"].isin(shown) | record["promised"].notna()
    ours = record[is_shown & (record["entry"] != "")]
    return lines + [
        f"record      {line['slot']} ({line['entry']}): {record_text(line)}"
        for line in expected_vs_realized(ours)
    ]


def folded_lines(n_rounds: int, names: Collection[str]) -> list[str]:
    """What is not shown, in one line."""
    parts = [f"{n_rounds} earlier rounds"] if n_rounds else []
    parts += [", ".join(names)] if names else []
    return [f"not shown   {'; '.join(parts)} (--all shows them)"] if parts else []


def _paid(client: Client, newest: RoundInfo, round_numbers: list[int]) -> set[str]:
    """Scores that these rounds and the newest one pay; empty if unavailable, to hide nothing."""
    try:
        return client.paid_scores(round_numbers) | newest.multipliers.keys()
    except TournamentError:
        return set()


def _distinct(scores: Mapping[str, pd.DataFrame], column: str) -> list[Any]:
    return sorted({value for table in scores.values() for value in table[column]})
