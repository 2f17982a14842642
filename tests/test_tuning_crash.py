"""SIGKILL while tuning and fitting: nothing finished is lost, nothing counts twice."""

import os
import random
import time

import pandas as pd
import pytest

from numerai_kedro.training.tuning.store import StudyStore
from numerai_kedro.training.tuning.study import n_finished, open_study
from tests.project import QUICK, Project

pytestmark = pytest.mark.slow
GBM = ("run", "--pipeline=gbm", "--tags=model", "--to-nodes=lightgbm.fit,catboost.fit")
KILLS = int(os.environ.get("KILLS", "2")) // 2
N_TRIALS = 6
FEW = {"enabled": True, "n_trials": N_TRIALS, "presets": {"example": {"n_estimators": 60}}}
# Every fit in a child process, which must end with its parent.
PARAMETERS = QUICK | {"lightgbm": FEW, "catboost": FEW, "resources": {"isolate_gb": 0}}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory) -> Project:
    """A project whose data are in, and nothing else."""
    project = Project.make(tmp_path_factory.mktemp("tuning") / "project")
    project.local("parameters", PARAMETERS)
    run = project.kedro("run", "--pipeline=ingestion")
    assert run.returncode == 0, run.stderr[-2000:]
    return project


@pytest.fixture(scope="module")
def undisturbed(ingested, tmp_path_factory) -> tuple[Project, float]:
    """An undisturbed run, and the seconds it took."""
    project = ingested.copy(tmp_path_factory.mktemp("undisturbed") / "project")
    begin = time.monotonic()
    run = project.kedro(*GBM)
    assert run.returncode == 0, run.stderr[-2000:]
    return project, time.monotonic() - begin


def trials_of(project: Project, model: str) -> pd.DataFrame:
    return pd.read_parquet(project.data / "06_models" / model / "trials.parquet")


def test_a_study_has_as_many_trials_as_were_asked_for(undisturbed):
    for model in ("lightgbm", "catboost"):
        assert len(trials_of(undisturbed[0], model)) == N_TRIALS


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_while_tuning_or_fitting_it_ends_the_same(ingested, undisturbed, tmp_path, number):
    reference, seconds = undisturbed
    project = ingested.copy(tmp_path / "project")
    moment = random.Random(1000 + number).uniform(0.2, 0.95) * seconds
    project.killed_after(moment, *GBM)
    again = project.kedro(*GBM)
    assert again.returncode == 0, again.stderr[-2000:]
    artifacts, expected = project.artifacts(), reference.artifacts()
    assert artifacts.keys() == expected.keys()
    assert [name for name in expected if artifacts[name] != expected[name]] == []
    store = StudyStore(project.data / "06_models" / "study_store")
    for model in ("lightgbm", "catboost"):
        trials, undisturbed_trials = trials_of(project, model), trials_of(reference, model)
        columns = ["state", "objective", "params", "corr", "bmc", "payoff"]
        pd.testing.assert_frame_equal(trials[columns], undisturbed_trials[columns])
        (name,) = trials["study"].unique()
        assert n_finished(open_study(name, store.journal(name), None)) == N_TRIALS
        best, wanted_best = (
            source.json(f"06_models/{model}/best_params.json")["decisions"][-1]["params"]
            for source in (project, reference)
        )
        assert best == wanted_best
