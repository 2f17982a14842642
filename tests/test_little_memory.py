"""A memory that one family cannot do with: it is cut down and said, the submission goes through."""

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


def test_a_family_is_cut_down_to_the_limit_and_the_week_goes_on(group, tmp_path):
    project = Project.make(tmp_path / "project")
    project.local("parameters", QUICK | {"catboost": FEW})
    # 2.5 GB are kept for everything else: LightGBM's .20 GB fit into what is left, CatBoost's
    # .30 do not.
    with open(f"{group}/memory.limit_in_bytes", "w") as limit:
        limit.write(str(int(2.75 * 2**30)))
    run = project.kedro("run", "--pipeline=weekly", group=group)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "plan: cut: catboost: 2 fits, averaged, each on every second era" in run.stderr
    assert "cut         catboost: 2 fits" in run.stdout
    assert project.json("06_models/catboost/outcome.json")["status"] == "finished"
    (receipt,) = project.receipts().values()
    assert receipt["status"] == "accepted"
