"""SIGKILL at random moments of `weekly`; the same command then ends as if undisturbed."""

import os
import random
import time
from pathlib import Path

import pytest

from numerai_kedro.cache.record import NodeRecords
from numerai_kedro.demo.tournament import DemoTournament
from tests.project import QUICK, Project

pytestmark = pytest.mark.slow
WEEKLY = ("run", "--pipeline=weekly")
KILLS = int(os.environ.get("KILLS", "2"))  # each takes a quarter of a minute


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Project:
    """A project whose world is built, and nothing else."""
    project = Project.make(tmp_path_factory.mktemp("crash") / "project")
    project.local("parameters", QUICK)
    DemoTournament(project.data, "tiny", 0).prepare()
    return project


@pytest.fixture(scope="module")
def undisturbed(prepared, tmp_path_factory) -> tuple[Project, float]:
    """An undisturbed week, and the seconds it took."""
    project = prepared.copy(tmp_path_factory.mktemp("undisturbed") / "project")
    begin = time.monotonic()
    run = project.kedro(*WEEKLY)
    assert run.returncode == 0, run.stderr[-2000:]
    return project, time.monotonic() - begin


def finished(project: Project) -> tuple[set[str], dict[Path, int]]:
    """Nodes recorded as done, and pieces of the fold store with their modification times."""
    folder = project.data / ".incremental" / "nodes"
    records, names = NodeRecords(folder), [path.stem for path in folder.glob("*.json")]
    # Records of nodes that read from outside have no fingerprint of their inputs.
    done = {name: record for name in names if (record := records.read(name))}
    nodes = {
        name for name, entry in done.items() if entry["status"] == "done" and entry["fingerprint"]
    }
    store = project.data / "06_models" / "fold_store"
    pieces = [path for path in store.rglob("*") if path.is_file() and ".partial" not in str(path)]
    return nodes, {path: path.stat().st_mtime_ns for path in pieces}


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_week_goes_on_where_it_was(prepared, undisturbed, tmp_path, number):
    reference, seconds = undisturbed
    project = prepared.copy(tmp_path / "project")
    moment = random.Random(number).uniform(0.1, 1.0) * seconds
    project.killed_after(moment, *WEEKLY)
    nodes, pieces = finished(project)
    again = project.kedro(*WEEKLY)
    assert again.returncode == 0, again.stderr[-2000:]

    artifacts, expected = project.artifacts(), reference.artifacts()
    assert artifacts.keys() == expected.keys()
    assert [name for name in expected if artifacts[name] != expected[name]] == []
    assert not nodes & project.json(".incremental/last_run.json")["ran"].keys()
    assert [path for path, written in pieces.items() if path.stat().st_mtime_ns != written] == []
    tournament = DemoTournament(project.data, "tiny", 0)
    assert len(tournament.store.submissions()) == 1
    (receipt,) = project.receipts().values()
    assert receipt["status"] == "accepted"
