"""A week with networks: faults are repaired and reported, and the submission goes through."""

import json

import pandas as pd
import pytest

from numerai_kedro.compute.fault_injection import VARIABLE
from numerai_kedro.compute.machine import SIMULATED_GPU
from tests.project import QUICK, Project

pytestmark = pytest.mark.slow
SMALL = {"epochs": 2, "k": 2, "n_blocks": 1, "d_block": 8}
NETWORK = {"enabled": True, "presets": {"cpu": SMALL, "small_gpu": SMALL}}
WEEK = QUICK | {"tabm": NETWORK, "resources": {"isolate_gb": 0.3}}


@pytest.fixture(scope="module")
def brought_in(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("networks") / "project")
    project.local("parameters", WEEK)
    run = project.kedro("run", "--pipeline=ingestion")
    assert run.returncode == 0, run.stderr[-2000:]
    return project


def week(project, tmp_path, inject, at, times=1, **environment):
    """Run the week with a fault; return its ledger and its output."""
    order = {"inject": inject, "at": at, "times": times, "count": str(tmp_path / "count")}
    environment[VARIABLE] = json.dumps(order)
    run = project.kedro("run", "--pipeline=weekly", **environment)
    assert run.returncode == 0, run.stderr[-3000:]
    (receipt,) = project.receipts().values()
    assert receipt["status"] == "accepted"
    return pd.read_parquet(project.data / "08_reporting" / "recovery_ledger.parquet"), run


def test_a_fit_that_is_killed_goes_on_and_comes_to_the_same_week(brought_in, tmp_path):
    calm, killed = (brought_in.copy(tmp_path / name) for name in ("calm", "killed"))
    assert calm.kedro("run", "--pipeline=deep_learning").returncode == 0
    ledger, _ = week(killed, tmp_path, "kill", "middle")
    line = ledger.iloc[0]
    assert (line["model"], line["symptom"]) == ("tabm", "the process was killed")
    assert line["result"] == "succeeded"
    for name in ("oof_predictions", "live_predictions"):
        ours, theirs = (
            pd.read_parquet(project.data / "07_model_output" / "tabm" / f"{name}.parquet")
            for project in (killed, calm)
        )
        pd.testing.assert_frame_equal(ours, theirs)
    again = killed.kedro("run", "--pipeline=weekly")
    assert again.returncode == 0
    assert "fitted" not in again.stderr


def test_what_never_becomes_finite_leaves_the_week_to_the_others(brought_in, tmp_path):
    project = brought_in.copy(tmp_path / "project")
    ledger, run = week(project, tmp_path, "nan", "first", times=1_000_000)
    assert "tabm        walk_forward: training came to nothing" in run.stdout
    assert ledger["remedy"].iloc[-1] == "given up"
    assert set(ledger["model"]) == {"tabm"}
    outcome = project.json("06_models/tabm/outcome.json")
    assert (outcome["status"], outcome["stage"]) == ("failed", "walk_forward")
    page = (project.data / "08_reporting" / "dashboard.html").read_text()
    assert "Recoveries" in page


def test_on_a_card_networks_train_beside_boosting_and_a_lost_one_costs_no_model(
    brought_in, tmp_path
):
    project = brought_in.copy(tmp_path / "project")
    card = {SIMULATED_GPU: "4"}
    ledger, run = week(project, tmp_path, "gpu-lost", "middle", **card)
    assert "plan: tabm: preset small_gpu, chosen for this machine" in run.stderr
    assert "plan: tabm on the GPU while the others train on the cores" in run.stderr
    first = ledger.iloc[0]
    assert (first["symptom"], first["remedy"]) == ("the GPU failed", "fitted on the CPU")
    assert project.json("06_models/tabm/outcome.json")["status"] == "finished"


def test_a_drill_shows_what_was_done(brought_in):
    run = brought_in.kedro("drill", "--inject", "oom", "--at", "loading")
    assert run.returncode == 0, run.stderr[-2000:]
    assert "rows are picked before they are moved" in " ".join(run.stdout.replace("│", " ").split())
    assert "are equal bit by bit" in run.stdout
    refused = brought_in.kedro("drill", "--inject", "oom", "--at", "nowhere")
    assert refused.returncode == 1
    assert "Error: --at nowhere: is none of first, middle" in refused.stderr
