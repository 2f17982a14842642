"""Run the weekly pipeline for successive weeks of the demo, and show what happened.

Each week is a `kedro run` of its own in a process of its own, as a user would type it: what one
week leaves on disk is all that the next one gets.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from numerai_kedro.cache.runner import RUN_REPORT
from numerai_kedro.errors import NumeraiKedroError
from numerai_kedro.files.atomic import PARTIAL_SUFFIX
from numerai_kedro.reporting.dashboard.summary import gate_text
from numerai_kedro.runtime.connection import open_demo, prepare_with_bar
from numerai_kedro.runtime.tournament_settings import TournamentSettings

COMMAND = [sys.executable, "-m", "kedro", "run", "--pipeline=weekly"]


class ReplayError(NumeraiKedroError):
    """A week of the replay failed; the weeks before it are in the table."""


@dataclass(frozen=True)
class Week:
    """The results of one week."""

    round_number: int
    last_era: int
    ran: int
    current: int
    fits: int
    seconds: float
    corr: str
    gate: str
    submission: str


def replay(project_path: Path, settings: TournamentSettings, n_weeks: int) -> list[Week]:
    """Run `weekly` now, and again each time the demo's clock has moved on by a week.

    Raises
    ------
    ReplayError
        A run failed without a receipt; a blocked round has one, and is a week like any other.
    """
    weeks: list[Week] = []
    for number in range(n_weeks):
        if number:
            demo = open_demo(settings)
            demo.clock.advance(weeks=1)
            prepare_with_bar(demo)
        before, sent = _models(settings.data_folder), _receipts(settings.data_folder)
        begin = time.monotonic()
        finished = subprocess.run(COMMAND, cwd=project_path, check=False)
        if finished.returncode and not _receipts(settings.data_folder) - sent:
            print_table(weeks)
            raise ReplayError(
                f"week {number + 1} of {n_weeks}: the run ended with exit code "
                f"{finished.returncode}; its reason is above."
            )
        seconds = time.monotonic() - begin
        fits = len(_models(settings.data_folder) - before)
        weeks.append(_read_week(settings.data_folder, fits, seconds))
    print_table(weeks)
    return weeks


def _receipts(data_folder: Path) -> set[str]:
    """Names of all receipts, by round and slot."""
    return {path.stem for path in (data_folder / "07_model_output" / "receipts").glob("*.json")}


def print_table(weeks: list[Week]) -> None:
    """One row per week: nodes that ran, current nodes, models fitted, seconds, outcome."""
    table = Table(title="replay", title_justify="left")
    for heading in ("round", "eras", "ran", "current", "fits", "s", "CORR", "gate", "submission"):
        table.add_column(heading, overflow="fold")
    for week in weeks:
        table.add_row(
            str(week.round_number),
            str(week.last_era),
            str(week.ran),
            str(week.current),
            str(week.fits),
            f"{week.seconds:.0f}",
            week.corr,
            week.gate,
            week.submission,
        )
    Console().print(table)


def _read_week(data_folder: Path, fits: int, seconds: float) -> Week:
    path = data_folder / "08_reporting" / "run_summary.json"
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    nodes = json.loads((data_folder / RUN_REPORT).read_text(encoding="utf-8"))
    return Week(
        round_number=summary["round"]["number"],
        last_era=summary["data"]["last_era"],
        ran=len(nodes["ran"]),
        current=len(nodes["current"]),
        fits=fits,
        seconds=seconds,
        corr=summary["scores"]["ensemble"]["corr"]["text"],
        gate="; ".join(gate_text(decision) for decision in summary["gate"].values()),
        submission="; ".join(receipt["status"] for receipt in summary["receipts"].values()),
    )


def _models(data_folder: Path) -> set[str]:
    """Models in the fold store: each new one is a fit that was really computed."""
    folders = (data_folder / "06_models" / "fold_store" / "models").glob("*")
    return {path.name for path in folders if not path.name.endswith(PARTIAL_SUFFIX)}
