"""A run is tracked as it ended; an unreachable server costs a warning, not the week."""

import mlflow
import pandas as pd
import pytest

from numerai_kedro.reporting import tracking as mlflow_run
from numerai_kedro.reporting.tracking import TrackingParams, flatten, track_run

SCORES = pd.DataFrame(
    {
        "era": [1, 2, 3],
        "model": "ensemble",
        "corr": [0.01, 0.02, 0.03],
        "mmc": [float("nan"), float("nan"), 0.01],
        "bmc": 0.0,
        "fnc": 0.0,
        "max_exposure": 0.1,
    }
)


class Catalog:
    def load(self, name):
        return {"era_scores": SCORES, "gate_decision": {"1412-demo": {"passed": False}}}[name]


class Pipeline:
    def inputs(self):
        return {"params:submission", "history_panel"}

    def all_outputs(self):
        return {"era_scores", "gate_decision"}


@pytest.fixture
def tracked(tmp_path):
    """Track a run in a store of its own, and read it back."""

    def track(error=None):
        uri = f"sqlite:///{tmp_path}/mlflow.db"
        params = TrackingParams(uri=uri, experiment="test")
        parameters = {"submission": {"slots": {"m": "ensemble"}}, "tracking": {"uri": uri}}
        names = {"pipeline_names": ["backtest"]}
        track_run(params, names, parameters, Pipeline(), Catalog(), 1000.0, error)
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("test")
        (run,) = client.search_runs([experiment.experiment_id])
        return client, run

    return track


def test_a_run_that_ended_well_holds_scores_by_era_and_the_gates_word(
    tracked, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    client, run = tracked()
    assert (run.info.status, run.info.run_name) == ("FINISHED", "backtest")
    assert run.data.params == {"submission.slots.m": "ensemble"}
    by_era = client.get_metric_history(run.info.run_id, "ensemble.corr")
    assert {m.step: m.value for m in by_era} == {1: 0.01, 2: 0.02, 3: 0.03}
    assert len(client.get_metric_history(run.info.run_id, "ensemble.mmc")) == 1
    assert run.data.metrics["ensemble.corr.mean"] == pytest.approx(0.02)
    assert run.data.tags["gate"] == "False"


def test_a_run_that_failed_is_kept_with_its_sentence(tracked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, run = tracked(ValueError("first line\nsecond line"))
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "first line"
    assert not run.data.metrics


def test_no_password_of_a_server_is_kept_or_said(caplog, monkeypatch):
    def away(*_):
        raise ImportError("no driver for postgresql://me:hunter2@db/mlflow")

    monkeypatch.setattr(mlflow_run, "_write", away)
    params = TrackingParams(uri="sqlite:///:memory:", experiment="test")
    track_run(params, {}, {}, Pipeline(), Catalog(), 0.0, None)
    assert "//***@db/mlflow" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_server_that_is_away_is_a_warning(caplog, monkeypatch):
    def away(*_):
        raise OSError("connection refused")

    monkeypatch.setattr(mlflow_run, "_write", away)
    params = TrackingParams(uri="sqlite:///:memory:", experiment="test")
    track_run(params, {}, {}, Pipeline(), Catalog(), 0.0, None)
    assert "did not accept the run: connection refused" in caplog.text


def test_nested_and_typed_parameters_become_dotted_names():
    params = TrackingParams(uri="u", experiment="e")
    assert flatten({"a": {"b": [1, 2]}, "t": params}) == {
        "a.b": "[1, 2]",
        "t.enabled": "True",
        "t.uri": "u",
        "t.experiment": "e",
    }
