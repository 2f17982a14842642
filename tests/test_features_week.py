"""SIGKILL at random moments of `feature_engineering`, then the same command; and a week by it."""

import os
import random
import time

import pandas as pd
import pytest

from numerai_kedro.data import open_panel
from tests.project import QUICK, Project

pytestmark = pytest.mark.slow
FEATURES = ("run", "--pipeline=feature_engineering")
KILLS = int(os.environ.get("KILLS", "1"))  # each takes half a minute
STORES = ("04_feature/era_tables", "04_feature/block_gram", "06_models/fold_store")
SMALL = {"epochs": 1, "d_hidden": 16, "d_latent": 8}
WEEK = QUICK | {
    "vae": {"enabled": True, "presets": {"cpu": SMALL}},
    "lightgbm": QUICK["lightgbm"] | {"features": ["weigh", "latents"]},
    "ingestion": {"periods": {"tiny": {"validation_fold_eras": 18}}},
    # Every fit in a process of its own, which is killed with its parent.
    "resources": {"isolate_gb": 0.0},
}


@pytest.fixture(scope="module")
def brought_in(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("features") / "project")
    project.local("parameters", WEEK)
    run = project.kedro("run", "--pipeline=ingestion")
    assert run.returncode == 0, run.stderr[-2000:]
    return project


@pytest.fixture(scope="module")
def undisturbed(brought_in, tmp_path_factory):
    project = brought_in.copy(tmp_path_factory.mktemp("undisturbed") / "project")
    begin = time.monotonic()
    run = project.kedro(*FEATURES)
    assert run.returncode == 0, run.stderr[-2000:]
    return project, time.monotonic() - begin


def pieces(project):
    """Files of the stores, with their modification times."""
    return {
        path: path.stat().st_mtime_ns
        for store in STORES
        for path in (project.data / store).rglob("*")
        if path.is_file()
        and ".partial" not in str(path)
        and "work" not in path.relative_to(project.data).parts
    }


def latents(project):
    return {
        folder.name: open_panel(folder).era_digests()
        for folder in sorted((project.data / "04_feature" / "latent_panel").iterdir())
    }


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_goes_on_where_it_was(brought_in, undisturbed, tmp_path, number):
    reference, seconds = undisturbed
    project = brought_in.copy(tmp_path / "project")
    moment = random.Random(number).uniform(0.2, 1.0) * seconds
    project.killed_after(moment, *FEATURES)
    finished = pieces(project)
    again = project.kedro(*FEATURES)
    assert again.returncode == 0, again.stderr[-2000:]
    artifacts, expected = project.artifacts(), reference.artifacts()
    assert [name for name in expected if artifacts.get(name) != expected[name]] == []
    assert latents(project) == latents(reference)
    assert [path for path, written in finished.items() if path.stat().st_mtime_ns != written] == []


def test_a_week_learns_from_verdicts_and_latents_and_the_next_runs_nothing(undisturbed, tmp_path):
    project = undisturbed[0].copy(tmp_path / "project")
    run = project.kedro("run", "--pipeline=weekly")
    (receipt,) = project.receipts().values()
    # The gate may block a model of sixty trees.
    assert (receipt["status"], run.returncode) in {("accepted", 0), ("blocked", 1)}
    importance = pd.read_parquet(project.data / "08_reporting" / "importance_history.parquet")
    assert importance.loc[importance["feature"] == "latents", "gain"].gt(0).all()
    page = (project.data / "08_reporting" / "dashboard.html").read_text()
    assert "Verdicts on features" in page
    again = project.kedro("run", "--pipeline=weekly")
    assert again.returncode == run.returncode, again.stderr[-2000:]
    ran = project.json(".incremental/last_run.json")["ran"]
    assert not {"compress", "find_verdicts", "tabulate_features", "lightgbm.tune"} & set(ran)
