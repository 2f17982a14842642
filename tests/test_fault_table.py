"""Every fault of the table ends in a one-line error or normally; the same command then succeeds.

In CI a sample, drawn anew each time by a seed that is printed; FAULT_TABLE=whole plays all of them,
and `make faults` writes docs/faults.md from what they came to.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from numerai_kedro.demo.limits import RATE_LIMITS
from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import DemoTournament
from tests.fault_table import ALWAYS, CASES, INGEST, KEYS, SUBMIT, Scene, plain
from tests.project import OPEN_GATE, QUICK, ROOT, Project
from tests.secret_forms import forms

pytestmark = pytest.mark.slow
DOCUMENT = ROOT / "docs" / "faults.md"
ASKED = os.environ.get("FAULT_TABLE", "sample")
SEED = int(os.environ["FAULT_SEED"])
IN_CI, MOST_TRIES = 6, 4
PARAMETERS = {
    **QUICK,
    "gate": OPEN_GATE,
    "submission": {"slots": {"demo": "ensemble"}, "upload": True},
}
DRAWN = CASES if ASKED != "sample" else random.Random(SEED).sample(CASES, IN_CI)


def globals_of(url):
    return {
        "tournament": "numerai",
        "size": "numerai",
        "seed": 0,
        "data_folder": "data/numerai",
        "api_url": url,
    }


def served(folder):
    demo = DemoTournament(folder, "tiny", 3, keys=KEYS)
    return demo, DemoServer(demo, rate_limits=dict.fromkeys(RATE_LIMITS, 10**9))


def scene_of(project, demo, server):
    scene = Scene(project, demo, server, globals_of(server.url), PARAMETERS)
    scene.fix()
    return scene


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A demo whose world is built; read only."""
    folder = tmp_path_factory.mktemp("service")
    DemoTournament(folder, "tiny", 3, keys=KEYS).prepare()
    return folder


@pytest.fixture(scope="module")
def prepared(service, tmp_path_factory):
    """A project after `prepare`; read only."""
    folder = tmp_path_factory.mktemp("prepared")
    shutil.copytree(service, folder / "service")
    demo, server = served(folder / "service")
    project = Project.make(folder / "project", **globals_of(server.url))
    text = (ROOT / "conf" / "base" / "parameters_ingestion.yml").read_text()
    periods = yaml.safe_load(text)["ingestion"]["periods"]
    tiny = {"periods": {"numerai": periods["tiny"]}}
    project.local("parameters_ingestion", {"ingestion": tiny})
    with server:
        scene = scene_of(project, demo, server)
        run = scene.run(("run", "--pipeline=prepare"))
    assert run.returncode == 0, run.stderr[-3000:]
    return folder


@pytest.fixture
def scene(prepared, tmp_path):
    scene = staged(prepared, tmp_path)
    with scene.server:
        yield scene


def staged(prepared, folder):
    """The prepared project with a service of its own, which does not serve yet."""
    shutil.copytree(prepared / "service", folder / "service")
    project = Project(prepared / "project").copy(folder / "project")
    return scene_of(project, *served(folder / "service"))


@pytest.fixture(scope="module")
def undisturbed(prepared, tmp_path_factory):
    """Artifacts of a round that nothing disturbed."""
    scene = staged(prepared, tmp_path_factory.mktemp("undisturbed"))
    with scene.server:
        run = scene.run(SUBMIT)
    assert run.returncode == 0, run.stderr[-3000:]
    return scene.project.artifacts()


def said_of(run, case, scene):
    """The error that ended the run, or else the log line that the case expects."""
    errors = re.findall(r"^Error: (.+)", run.stderr, re.MULTILINE)
    if errors:
        return plain(errors[-1], scene)
    lines = re.findall(r"(?:WARNING|INFO) +(.+)", run.stderr)
    matches = [line for line in lines if case.says and re.search(case.says, line)]
    return plain(matches[0], scene) if matches else ""


def submissions(scene):
    return len(
        [
            submission
            for submission in scene.demo.store.submissions()
            if submission.error_info is None
        ]
    )


def works(command):
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("case", DRAWN, ids=lambda case: case.name.replace(" ", "-"))
def test_the_same_command_makes_all_well(case, scene, undisturbed, capsys):
    if case.needs and not works(case.needs):
        pytest.skip(f"{' '.join(case.needs)} does not work on this machine")
    case.happens(scene)
    run = scene.run(case.command)
    runs = [run]
    message = said_of(run, case, scene)
    assert "Traceback" not in run.stderr, run.stderr[-3000:]
    assert (run.returncode == 0) == case.ends_well, run.stderr[-3000:]
    assert run.returncode in (0, 1)
    assert re.search(case.says, message), f"{case.says}: {message}\n{run.stderr[-2000:]}"
    assert run.returncode == 0 or message, run.stderr[-2000:]
    waiting = [fault for fault in scene.server.faults.waiting if fault.times < ALWAYS // 2]
    assert waiting == [], "it did not happen"
    between = f"exit code {run.returncode}, {submissions(scene)} submitted"
    scene.fix()
    tries, then = 1, case.then or case.command
    while not case.end and (tries == 1 or run.returncode):
        run = scene.run(then)
        runs.append(run)
        tries += 1
        assert "Traceback" not in run.stderr, run.stderr[-3000:]
        assert tries <= MOST_TRIES, run.stderr[-3000:]
    expected = None if then == INGEST else undisturbed
    if not case.end and expected is not None and not case.apart:
        artifacts = scene.project.artifacts()
        assert [name for name in expected if artifacts.get(name) != expected[name]] == []
    n_submitted = 0 if then == INGEST else case.n_submitted
    assert submissions(scene) == n_submitted
    assert leaked(scene, *runs) == []
    end = f"{case.end or 'well'}, {n_submitted} submitted"
    commands = case.command[1] + (f", then {then[1]}" if case.then else "")
    row = [case.name, commands.replace("--pipeline=", ""), str(tries), message or "–", between, end]
    keep(row)
    with capsys.disabled():
        sys.stdout.write(f"\n{' | '.join(row)}\n")


def leaked(scene, *runs):
    """Outputs and files that contain a part of a key, in any form."""
    hidden = [form.encode() for key in KEYS for form in forms(key)]
    texts = {f"run {n}": (run.stdout + run.stderr).encode() for n, run in enumerate(runs)}
    for path in scene.project.folder.rglob("*"):
        if path.is_file() and "local" not in path.parts:
            texts[str(path)] = path.read_bytes()
    return [name for name, text in texts.items() if any(form in text for form in hidden)]


def rows_folder():
    return Path(os.environ.get("FAULT_ROWS", "/nonexistent"))


def keep(row):
    """Save a row of the table if the table is to be written."""
    if rows_folder().is_dir():
        number = [case.name for case in CASES].index(row[0])
        (rows_folder() / f"{number}.json").write_text(json.dumps(row))


def test_the_document_has_every_fault_and_what_is_said_of_it():
    text = DOCUMENT.read_text()
    for case in CASES:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {case.name} |")]
        assert re.search(case.says, row), row
