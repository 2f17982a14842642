"""What the README says of models of one's own, run as it stands there."""

import re
import textwrap

import pandas as pd
import pytest
import yaml

from tests.project import QUICK, ROOT, Project

pytestmark = pytest.mark.slow


def pieces():
    """Indented blocks of the README's section, as they are typed."""
    text = (ROOT / "README.md").read_text()
    section = text.partition("## Add a model of your own")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n(?:\s*\n(?=    ))?)+", section, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


def test_the_readmes_models_are_members_of_the_week(tmp_path):
    elsewhere = ("elsewhere", "sharpe", "Spread", "less_of")
    ridge, module, means, commands = (
        piece for piece in pieces() if not any(word in piece for word in elsewhere)
    )
    assert all(len(piece.strip().splitlines()) <= 15 for piece in (ridge, module, means))
    project = Project.make(tmp_path / "project")
    project.local("parameters", QUICK | {"resources": {"isolate_gb": 0}})
    blocks = project.folder / "conf" / "local" / "parameters_models.yml"
    blocks.write_text(f"{ridge}\n{means}")
    (project.folder / "src" / "my_models.py").write_text(module)
    first, weekly = (line.split()[1:] for line in commands.splitlines())
    run = project.kedro(*weekly)
    assert run.returncode == 0, run.stderr[-3000:]
    for name in ("ridge", "target_means"):
        assert f"  {name} " in run.stderr + run.stdout
        assert project.json(f"06_models/{name}/outcome.json")["status"] == "finished"
    (receipt,) = project.receipts().values()
    assert receipt["status"] == "accepted"
    assert "target_means" in (project.data / "08_reporting" / "dashboard.html").read_text()

    assert project.kedro(*weekly).returncode == 0
    assert {*project.json(".incremental/last_run.json")["ran"].values()} == {"always runs"}

    path = project.folder / "src" / "my_models.py"
    path.write_text(path.read_text().replace("label.mean()", "0.5"))
    assert project.kedro(*weekly).returncode == 0
    ran = project.json(".incremental/last_run.json")["ran"]
    assert "target_means.source" in ran["target_means.walk_forward"]
    assert not any(node.startswith("ridge.") for node in ran)
    assert project.kedro(*first).returncode == 0

    # Another process, which reads the saved models before it reads any preset.
    project.kedro("tournament", "advance", "--weeks", "1")
    run = project.kedro("run", "--pipeline=submit")
    assert "cannot be read" not in run.stdout + run.stderr
    for name in ("ridge", "target_means"):
        live = pd.read_parquet(project.data / f"07_model_output/{name}/live_predictions.parquet")
        assert live["prediction"].nunique() > 1


def test_a_model_that_cannot_be_imported_is_a_sentence(tmp_path):
    project = Project.make(tmp_path / "project")
    project.local(
        "parameters_models", {"ridge": {"type": "nowhere.Ridge", "presets": {"first": {}}}}
    )
    run = project.kedro("run", "--pipeline=ingestion")
    assert run.returncode == 1
    assert "ridge.type: nowhere.Ridge cannot be imported" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_study_searches_the_parameters_of_a_regressor(tmp_path):
    project = Project.make(tmp_path / "project")
    project.local("parameters", QUICK)
    ridge = yaml.safe_load(pieces()[0])
    ridge["ridge"] |= {"n_trials": 3, "space": {"alpha": {"low": 1, "high": 1e5, "log": True}}}
    project.local("parameters_models", ridge)
    run = project.kedro("run", "--pipeline=weekly", "--to-nodes=ridge.tune")
    assert run.returncode == 0, run.stderr[-3000:]
    decisions = project.json("06_models/ridge/best_params.json")["decisions"]
    assert decisions[-1]["best_trial"] in range(3)


def test_predictions_made_elsewhere_are_a_member_marked_as_not_ours(tmp_path):
    project = Project.make(tmp_path / "project")
    project.local("parameters", QUICK)
    assert (
        project.kedro("run", "--pipeline=weekly", "--to-nodes=lightgbm.predict_live").returncode
        == 0
    )
    folder = project.data / "07_model_output" / "lightgbm"
    oof = pd.read_parquet(folder / "oof_predictions.parquet").assign(
        trained_to=lambda t: t["era"] - 14
    )
    live = pd.read_parquet(folder / "live_predictions.parquet").reset_index()[["id", "prediction"]]
    oof.to_parquet(project.folder / "other.parquet")
    live.to_csv(project.folder / "other_live.csv", index=False)
    (block,) = [piece for piece in pieces() if "elsewhere" in piece]
    assert len(block.strip().splitlines()) <= 15
    (project.folder / "conf" / "local" / "parameters_models.yml").write_text(block)
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-3000:]
    assert "not ours: predictions made elsewhere" in run.stdout
    page = (project.data / "08_reporting" / "dashboard.html").read_text()
    assert "other_program (not ours)" in page
    report = project.json("08_reporting/backtest_report.json")["models"]
    assert report["other_program"]["corr"]["text"] == report["lightgbm"]["corr"]["text"]

    oof.assign(trained_to=oof["era"]).to_parquet(project.folder / "other.parquet")
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-3000:]
    assert "eras must lie between, because targets overlap" in run.stdout + run.stderr
    assert project.json("06_models/other_program/outcome.json")["status"] == "failed"


def test_members_are_weighed_by_a_function_of_ones_own(tmp_path):
    function, block = (piece for piece in pieces() if "sharpe" in piece)
    project = Project.make(tmp_path / "project")
    two = {"catboost": {"presets": {"example": {"n_estimators": 60}}, "n_trials": 0}}
    project.local("parameters", QUICK | two)
    (project.folder / "conf" / "local" / "parameters_ensemble.yml").write_text(block)
    (project.folder / "src" / "my_blends.py").write_text(function)
    weekly = ("run", "--pipeline=weekly")
    run = project.kedro(*weekly)
    assert run.returncode == 0, run.stderr[-3000:]
    weights = pd.read_parquet(project.data / "07_model_output" / "ensemble" / "weights.parquet")
    assert set(weights.loc[weights["chosen"], "scheme"]) == {"my_blends.by_sharpe"}
    assert weights["scheme"].nunique() == 5
    path = project.folder / "src" / "my_blends.py"
    path.write_text(path.read_text().replace("0)\n", "0.5)\n"))
    assert project.kedro(*weekly).returncode == 0
    ran = project.json(".incremental/last_run.json")["ran"]
    assert "ensemble.source" in ran["weigh_members"]

    project.local("parameters_ensemble", {"ensemble": {"scheme": "my_blends.nowhere"}})
    refused = project.kedro(*weekly)
    assert refused.returncode == 1
    assert "ensemble.scheme: my_blends.nowhere cannot be imported" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_model_learns_from_a_transformation_of_ones_own(tmp_path):
    module, block = (piece for piece in pieces() if "Spread" in piece)
    assert all(len(piece.strip().splitlines()) <= 15 for piece in (module, block))
    project = Project.make(tmp_path / "project")
    project.local("parameters", QUICK)
    (project.folder / "conf" / "local" / "parameters_gbm.yml").write_text(block)
    path = project.folder / "src" / "my_features.py"
    path.write_text(module)
    weekly = ("run", "--pipeline=weekly")
    run = project.kedro(*weekly)
    assert run.returncode == 0, run.stderr[-3000:]
    importance = pd.read_parquet(project.data / "06_models/lightgbm/importance_by_era.parquet")
    ours = importance[importance["feature"] == "my_features.Spread"]
    assert ours["gain"].gt(0).all()
    assert "my_features.Spread" in (project.data / "08_reporting" / "dashboard.html").read_text()
    assert project.kedro(*weekly).returncode == 0
    assert {*project.json(".incremental/last_run.json")["ran"].values()} == {"always runs"}

    path.write_text(path.read_text().replace("std(axis=1)", "mean(axis=1)"))
    run = project.kedro(*weekly)
    assert run.returncode == 0, run.stderr[-3000:]
    ran = project.json(".incremental/last_run.json")["ran"]
    assert {"derive_features", "lightgbm.walk_forward", "lightgbm.fit"} <= ran.keys()

    # Another process reads the live model with its transformation.
    project.kedro("tournament", "advance", "--weeks", "1")
    run = project.kedro("run", "--pipeline=submit")
    assert run.returncode == 0, run.stderr[-3000:]
    assert "cannot be read" not in run.stdout + run.stderr

    path.write_text(path.read_text().replace("panel.features_at(0)", "panel.features(0)"))
    run = project.kedro(*weekly)
    assert run.returncode == 1
    reason = "learns from my_features.Spread, and there are none: my_features.Spread: transform of"
    assert reason in run.stderr
    assert "Traceback" not in run.stderr


def test_a_blend_is_neutralised_by_a_function_of_ones_own(tmp_path):
    function, block = (piece for piece in pieces() if "less_of" in piece)
    project = Project.make(tmp_path / "project")
    two_trials = {"lightgbm": QUICK["lightgbm"] | {"n_trials": 2}}
    project.local("parameters", QUICK | two_trials)
    # So low a level adopts any gain, to see the function at work in blend and round.
    level = "  adopt_level: 0.5001\n  proportions: [1.0]\n"
    (project.folder / "conf" / "local" / "parameters_ensemble.yml").write_text(block + level)
    path = project.folder / "src" / "my_neutral.py"
    path.write_text(function)
    weekly = ("run", "--pipeline=weekly")
    run = project.kedro(*weekly)
    assert run.returncode == 0, run.stderr[-3000:]
    chosen = project.json("07_model_output/ensemble/neutralisation.json")
    assert chosen["features"] == ["my_neutral.less_of_the_first_feature"]
    assert "neutralising to my_neutral.less_of_the_first_feature: " in run.stderr + run.stdout
    assert project.kedro(*weekly).returncode == 0
    assert {*project.json(".incremental/last_run.json")["ran"].values()} == {"always runs"}
    path.write_text(path.read_text().replace("0.05", "-0.05"))
    run = project.kedro(*weekly)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "choose_neutralisation" in project.json(".incremental/last_run.json")["ran"]
    again = project.json("07_model_output/ensemble/neutralisation.json")
    assert again["source"] != chosen["source"]
