"""A run that is stopped from outside says what was kept, and notifies the user and MLflow."""

import json
import signal

import mlflow
import pytest

from tests.project import QUICK, Project

pytestmark = pytest.mark.slow
SAID = "what is finished stays: the same command goes on from there."


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")]
)
def test_a_signal_is_a_sentence_and_told_to_notify_and_mlflow(tmp_path, number, name):
    project = Project.make(tmp_path / "project")
    project.local(
        "parameters",
        QUICK
        | {
            "tracking": {"enabled": True},
            "notify": {"on_failure": "cat > on_failure.json"},
        },
    )
    with project.start("run", "--pipeline=weekly") as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "convert_history" in line or "history_panel" in line:
                break
        run.send_signal(number)
        _, stderr = run.communicate(timeout=120)
    assert run.returncode == 128 + number
    assert f"Error: stopped by {name}; {SAID}" in stderr
    assert "Traceback" not in stderr
    notice = json.loads((project.folder / "on_failure.json").read_text())
    assert notice["outcome"] == "failure"
    assert SAID in notice["error"]
    client = mlflow.MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (mlflow_run,) = client.search_runs(experiments)
    assert mlflow_run.info.status == "FAILED"
    assert mlflow_run.data.tags["error"].startswith(f"stopped by {name}")
