"""SIGKILL wherever a file is written, one kill after another: in the end as if nothing had been.

    make drill        every site of a week with all models, and a hundred and twenty at random

In CI a sample, drawn anew each time by a seed that is printed; DRILL_SEED=… draws it again.
"""

import json
import os
import random
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from numerai_kedro.demo.tournament import DemoTournament
from numerai_kedro.files.failpoint import KILLS, ORDER, PASSAGES, VARIABLE
from numerai_kedro.files.kept_json import COPY
from tests.project import QUICK, Project
from tests.test_crash import finished

pytestmark = pytest.mark.slow
WEEKLY = ("run", "--pipeline=weekly")
WHOLE = os.environ.get("DRILL") == "whole"
SEED = int(os.environ["DRILL_SEED"])
# Of a week with all models every site; in CI of the quick week one in so many.
ONE_IN = 1 if WHOLE else 16
AT_RANDOM, MOMENTS = (100, 20) if WHOLE else (4, 1)
MOST_RUNS = 2_000  # of one history: more of them means that it does not get on
ALL_MODELS = {"gate": QUICK["gate"], "tracking": QUICK["tracking"]}


@dataclass
class History:
    """Runs of one project, each killed, until one ends."""

    project: Project
    folder: Path
    runs: int = 0

    def order(self, **changes):
        order = {"sites": False, "at": [], "seed": SEED, "one_in": 1} | changes
        (self.folder / ORDER).write_text(json.dumps(order))

    def run(self):
        """One run; whether it came to its end, what was finished is never written again."""
        nodes, pieces = finished(self.project)
        # Notes on a fit are written before it is kept, and again by the fit that takes its place.
        pieces = {path: when for path, when in pieces.items() if path.parent.name != "values"}
        process = self.project.kedro(*WEEKLY, **{VARIABLE: str(self.folder)})
        self.runs += 1
        assert process.returncode in (0, -9), process.stderr[-3000:]
        assert "Traceback" not in process.stderr
        kept = {path: when for path, when in pieces.items() if path.exists()}
        assert [p for p, when in kept.items() if p.stat().st_mtime_ns != when] == []
        if process.returncode == 0:
            again = self.project.json(".incremental/last_run.json")["ran"].keys()
            assert not nodes & again, "what was finished ran again"
        return process.returncode == 0

    def to_the_end(self):
        while not self.run():
            assert self.runs < MOST_RUNS

    def lines(self, name):
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project whose world is built, and nothing else."""
    project = Project.make(tmp_path_factory.mktemp("drill") / "project")
    project.local("parameters", QUICK)
    DemoTournament(project.data, "tiny", 0).prepare()
    return project


@pytest.fixture(scope="module")
def undisturbed(prepared, tmp_path_factory):
    """The quick week as it should be, how often a file was written, and the seconds it took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    history = History(prepared.copy(folder / "project"), folder)
    history.order()
    begin = time.monotonic()
    assert history.run()
    return history, time.monotonic() - begin


def timeless(project):
    """What should be equal bit by bit; of lines of recovery all but the time of day.

    A copy that a kill prevented is written when its value is next read.
    """
    contents = {k: v for k, v in project.artifacts().items() if not k.endswith(COPY)}
    for name in contents:
        if name.endswith(("/recovery.json", "/outcome.json")):
            contents[name] = re.sub(rb'"time": "[^"]*"', b"", contents[name])
        if name.endswith("recovery_ledger.parquet"):
            ledger = pd.read_parquet(project.data / name).drop(columns="time")
            contents[name] = sorted(ledger.to_json(orient="records", lines=True).splitlines())
    return contents


def as_if_nothing_had_been(history, reference):
    result, expected = timeless(history.project), timeless(reference)
    assert result.keys() == expected.keys()
    assert [name for name in expected if result[name] != expected[name]] == []
    assert len(DemoTournament(history.project.data, "tiny", 0).store.submissions()) == 1
    (receipt,) = history.project.receipts().values()
    assert receipt["status"] == "accepted"


def say(name, histories, kills=None):
    kills = sum(len(one.lines(KILLS)) for one in histories) if kills is None else kills
    sites = len({site for one in histories for site in one.lines(PASSAGES)})
    runs = sum(one.runs for one in histories)
    folders = [one.project.data for one in histories]
    submissions = sum(len(DemoTournament(one, "tiny", 0).store.submissions()) for one in folders)
    sys.stdout.write(
        f"\n{name}: seed {SEED}, {sites} sites, {kills} kills, {runs} recoveries, 0 refits of what "
        f"was finished (asserted in each run), {submissions} submissions in {len(histories)} "
        "histories\n"
    )


def test_killed_at_sites_one_after_another_in_one_history(prepared, undisturbed, tmp_path, capsys):
    reference = undisturbed[0].project
    history = History(prepared.copy(tmp_path / "project"), tmp_path)
    if WHOLE:
        calm = History(prepared.copy(tmp_path / "calm"), tmp_path)
        for one in (calm, history):
            one.project.local("parameters", ALL_MODELS)
        calm.order()
        assert calm.run()
        (tmp_path / PASSAGES).unlink()
        reference = calm.project
    history.order(sites=True, one_in=ONE_IN)
    history.to_the_end()
    as_if_nothing_had_been(history, reference)
    kills = history.lines(KILLS)
    assert len(kills) == len(set(kills)) > 0
    with capsys.disabled():
        say("killed at sites", [history])


def test_killed_at_passages_drawn_at_random(prepared, undisturbed, tmp_path, capsys):
    reference, n_passages = undisturbed[0].project, len(undisturbed[0].lines(PASSAGES))
    drawing, histories, left = random.Random(SEED), [], AT_RANDOM
    while left:
        folder = tmp_path / str(len(histories))
        folder.mkdir()
        history = History(prepared.copy(folder / "project"), folder)
        n_kills = min(left, 10)
        history.order(at=drawing.sample(range(1, n_passages + 1), n_kills))
        history.to_the_end()
        as_if_nothing_had_been(history, reference)
        assert len(history.lines(KILLS)) == n_kills
        histories.append(history)
        left -= n_kills
    with capsys.disabled():
        say("killed at random", histories)


def test_killed_at_random_moments(prepared, undisturbed, tmp_path, capsys):
    (calm, seconds), drawing, left = undisturbed, random.Random(SEED), MOMENTS
    histories, kills = [], 0
    while left:
        folder = tmp_path / str(len(histories))
        folder.mkdir()
        history = History(prepared.copy(folder / "project"), folder)
        n_kills = min(left, 4)
        for _ in range(n_kills):
            kills += history.project.killed_after(drawing.uniform(0.1, 0.9) * seconds, *WEEKLY)
        history.order()
        history.to_the_end()
        as_if_nothing_had_been(history, calm.project)
        histories.append(history)
        left -= n_kills
    with capsys.disabled():
        say("killed at moments", histories, kills)
