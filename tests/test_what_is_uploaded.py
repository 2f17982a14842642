"""Only judged predictions are uploaded, whatever is run, killed or deleted before `submit`."""

import shutil

import pandas as pd
import pytest

from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import DemoTournament
from numerai_kedro.files.kept_json import read_kept
from tests.project import OPEN_GATE, QUICK, TINY, Project

pytestmark = pytest.mark.slow
# Two members, so that one can be missing.
TWO = QUICK | {
    "xgboost": {"presets": {"example": {"n_estimators": 60, "learning_rate": 0.1}}, "n_trials": 0}
}
TWO_TREES = "--params=lightgbm.presets.example.n_estimators=2,lightgbm.seed=7"


@pytest.fixture(scope="module")
def submitted(tmp_path_factory) -> Project:
    """A project after its first week; read only."""
    project = Project.make(tmp_path_factory.mktemp("judged") / "project")
    project.local("parameters", TWO)
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-2000:]
    return project


@pytest.fixture
def project(submitted, tmp_path) -> Project:
    """The same project, to be changed."""
    return submitted.copy(tmp_path / "project")


def decision(project, number=1412, slot="demo"):
    return project.json(f"08_reporting/gate_decisions/{number}-{slot}.json")


def csv_of(project, number=1412, slot="demo"):
    path = project.data / "07_model_output" / "submissions" / f"{number}-{slot}.csv"
    return path.read_text()


def advance(project, **by):
    """Move the demo's clock into a later round."""
    DemoTournament(project.data, "tiny", 0).clock.advance(**by)


def members(project, name="weights"):
    path = project.data / "07_model_output" / "ensemble" / f"{name}.parquet"
    return set(pd.read_parquet(path)["model"])


def test_a_model_fitted_beside_its_record_is_neither_submitted_nor_kept(project):
    """One pipeline was run alone during development: the weights do not describe its new model."""
    before = csv_of(project)
    champion = project.data / "08_reporting" / "champion_store" / "demo" / "1412"
    manifest = (champion / "models" / "lightgbm" / "manifest.json").read_text()
    run = project.kedro("run", "--pipeline=gbm", "--namespaces=lightgbm", TWO_TREES)
    assert run.returncode == 0, run.stderr[-2000:]
    # The csv and its receipt are those of before, the model file is not.
    run = project.kedro("run", "--pipeline=submission")
    assert run.returncode == 0, run.stderr[-2000:]
    assert "not promoted: lightgbm was fitted since" in run.stderr
    assert (champion / "models" / "lightgbm" / "manifest.json").read_text() == manifest
    run = project.kedro("run", "--pipeline=submit")
    assert run.returncode == 0, run.stderr[-2000:]
    assert "lightgbm is left out of this round: its live fit is of another conf" in run.stderr
    assert members(project, "round_weights") == {"xgboost"}
    assert csv_of(project) != before
    # The page and the champion describe the blend that was submitted.
    scores = pd.read_parquet(project.data / "08_reporting" / "round_scores.parquet")
    corr = scores.groupby("model")["corr"].mean()
    assert corr["ensemble"] == pytest.approx(corr["xgboost"])
    promoted = read_kept(champion / "champion.json")
    assert promoted["weights"] == {"xgboost": 1.0}
    assert promoted["configuration"] == decision(project)["configuration"]


def test_a_members_damaged_file_costs_its_own_place_alone(project):
    (project.data / "06_models" / "xgboost" / "model" / "content.pkl").unlink()
    advance(project, rounds=1)
    run = project.kedro("run", "--pipeline=submit")
    assert run.returncode == 0, run.stderr[-2000:]
    assert "xgboost is left out of this round" in run.stderr
    assert project.receipts()["1413-demo"]["status"] == "accepted"
    assert members(project, "round_weights") == {"lightgbm"}


def test_where_nobody_predicts_the_champion_does(project):
    for name in ("lightgbm", "xgboost"):
        (project.data / "06_models" / name / "model" / "content.pkl").write_bytes(b"damaged")
    advance(project, rounds=1)
    run = project.kedro("run", "--pipeline=submit")
    assert run.returncode == 0, run.stderr[-2000:]
    receipt = project.receipts()["1413-demo"]
    assert (receipt["status"], receipt["feeds"]) == ("accepted", "champion")
    # A champion that stood in does not become the champion of this round.
    assert project.json("08_reporting/champions.json")["demo"]["round"] == 1412


def test_what_an_override_lets_through_is_uploaded_and_never_stands_in(project):
    shutil.rmtree(project.data / "08_reporting" / "champion_store")
    strict = "gate.override_round=1412,gate.override_slot=demo,gate.override_reason=a try"
    run = project.kedro("run", "--pipeline=submit", f"--params={strict},gate.min_corr_bound=1")
    assert run.returncode == 0, run.stderr[-2000:]
    assert decision(project)["override"] == "a try"
    assert project.json("08_reporting/champions.json") == {}


def test_a_round_that_opens_during_the_run_gets_its_own_live_step(project):
    """The predictions are for the previous round: the receipt names the open one."""
    advance(project, rounds=1)
    run = project.kedro("run", "--pipeline=submission")
    assert run.returncode == 0, run.stderr[-2000:]
    assert "The live step is repeated for it." in run.stderr
    assert project.receipts()["1413-demo"]["status"] == "accepted"


def test_two_submissions_at_once_make_one_upload_and_both_end_well(project):
    advance(project, rounds=1)
    runs = [project.start("run", "--pipeline=submit") for _ in range(2)]
    ended = [(run.communicate(timeout=600)[1], run.returncode) for run in runs]
    assert [code for _, code in ended] == [0, 0], ended[0][0][-1000:] + ended[1][0][-1000:]
    submissions = DemoTournament(project.data, "tiny", 0).store.submissions()
    assert sum(submission.round_number == 1413 for submission in submissions) == 1


def test_a_blocked_round_is_no_success_and_is_tried_again_when_its_inputs_change(project):
    project.local("parameters", TWO | {"gate": OPEN_GATE | {"min_corr_bound": 1.0}})
    advance(project, weeks=1)
    shutil.rmtree(project.data / "08_reporting" / "champion_store")
    run = project.kedro("run", "--pipeline=submit")
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert project.receipts()["1417-demo"]["status"] == "blocked"
    assert "blocked" in (project.data / "08_reporting" / "dashboard.html").read_text()
    project.local("parameters", TWO)
    waited = project.kedro("tournament", "wait")
    assert "round 1417, open for another" in waited.stdout
    assert project.kedro("run", "--pipeline=submit").returncode == 0
    assert project.receipts()["1417-demo"]["status"] == "accepted"


def test_fits_of_an_older_data_version_predict_from_its_own_file_while_it_is_listed(project):
    demo = DemoTournament(project.data, "tiny", 0)

    def submitted_with(*versions):
        demo.versions = versions
        demo.clock.advance(rounds=1)
        with DemoServer(demo) as server:
            project.local("globals", TINY | {"data_version": "v5.4", "api_url": server.url})
            return project.kedro("run", "--pipeline=submit")

    run = submitted_with("v5.3", "v5.4")
    assert run.returncode == 0, run.stderr[-2000:]
    assert "lightgbm: predicts from live data v5.3, which it learned from" in run.stderr
    assert project.receipts()["1413-demo"]["status"] == "accepted"
    run = submitted_with("v5.4")
    assert run.returncode == 1
    assert "data version v5.3 is not listed any more" in run.stderr
    judged = decision(project, 1414)
    assert "data_version_differs" in {c["reason"] for c in judged["checks"] if not c["passed"]}


def test_only_the_connection_says_which_tournament_it_is(project):
    run = project.kedro("run", "--pipeline=submit", "--params=ingestion.tournament=numerai")
    assert run.returncode == 1
    assert "ingestion.tournament: there is no such parameter" in run.stderr
    run = project.kedro("run", "--pipeline=submit", "--params=ingestion.size=numerai")
    assert run.returncode == 1
    (message,) = [line for line in run.stderr.splitlines() if line.startswith("Error: ")]
    assert "ingestion.size" in message
    both = {"tournament": "numerai", "size": "numerai", "data_folder": "data/demo-tiny-0"}
    project.local("globals", both)
    run = project.kedro("run", "--pipeline=submit")
    assert run.returncode == 1
    (message,) = [line for line in run.stderr.splitlines() if line.startswith("Error: ")]
    assert "data/demo-tiny-0" in message
