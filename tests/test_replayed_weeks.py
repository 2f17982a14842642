"""Weeks in a row: skipping leaves the same results as computing everything."""

import os
import random
import re
import subprocess

import pytest

from numerai_kedro.demo.tournament import DemoTournament
from tests.project import QUICK, Project

pytestmark = pytest.mark.slow
WEEKS = int(os.environ.get("WEEKS", "6"))  # 12 take six minutes
WEEKLY = ("run", "--pipeline=weekly")
KILLED_IN = (3, 8)
# Fold 148 begins in the second week; the live model's grid (88 + 13 k) reaches 166 in the sixth.
FITS = [4, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][:WEEKS]
# Records of earlier weeks: scores of rounds, decisions and files by round.
REMEMBERS = (
    "fold_store/",
    "live_scores",
    "run_history",
    "gate_decisions/",
    "submissions/",
    "champion_store/",
    "champion/",
    "procedure_store/",
    "live_id_store/",
    "payout_rules/",
)


def make(folder) -> Project:
    project = Project.make(folder)
    project.local("parameters", QUICK)
    return project


@pytest.fixture(scope="module")
def replayed(tmp_path_factory) -> tuple[Project, str]:
    """A project after `kedro replay`, and the output of the command."""
    project = make(tmp_path_factory.mktemp("replayed") / "project")
    run = project.kedro("replay", "--weeks", str(WEEKS))
    assert run.returncode == 0, run.stderr[-2000:]
    return project, run.stdout


def test_the_table_tells_nodes_fits_seconds_and_submissions(replayed):
    project, printed = replayed
    rows = [re.split(r"\s*│\s*", line.strip("│ ")) for line in printed.splitlines() if "│" in line]
    weeks = [row for row in rows if row[0].isdigit()]
    assert [int(row[0]) for row in weeks] == [1412 + 5 * week for week in range(WEEKS)]
    assert [int(row[1]) for row in weeks] == list(range(160, 160 + WEEKS))
    assert [int(row[4]) for row in weeks] == FITS
    assert len({int(row[2]) + int(row[3]) for row in weeks}) == 1  # every node is counted
    assert all(row[-1] == "accepted" for row in weeks)
    assert len(project.receipts()) == WEEKS


def test_kills_and_repetitions_leave_the_same(replayed, tmp_path):
    reference, _ = replayed
    project, chance = make(tmp_path / "project"), random.Random(0)
    for week in range(WEEKS):
        if week:
            DemoTournament(project.data, "tiny", 0).clock.advance(weeks=1)
        if week in KILLED_IN:
            with project.start(*WEEKLY) as run:
                try:
                    run.communicate(timeout=chance.uniform(3, 6))
                except subprocess.TimeoutExpired:
                    run.kill()
                    run.communicate()
        assert project.kedro(*WEEKLY).returncode == 0
    assert project.kedro(*WEEKLY).returncode == 0
    artifacts, expected = project.artifacts(), reference.artifacts()
    assert artifacts.keys() == expected.keys()
    assert [name for name in expected if artifacts[name] != expected[name]] == []
    submitted = DemoTournament(project.data, "tiny", 0).store.submissions()
    assert len(submitted) == WEEKS


def test_the_last_week_from_nothing_is_the_same(replayed, tmp_path):
    reference, _ = replayed
    project = make(tmp_path / "project")
    DemoTournament(project.data, "tiny", 0).clock.advance(weeks=WEEKS - 1)
    assert project.kedro(*WEEKLY).returncode == 0
    artifacts, expected = project.artifacts(), reference.artifacts()
    compared = [name for name in artifacts if not any(part in name for part in REMEMBERS)]
    assert {"history_panel", "02_intermediate/folds.json"} <= set(compared)
    assert any(name.startswith("06_models/lightgbm/model") for name in compared)
    assert [name for name in compared if artifacts[name] != expected[name]] == []
