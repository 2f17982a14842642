"""Current results are not computed again: the commands as a user types them, on the tiny demo."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.damage import overwrite
from tests.project import OPEN_GATE, ROOT, WITHOUT_NETWORKS, Project

pytestmark = pytest.mark.slow
FEW = {"presets": {"example": {"n_estimators": 60}}}
# Two families and a study, to show that one does not affect the other.
FAST = WITHOUT_NETWORKS | {
    "lightgbm": FEW,
    "catboost": FEW | {"n_trials": 0},
    "xgboost": {"enabled": False},
    "gate": OPEN_GATE,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Project:
    """A project after its first week; read only."""
    project = Project.make(tmp_path_factory.mktemp("incremental") / "project")
    project.local("parameters", FAST)
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-3000:]
    return project


@pytest.fixture
def project(done, tmp_path) -> Project:
    """The same project, to be changed."""
    return done.copy(tmp_path / "project")


READINGS = {
    "02_intermediate/resource_readings.json",
    "02_intermediate/run_schedule.json",
    "06_models/lightgbm/tuning_readings.json",
}


def ran(project: Project) -> dict[str, str]:
    """Nodes of the last run with their reasons, except those that always run."""
    reasons = project.json(".incremental/last_run.json")["ran"]
    return {node: why for node, why in reasons.items() if why != "always runs"}


def fits(project: Project) -> set[str]:
    """Models in the fold store, seen from outside."""
    return {path.name for path in (project.data / "06_models/fold_store/models").iterdir()}


def test_the_same_round_again_finds_everything_current_and_says_so(done):
    contents = done.contents()
    run = done.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0
    assert ran(done) == {}
    assert re.search(r"\d+ of \d+ nodes were up to date, 14 ran", run.stderr)
    assert "kedro run --params=incremental.run_all=true runs all" in run.stderr
    changed = {name for name, content in done.contents().items() if contents.get(name) != content}
    assert changed <= READINGS


BETWEEN = ["--from-nodes=lightgbm.tune", "--to-nodes=lightgbm.fit"]
AMONG = ["--from-inputs=ensemble.oof_predictions", "--to-outputs=era_scores"]
ONE = ["--namespaces=lightgbm", "--tags=model", "--nodes=lightgbm.walk_forward"]
FORMS = {
    "the default pipeline": [],
    "two pipelines": ["--pipelines=gbm,ensemble"],
    "from a node to a node": ["--pipeline=gbm", *BETWEEN],
    "from an input to an output": ["--pipeline=weekly", *AMONG],
    "one node of a namespace, by a tag": ["--pipeline=gbm", *ONE],
    "missing outputs only, in an environment": ["--only-missing-outputs", "--env=local"],
    "threads": ["--pipeline=weekly", "--runner=ThreadRunner"],
    "asynchronous": ["--pipeline=weekly", "--runner=SequentialRunner", "--async"],
    "a parameter": ["--pipeline=weekly", "--params=submission.upload=auto"],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_command_skips_what_is_current(done, form):
    run = done.kedro("run", *FORMS[form])
    assert run.returncode == 0, run.stderr[-2000:]
    assert ran(done) == {}


def test_every_form_runs_what_is_not(project):
    run = project.kedro("run", "--pipeline=gbm", "--nodes=lightgbm.fit", "--params=lightgbm.seed=5")
    assert run.returncode == 0
    assert ran(project) == {"lightgbm.fit": "parameter lightgbm.seed 0 -> 5"}
    run = project.kedro("run", "--pipeline=weekly", "--params=incremental.run_all=true")
    assert run.returncode == 0
    assert set(ran(project).values()) == {"all nodes were asked for"}
    assert re.search(r" 0 of \d+ nodes were up to date", run.stderr)


def test_processes_are_refused_in_one_sentence(done):
    run = done.kedro("run", "--pipeline=weekly", "--runner=ParallelRunner")
    assert run.returncode == 1
    assert "Error: ParallelRunner: nodes share a connection to the tournament" in run.stderr
    assert "Traceback" not in run.stderr


def test_from_a_notebook_what_is_current_is_skipped_too(done):
    code = "%load_ext kedro.ipython\nsession.run(pipeline_names=['weekly'])\n"
    script = done.folder / "cells.ipy"
    script.write_text(code)
    command = [str(Path(sys.executable).parent / "ipython"), "--no-banner", str(script)]
    run = subprocess.run(command, cwd=done.folder, capture_output=True, text=True, timeout=300)
    script.unlink()
    assert run.returncode == 0, run.stderr
    assert ran(done) == {}


def test_a_changed_parameter_refits_its_model_and_is_named(project):
    before = fits(project)
    run = project.kedro("run", "--pipeline=weekly", "--params=lightgbm.seed=1")
    assert run.returncode == 0
    assert len(fits(project) - before) == 4  # three folds and the live fit
    reasons = ran(project)
    assert reasons["lightgbm.fit"].startswith("parameter lightgbm.seed 0 -> 1")
    assert "build_history_panel" not in reasons
    assert not [node for node in reasons if node.startswith("catboost")]
    assert project.kedro("run", "--pipeline=weekly").returncode == 0
    assert len(fits(project) - before) == 4  # back to what is in the store


def test_a_touched_file_runs_nothing(project):
    for path in project.data.glob("0*_*/**/*"):
        os.utime(path)
    assert project.kedro("run", "--pipeline=weekly").returncode == 0
    assert ran(project) == {}


def test_what_was_changed_by_hand_or_deleted_is_made_again_equal(project):
    contents = project.contents()
    scores = project.data / "08_reporting/era_scores.parquet"
    scores.write_bytes(scores.read_bytes()[:-100])
    (project.data / "06_models/lightgbm/best_params.json").unlink()
    shutil.rmtree(project.data / "02_intermediate/history_panel")
    before = fits(project)
    assert project.kedro("run", "--pipeline=weekly").returncode == 0
    assert ran(project) == {
        "build_history_panel": "output history_panel is missing",
        "lightgbm.tune": "output lightgbm.best_params is missing",
        "score_backtest": "output era_scores changed by hand",
    }
    assert fits(project) == before
    remade = project.contents()
    assert {name for name in contents if remade.get(name) != contents[name]} <= READINGS


def test_the_next_week_fits_what_is_new_and_no_more(project):
    before = fits(project)
    assert project.kedro("tournament", "advance", "--weeks", "1").returncode == 0
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0
    assert "1 new (0161)" in run.stderr
    assert "resolved to 0148" in run.stdout
    assert project.json("02_intermediate/folds.json")["test"][-1]["test"] == [148, 148]
    assert len(fits(project) - before) == 2  # the fourth fold begins with era 0148; two families
    assert "history_panel: era 0161 is new" in ran(project)["tabulate_features"]
    assert "folds changed" in ran(project)["lightgbm.walk_forward"]
    assert set(project.receipts()) == {"1412-demo", "1417-demo"}
    assert project.kedro("run", "--pipeline=weekly").returncode == 0
    assert ran(project) == {}


def own_source(project: Project) -> Path:
    """Give a project sources of its own; returns the package's folder."""
    source = project.folder / "src" / "numerai_kedro"
    shutil.copytree(ROOT / "src" / "numerai_kedro", source, ignore=shutil.ignore_patterns("*.pyc"))
    return source


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def oof(project: Project, model: str) -> list[float]:
    path = project.data / f"07_model_output/{model}/oof_predictions.parquet"
    return pd.read_parquet(path)["prediction"].tolist()


def test_a_refactored_room_refits_nothing(project):
    """A comment runs nothing; a renamed local variable runs nodes, which find their kept folds."""
    room = own_source(project) / "models" / "lightgbm.py"
    before = fits(project)
    edit(room, '"""Trees of the fitted model."""', '"""How many trees."""  # a comment')
    assert project.kedro("run", "--pipeline=weekly").returncode == 0
    assert ran(project) == {}
    edit(room, "known.", "resolved.")
    edit(room, "known =", "resolved =")
    edit(room, "(known,", "(resolved,")
    assert project.kedro("run", "--pipeline=weekly").returncode == 0
    reasons = ran(project)
    assert reasons["lightgbm.fit"] == "code of models/lightgbm.py changed"
    assert "score_backtest" not in reasons  # predictions came out identical
    assert fits(project) == before


def test_changed_learning_code_is_fitted_again_unless_fits_of_other_code_are_kept(
    project, tmp_path
):
    room = own_source(project) / "models" / "lightgbm.py"
    edit(room, "label = train.target(target)", "label = 1 - train.target(target)")
    keeping = project.copy(tmp_path / "keeping")
    before, of_lightgbm, of_catboost = (
        fits(project),
        oof(project, "lightgbm"),
        oof(project, "catboost"),
    )
    project.kedro("run", "--pipeline=weekly")
    assert len(fits(project) - before) == 4  # three folds and the live fit
    assert oof(project, "lightgbm") != of_lightgbm
    assert oof(project, "catboost") == of_catboost

    keeping.local("parameters", FAST | {"incremental": {"keep_fits_of_other_code": True}})
    run = keeping.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-3000:]
    assert fits(keeping) == before
    assert oof(keeping, "lightgbm") == of_lightgbm
    message = "models were fitted by other code than is here now"
    assert "lightgbm: made by other code" in run.stderr
    (receipt,) = keeping.receipts().values()
    assert message in receipt["warnings"][0]
    assert message in (keeping.data / "08_reporting" / "dashboard.html").read_text()


# Flips by file of the data folder; each keeps size, time stamp and inode.
FLIPS = {
    "folds": ("02_intermediate/folds.json", b"147", b"146"),
    "the gate's decision": (
        "08_reporting/gate_decisions/1412-demo.json",
        b'"threshold": 0',
        b'"threshold": 1',
    ),
    "a decision of tuning": ("06_models/study_store/decisions/*.json", b'rate": 0.', b'rate": 1.'),
    "the panel's index": (
        "02_intermediate/history_panel/index.json",
        b'"n_rows": 1',
        b'"n_rows": 2',
    ),
    "a record": (".incremental/nodes/lightgbm.fit.json", b'"done"', b'"dome"'),
    "a model": ("06_models/lightgbm/model/content.pkl", b"feature_fraction", b"feature_fractiom"),
    "out-of-fold predictions": (
        "07_model_output/lightgbm/oof_predictions.parquet",
        b"PAR1",
        b"PAR2",
    ),
    "the round": ("01_raw/round_info.json", b"1412", b"1413"),
}


def test_flipped_bits_are_made_good_by_the_same_command(done, project):
    for pattern, old, new in FLIPS.values():
        (path,) = project.data.glob(pattern)
        overwrite(path, old, new)
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-3000:]
    assert "Traceback" not in run.stderr
    assert fits(project) == fits(done)
    assert project.artifacts() == done.artifacts()


def test_a_model_that_failed_is_taken_up_again(project, tmp_path):
    """An import error becomes an outcome; the same command later computes the value."""
    (tmp_path / "broken" / "lightgbm").mkdir(parents=True)
    broken = tmp_path / "broken" / "lightgbm" / "__init__.py"
    broken.write_text("raise ImportError('libgomp.so.1 is missing')")
    command = ["run", "--pipeline=weekly", "--params=lightgbm.seed=3"]
    run = project.kedro(*command, PYTHONPATH=str(tmp_path / "broken"))
    assert run.returncode == 0  # the week goes on without it
    assert "libgomp.so.1 is missing" in run.stderr
    assert "Traceback" not in run.stderr
    assert project.json("06_models/lightgbm/outcome.json")["status"] == "failed"
    assert project.kedro(*command).returncode == 0
    reasons = ran(project)
    # A library imported from beside the project counts as its code.
    assert "code of lightgbm/__init__.py changed" in reasons["lightgbm.tune"]
    assert "lightgbm.fit" in reasons
    assert project.json("06_models/lightgbm/outcome.json")["status"] == "finished"
