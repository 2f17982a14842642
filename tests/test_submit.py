"""`prepare` and `submit`: the two halves of a week, and every round in time."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest

from numerai_kedro.demo import rounds
from numerai_kedro.demo.tournament import DemoTournament
from numerai_kedro.files import folder_lock
from tests.project import QUICK, Project

pytestmark = pytest.mark.slow
ROUNDS = int(os.environ.get("ROUNDS", "3"))  # 25 take three minutes


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Project:
    """A project after `prepare`; read only."""
    project = Project.make(tmp_path_factory.mktemp("prepared") / "project")
    project.local("parameters", QUICK)
    run = project.kedro("run", "--pipeline=prepare")
    assert run.returncode == 0, run.stderr[-2000:]
    return project


@pytest.fixture
def project(prepared, tmp_path) -> Project:
    """The same project, to be changed."""
    return prepared.copy(tmp_path / "project")


def sentence(run) -> str:
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("Error: ")]
    return line


def test_prepare_uploads_nothing_and_asks_for_no_live_data(prepared):
    assert prepared.receipts() == {}
    assert not (prepared.data / "01_raw" / "live.parquet").exists()
    assert (prepared.data / "06_models" / "lightgbm" / "model").exists()


def test_prepare_and_submit_are_the_week(project, tmp_path):
    assert project.kedro("run", "--pipeline=submit").returncode == 0
    (receipt,) = project.receipts().values()
    assert receipt["status"] == "accepted"
    whole = Project.make(tmp_path / "whole")
    whole.local("parameters", QUICK)
    assert whole.kedro("run", "--pipeline=weekly").returncode == 0
    assert whole.artifacts() == project.artifacts()
    run = project.kedro("run", "--pipeline=weekly")
    assert re.search(r"\d+ of \d+ nodes were up to date, 14 ran", run.stderr)


def test_submit_needs_no_finished_training(project):
    """In a new week `prepare` dies before its fits: the newest finished models predict."""
    assert project.kedro("run", "--pipeline=submit").returncode == 0
    assert project.kedro("tournament", "advance", "--weeks", "1").returncode == 0
    until = "--to-nodes=cut_folds,download_meta_model,join_benchmarks"
    assert project.kedro("run", "--pipeline=prepare", until).returncode == 0
    run = project.kedro("run", "--pipeline=submit")
    assert run.returncode == 0, run.stderr[-2000:]
    assert [receipt["status"] for receipt in project.receipts().values()] == ["accepted"] * 2
    assert project.kedro("run", "--pipeline=weekly").returncode == 0


def test_submit_goes_beside_prepare_and_nothing_else_does(project):
    with folder_lock(project.data, ["prepare"]):
        assert project.kedro("run", "--pipeline=submit").returncode == 0
        assert "another run" in sentence(project.kedro("run", "--pipeline=weekly"))


def test_submit_before_any_prepare_says_what_to_run(tmp_path):
    project = Project.make(tmp_path / "project")
    text = sentence(project.kedro("run", "--pipeline=submit"))
    assert "does not exist yet; run the pipeline that makes it first" in text


def test_every_slot_is_fed_and_judged_for_itself_and_one_refusal_stops_no_other(project):
    slots = {"demo_pickle": "ensemble", "demo": "ensemble", "demo_second": "lightgbm"}
    project.local("parameters", QUICK | {"submission": {"slots": slots}})
    text = sentence(project.kedro("run", "--pipeline=submit"))
    assert 'model "demo_pickle" holds an uploaded pickle' in text
    receipts = {
        receipt["slot"]: (receipt["entry"], receipt["status"])
        for receipt in project.receipts().values()
    }
    assert receipts == {
        "demo": ("ensemble", "accepted"),
        "demo_pickle": ("ensemble", "refused"),
        "demo_second": ("lightgbm", "accepted"),
    }
    decisions = project.data / "08_reporting" / "gate_decisions"
    assert {json.loads(path.read_text())["slot"] for path in decisions.iterdir()} == set(slots)


def test_a_window_that_closes_before_training_ends_is_said_before_anything_is_trained(project):
    # Many trees of two leaves over every column: hours of work, and little disk.
    preset = {"n_estimators": 3_000_000, "num_leaves": 2, "colsample_bytree": 1.0}
    long = ",".join(f"lightgbm.presets.example.{name}={value}" for name, value in preset.items())
    run = project.kedro("run", "--pipeline=weekly", "--nodes=plan_resources", f"--params={long}")
    assert run.returncode == 0, run.stderr
    assert "round 1412 closes in 4" in run.stderr
    assert "kedro run --pipeline=submit submits in minutes" in run.stderr


def test_after_the_deadline_it_is_said_what_becomes_of_a_late_submission(project):
    demo = DemoTournament(project.data, "tiny", 0)
    current = demo.current_round(demo.clock.now())
    demo.store.set_instant(current.close_staking_time + timedelta(minutes=1))
    run = project.kedro("run", "--pipeline=submit")
    text = "round 1412 is closed: what comes now is late, which is scored, not staked, and queued"
    assert text in run.stderr
    assert "no round is open, so nothing was uploaded" in sentence(run)
    assert demo.store.submissions() == []


def test_the_users_commands_are_told_how_runs_end(project):
    commands = {name: f"cat > {name}.json" for name in ("on_success", "on_failure")}
    project.local("parameters", QUICK | {"notify": commands})
    assert project.kedro("run", "--pipeline=submit").returncode == 0
    notice = json.loads((project.folder / "on_success.json").read_text())
    assert (notice["outcome"], notice["round"], notice["pipelines"]) == (
        "success",
        1412,
        ["submit"],
    )
    assert notice["receipts"]["1412-demo"]["status"] == "accepted"
    assert project.kedro("run", "--pipeline=submit", "--params=gate.levle=1").returncode == 1
    notice = json.loads((project.folder / "on_failure.json").read_text())
    assert notice["outcome"] == "failure"
    assert "gate.levle: there is no such parameter" in notice["error"]


# In a process of its own, because Kedro's project is global to the process: the demo opens
# its rounds at random times between 12:00 and 15:00, for one hour each.
SCRIPT = """
import sys, warnings
from datetime import timedelta
from pathlib import Path
import numpy as np
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
warnings.simplefilter("ignore")
from numerai_kedro import cli
from numerai_kedro.demo import rounds
from numerai_kedro.demo.tournament import DemoTournament

def closes(number):
    delay = int(np.random.default_rng([0, 11, number]).integers(rounds.OPENING_SPREAD_S))
    day = rounds.datetime.combine(rounds.opening_day(number), rounds.EARLIEST_OPENING)
    return day + timedelta(seconds=delay, hours=1)

rounds.OPENING_SPREAD_S = 3 * 3600
rounds.staking_deadline = closes
metadata = bootstrap_project(Path.cwd())
from numerai_kedro.settings import SESSION_CLASS
demo = DemoTournament(Path(sys.argv[1]), "tiny", 0)
demo.store.set_instant(rounds.demo_round(rounds.FIRST_ROUND, 0).open_time)
for number in range(rounds.FIRST_ROUND, rounds.FIRST_ROUND + int(sys.argv[2])):
    waited = CliRunner().invoke(cli.cli, ["tournament", "wait"], obj=metadata)
    assert f"round {number}, open for another" in waited.output, waited.output
    with SESSION_CLASS.create(project_path=Path.cwd()) as session:
        session.run(pipeline_names=["submit"])
    print("OPENED", rounds.demo_round(number, 0).open_time.hour)
"""


def test_wait_and_submit_meet_every_round_however_late_it_opens(project):
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(project.data), str(ROUNDS)],
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    opened = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("OPENED")]
    assert len(opened) == ROUNDS
    assert set(opened) <= {"12", "13", "14"}
    first = rounds.FIRST_ROUND
    submissions = DemoTournament(project.data, "tiny", 0).store.submissions()
    submitted = {submission.round_number: submission.late for submission in submissions}
    assert submitted == dict.fromkeys(range(first, first + ROUNDS), False)
