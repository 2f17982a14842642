"""Files that were cut, emptied, flipped or deleted: the same command repairs them.

Drawn anew each time by a seed that is printed; DAMAGE_SEED=… draws them again, and DAMAGES=… asks
for more.
"""

import hashlib
import json
import os
import pickle
import random
import re
import sys

import pytest

from numerai_kedro.demo.tournament import DemoTournament
from numerai_kedro.files.failpoint import kind_of
from numerai_kedro.files.trusted_pickle import MANIFEST
from tests.damage import flip
from tests.project import QUICK, Project

pytestmark = pytest.mark.slow
WEEKLY = ("run", "--pipeline=weekly")
SEED = int(os.environ["DAMAGE_SEED"])
RUNS, AT_ONCE = int(os.environ.get("DAMAGES", "40")) // 8 or 1, 8
MOST_TRIES = 3  # of the same command; each may end in a one-line error
# Read only by another round: this round's champion, and notes on what slots judged.
# And models whose predictions are kept.
UNREAD = (
    "08_reporting/champion_store/",
    "08_reporting/procedure_store/",
    "06_models/fold_store/models/",
)
SENTENCE = re.compile(r"^Error: .+", re.MULTILINE)


def halve(path, drawing):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path, drawing):
    path.write_bytes(b"")


def flip_somewhere(path, drawing):
    if path.stat().st_size:
        flip(path, drawing.randrange(path.stat().st_size), drawing.randrange(8))


def delete(path, drawing):
    path.unlink()


class Poison:
    """Touches a file when it is unpickled."""

    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return open, (self.canary, "w")


def poison(path, drawing):
    """Replace a file by a pickle, sometimes with a matching manifest."""
    project = next(parent for parent in path.parents if (parent / "pyproject.toml").exists())
    content = pickle.dumps(Poison(project / CANARY), protocol=4)
    path.write_bytes(content)
    manifest = path.with_name(MANIFEST)
    if manifest.exists() and path != manifest and drawing.random() < 0.5:
        vouched = json.loads(manifest.read_text()) | {"sha256": hashlib.sha256(content).hexdigest()}
        manifest.write_text(json.dumps(vouched))


CANARY = "was-unpickled"
DAMAGES = (halve, empty, flip_somewhere, delete, poison)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project after its first week; read only."""
    project = Project.make(tmp_path_factory.mktemp("damage") / "project")
    project.local("parameters", QUICK | {"lightgbm": QUICK["lightgbm"] | {"n_trials": 2}})
    DemoTournament(project.data, "tiny", 0).prepare()
    run = project.kedro(*WEEKLY)
    assert run.returncode == 0, run.stderr[-3000:]
    return project


def files_by_kind(project):
    """Files that this project made, the service's own aside, by their kind."""
    files = {}
    for path in sorted(project.data.rglob("*")):
        inside = path.relative_to(project.data).parts
        if path.is_file() and inside[0] != "tournament":
            files.setdefault(f"{inside[0]} {kind_of(path)}", []).append(path)
    return files


@pytest.mark.parametrize("number", range(RUNS))
def test_damaged_files_are_made_good_by_the_same_command(done, tmp_path, number, capsys):
    project, drawing = done.copy(tmp_path / "project"), random.Random(f"{SEED} {number}")
    kinds = files_by_kind(project)
    drawn = []
    for kind in drawing.sample(sorted(kinds), AT_ONCE):
        path, damage = drawing.choice(kinds[kind]), drawing.choice(DAMAGES)
        damage(path, drawing)
        drawn.append(f"{damage.__name__} {path.relative_to(project.data)}")
    label = f"seed {SEED}, number {number}: {'; '.join(drawn)}"
    runs = []
    while not runs or (runs[-1].returncode and len(runs) < MOST_TRIES):
        run = project.kedro(*WEEKLY)
        runs.append(run)
        assert "Traceback" not in run.stderr, f"{label}\n{run.stderr[-3000:]}"
        assert run.returncode == 0 or SENTENCE.search(run.stderr), f"{label}\n{run.stderr[-3000:]}"
    assert run.returncode == 0, f"{label}\n{run.stderr[-3000:]}"
    # Files in stores are checked only when they are read again.
    again = project.kedro(*WEEKLY, "--params=incremental.run_all=true")
    assert again.returncode == 0, f"{label}\n{again.stderr[-3000:]}"
    assert not (project.folder / CANARY).exists(), label
    artifacts, expected = project.artifacts(), done.artifacts()
    differ = [name for name in expected if artifacts.get(name) != expected[name]]
    assert [name for name in differ if not name.startswith(UNREAD)] == [], label
    assert len(DemoTournament(project.data, "tiny", 0).store.submissions()) == 1, label
    with capsys.disabled():
        sys.stdout.write(f"\n{label}: {len(runs)} runs\n")
