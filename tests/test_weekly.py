"""The commands as a user types them, each in a fresh process, on the tiny demo."""

import json
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from numerai_kedro.demo.tournament import DemoTournament
from numerai_kedro.models.registry import BUILT_IN
from numerai_kedro.numerai.client import Client
from tests.pipelines.test_pipeline import PARTS
from tests.project import Project

pytestmark = pytest.mark.slow
PIPELINES = (*PARTS, "prepare", "submit")
# Few trials and one quick network: `make weekly` in CI runs them all, and
# tests/test_networks_week.py looks closer.
FEW = {
    **{name: {"n_trials": 4} for name in ("lightgbm", "catboost", "xgboost")},
    "tabm": {"presets": {"cpu": {"epochs": 1}}},
    "transformer": {"enabled": False},
    "vae_head": {"enabled": False},
    "gatv2": {"enabled": False},
    "gin": {"enabled": False},
}


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Project:
    """A project after its first week; read only."""
    project = Project.make(tmp_path_factory.mktemp("weekly") / "project")
    project.local("parameters", FEW)
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-3000:]
    (project.folder / "stdout.txt").write_text(run.stdout)
    return project


@pytest.fixture
def project(done, tmp_path) -> Project:
    """The same project, to be changed."""
    return done.copy(tmp_path / "project")


def sentence(run) -> str:
    """The error as the user reads it: one line, no traceback, exit code not 0."""
    assert run.returncode not in {0, None}
    assert "Traceback" not in run.stderr + run.stdout
    lines = [line for line in run.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, run.stderr[-2000:]
    return lines[0]


def test_the_week_ends_with_an_accepted_submission_and_a_page(done):
    (receipt,) = done.receipts().values()
    assert receipt["status"] == "accepted"
    assert receipt["n_stocks"] == 100
    page = (done.data / "08_reporting" / "dashboard.html").read_text()
    assert "submitted" in page
    printed = (done.folder / "stdout.txt").read_text()
    for part in ("numerai_kedro · demo tournament · round 1412", "lightgbm    CORR ", "20 of 20"):
        assert part in printed
    assert "[1m" not in printed  # plain when piped


def test_the_server_was_asked_nothing_outside_the_allow_list(done):
    operations = set(done.operations())
    assert "create_submission" in operations
    allowed = {"rounds", "listDatasets", "dataset", "account", "submissions", "submissionScores"}
    allowed |= {"submission_upload_auth", "create_submission", "submissionDownloadAuth"}
    assert operations <= allowed


def test_the_run_is_in_mlflow_with_parameters_eras_gate_and_versions(done):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{done.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("numerai_kedro-demo")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["lightgbm.preset"] == "example"
    assert run.data.params["lightgbm.presets.example.n_estimators"] == "2000"
    assert run.data.tags["gate"] == "True"
    assert run.data.tags["version.lightgbm"]
    assert run.data.tags["version.data"]
    history = client.get_metric_history(run.info.run_id, "ensemble.corr")
    assert [metric.step for metric in history] == list(range(88, 148))
    assert {a.path for a in client.list_artifacts(run.info.run_id)} >= {"dashboard.html", "models"}


def test_again_in_the_same_round_nothing_is_fitted_or_submitted_twice(project):
    creations = project.operations().count("create_submission")
    models = list((project.data / "06_models" / "fold_store" / "models").iterdir())
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0
    assert "already submitted for model demo: nothing is uploaded" in run.stderr
    assert project.operations().count("create_submission") == creations
    assert list((project.data / "06_models" / "fold_store" / "models").iterdir()) == models
    assert "fitted" not in run.stderr


@pytest.mark.parametrize("name", PARTS)
def test_each_pipeline_runs_alone_after_a_week(done, name):
    run = done.kedro("run", f"--pipeline={name}")
    assert run.returncode == 0, run.stderr[-2000:]


def test_the_rest_runs_from_a_node_on(done):
    run = done.kedro("run", "--pipeline=weekly", "--from-nodes=weigh_members")
    assert run.returncode == 0
    assert "fold test" not in run.stderr
    assert "gate        passed" in run.stdout


def test_the_ensemble_says_what_is_missing_when_no_model_ever_ran(project):
    for model in BUILT_IN:
        for layer in ("06_models", "07_model_output"):
            shutil.rmtree(project.data / layer / model)
    before = project.contents()
    text = sentence(project.kedro("run", "--pipeline=ensemble"))
    assert "oof_predictions.parquet was never made" in text
    assert "kedro run --pipeline=gbm" in text
    assert project.contents() == before


def test_a_mistyped_dataset_is_no_memory_dataset(project):
    catalog = project.folder / "conf" / "base" / "catalog_08_reporting.yml"
    catalog.write_text(catalog.read_text().replace("\nera_scores:", "\nera_score:"))
    catalog.write_text(catalog.read_text().replace("era_scores:", "era_score:", 1))
    before = project.contents()
    text = sentence(project.kedro("run", "--pipeline=backtest"))
    assert 'the catalog has no entry "era_scores"' in text
    assert "did you mean era_score" in text
    assert project.contents() == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "parameters_gbm",
            {"lightgbm": {"seed": "seven"}},
            ["lightgbm.seed: 'seven' should be a valid integer"],
        ),
        (
            "parameters_gbm",
            {"lightgbm": {"sed": 7}},
            ["lightgbm.sed: there is no such parameter; did you mean seed?"],
        ),
        (
            "parameters_gbm",
            {"lightgbm": {"presets": {"example": {"n_trees": 5}}}},
            ["lightgbm.presets.example.n_trees: there is no such parameter"],
        ),
        (
            "parameters_ingestion",
            {"ingestion": {"feature_set": "smal"}},
            ['feature set "smal" is not in features.json', "small"],
        ),
        (
            "parameters_ingestion",
            {"ingestion": {"target": "target"}},
            ['target "target"', "target_ender_60"],
        ),
        (
            "parameters_ingestion",
            {"ingestion": {"purge_eras": 4}},
            ["purge_eras is 4", "set ingestion.purge_eras to at least"],
        ),
    ],
)
def test_a_wrong_parameter_is_one_sentence_and_overwrites_nothing(project, name, content, words):
    project.local(name, content)
    before = project.contents()
    text = sentence(project.kedro("run", "--pipeline=weekly"))
    for word in words:
        assert word in text
    changed = {k for k, v in project.contents().items() if before.get(k) != v}
    folders = ("01_raw", "02_intermediate/resource", "02_intermediate/run_schedule")
    assert all(key.startswith(folders) for key in changed)


def test_a_missing_file_is_one_sentence(project):
    (project.data / "02_intermediate" / "folds.json").unlink()
    text = sentence(project.kedro("run", "--pipeline=gbm"))
    assert "folds.json does not exist yet" in text
    assert "kedro run --pipeline=weekly" in text


def test_a_damaged_download_is_one_sentence_and_the_panel_stays(project):
    path = project.data / "01_raw" / "validation.parquet"
    frame = pd.read_parquet(path)
    name = next(name for name in frame if name.startswith("feature"))
    frame.iloc[10, frame.columns.get_loc(name)] = 9
    frame.to_parquet(path)
    before = project.contents()
    nodes = "--nodes=build_history_panel"
    text = sentence(project.kedro("run", "--pipeline=ingestion", nodes))
    assert "validation.parquet: not what was written" in text
    # Where nothing says what was written, the panel looks itself.
    (project.data / ".incremental" / "nodes" / "download_validation.json").unlink()
    before = project.contents()
    text = sentence(project.kedro("run", "--pipeline=ingestion", nodes))
    assert f'validation.parquet: column "{name}" holds 9 in era "0038"' in text
    assert project.contents() == before


def test_a_blocked_submission_uploads_nothing_and_still_reports(project):
    project.local("parameters_backtest", {"gate": {"min_corr_bound": 0.5}})
    creations = project.operations().count("create_submission")
    run = project.kedro("run", "--pipeline=weekly")
    assert "wanted above .5000: missed by" in sentence(run)
    assert project.operations().count("create_submission") == creations
    (receipt,) = project.receipts().values()
    assert receipt["status"] == "accepted"  # the first run's submission stays on record
    assert receipt["later"]["status"] == "blocked"
    assert "wanted above .5000: missed by" in receipt["later"]["detail"]
    assert (
        "wanted above .5000: missed by"
        in (project.data / "08_reporting" / "dashboard.html").read_text()
    )
    assert "Nothing was uploaded" in run.stdout


def test_uploading_can_be_switched_off_for_one_run(project):
    creations = project.operations().count("create_submission")
    run = project.kedro("run", "--pipeline=weekly", "--params", "submission.upload=false")
    assert run.returncode == 0, run.stderr[-2000:]
    assert project.operations().count("create_submission") == creations
    (receipt,) = project.receipts().values()
    assert receipt["submission_id"]
    assert receipt["later"]["status"] == "written"
    assert "submission.upload is false" in receipt["later"]["detail"]


def close_round(project: Project) -> None:
    demo = DemoTournament(project.data, "tiny", 0)
    current = demo.current_round(demo.clock.now())
    demo.store.set_instant(current.close_staking_time + timedelta(minutes=5))


def test_a_round_that_closed_after_its_submission_is_no_failure(project):
    close_round(project)
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-2000:]
    (receipt,) = project.receipts().values()
    assert (receipt["status"], "later" in receipt) == ("accepted", False)
    assert receipt["detail"] in run.stdout


def test_a_closed_round_reports_everything_and_ends_with_a_sentence(project):
    DemoTournament(project.data, "tiny", 0).clock.advance(rounds=1)
    close_round(project)
    creations = project.operations().count("create_submission")
    run = project.kedro("run", "--pipeline=weekly")
    assert "no round is open" in sentence(run)
    assert "round 1413, closed since" in run.stdout
    assert project.operations().count("create_submission") == creations


def test_two_runs_do_not_share_a_data_folder(project):
    from numerai_kedro.files import folder_lock

    with folder_lock(project.data):
        text = sentence(project.kedro("run", "--pipeline=reporting"))
    assert "another run (process" in text


def test_live_scores_are_fetched_as_rounds_resolve(project):
    assert project.kedro("tournament", "advance", "--weeks", "14").returncode == 0
    run = project.kedro("run", "--pipeline=reporting")
    assert run.returncode == 0, run.stderr[-2000:]
    scores = pd.read_parquet(project.data / "08_reporting" / "live_scores" / "demo.parquet")
    last = scores[(scores["roundNumber"] == 1412) & scores["resolved"].astype(bool)]
    assert set(last["displayName"]) >= {"corr60", "mmc60"}
    assert scores.loc[scores["displayName"] == "corr60", "day"].max() == 60
    status = project.kedro("tournament", "status")
    assert "round 1412" in status.stdout
    assert "resolved" in status.stdout


def test_the_server_scores_as_numerai_tools_does(project):
    """The live CORR of the server equals the score of our csv against the world's own truth."""
    from numerai_tools.scoring import numerai_corr

    from numerai_kedro.demo.published_rows import live
    from numerai_kedro.demo.sizes import SIZES
    from numerai_kedro.demo.world import World

    assert project.kedro("tournament", "advance", "--weeks", "14").returncode == 0
    world = World.open(project.data / "tournament" / "world", SIZES["tiny"], 0, 161)
    csv = pd.read_csv(project.data / "07_model_output" / "submissions" / "1412-demo.csv")
    rows = live(world, 161, 1412)
    order, ids = rows.order, rows.ids
    column = world.target_names.index("target_ender_60")
    truth = pd.Series(world.targets(161)[order, column].astype(float), index=ids, name="t")
    expected = float(numerai_corr(csv.set_index("id"), truth)["prediction"])
    demo = DemoTournament(project.data, "tiny", 0)
    from numerai_kedro.demo.server import DemoServer

    with DemoServer(demo) as server:
        client = Client(server.url, "v5.3", *demo.keys)
        scores = client.scores(client.models()["demo"])
    final = scores[(scores["displayName"] == "corr60") & (scores["day"] == 60)]
    assert final["value"].iloc[0] == pytest.approx(expected, abs=1e-7)  # the csv is read twice


def test_registry_and_catalog_name_every_pipeline_and_entry(done):
    run = done.kedro("registry", "list")
    for name in (*PIPELINES, "weekly", "__default__"):
        assert f"- {name}" in run.stdout
    assert "warn" not in (run.stdout + run.stderr).lower()


def test_the_notebook_runs(done):
    import nbformat
    from nbclient import NotebookClient

    source = Path(__file__).parents[1] / "notebooks" / "00_explore.ipynb"
    notebook = nbformat.read(source, as_version=4)
    (done.folder / "notebooks").mkdir(exist_ok=True)
    resources = {"metadata": {"path": str(done.folder / "notebooks")}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    (result,) = [out for out in notebook.cells[-1].outputs if out.output_type == "execute_result"]
    assert "ensemble" in result["data"]["text/plain"]


def test_mlflow_away_loses_no_run(project):
    project.local("parameters_tracking", {"tracking": {"uri": "sqlite:////dev/null/x.db"}})
    run = project.kedro("run", "--pipeline=ensemble")
    assert run.returncode == 0
    assert "did not accept the run" in run.stderr


def test_no_key_of_the_demo_is_written_down(done):
    """The demo's keys stand for a user's: they appear in no artifact, log or database."""
    keys = DemoTournament(done.data, "tiny", 0).keys
    for path in done.folder.rglob("*"):
        if not path.is_file() or "src" in path.relative_to(done.folder).parts:
            continue
        content = path.read_bytes()
        for key in keys:
            assert key.encode() not in content, path
    with sqlite3.connect(done.folder / "mlflow.db") as database:
        text = json.dumps(database.execute("select * from tags").fetchall())
    assert not any(key in text for key in keys)
