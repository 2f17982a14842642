"""Too little memory for one family: it is reported, and the submission goes through."""

import os

import pytest

from tests.project import QUICK, Project

pytestmark = pytest.mark.slow
CGROUP = "/sys/fs/cgroup/memory"
FEW = {"enabled": True, "n_trials": 0, "presets": {"example": {"n_estimators": 60}}}


@pytest.fixture
def group():
    """A control group, of version 1; made and taken away by root only."""
    folder = f"{CGROUP}/numerai-kedro-week-{os.getpid()}"
    try:
        os.mkdir(folder)
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield folder
    os.rmdir(folder)


def test_a_family_that_does_not_fit_is_reported_and_the_week_goes_on(group, tmp_path):
    project = Project.make(tmp_path / "project")
    project.local("parameters", QUICK | {"catboost": FEW})
    # 2.5 GB are kept for everything else: LightGBM's .20 GB fit into what is left, CatBoost's
    # .30, most of which no cut makes less, do not.
    with open(f"{group}/memory.limit_in_bytes", "w") as limit:
        limit.write(str(int(2.75 * 2**30)))
    run = project.kedro("run", "--pipeline=weekly", group=group)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "plan: catboost: not enough memory: a fit on every fourth era still needs" in run.stderr
    assert "catboost    tune: catboost: not enough memory" in run.stdout
    outcome = project.json("06_models/catboost/outcome.json")
    assert (outcome["status"], outcome["kind"]) == ("failed", "resource")
    (receipt,) = project.receipts().values()
    assert receipt["status"] == "accepted"
