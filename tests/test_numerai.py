"""The real tournament's path, whole, against a local server in its place."""

from dataclasses import replace

import pytest
import yaml

from numerai_kedro.data import open_panel
from numerai_kedro.demo.faults import Fault
from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import DemoTournament
from numerai_kedro.numerai.transport import ALLOWED_OPERATIONS
from tests.project import OPEN_GATE, QUICK, ROOT, Project
from tests.test_weekly import sentence

pytestmark = pytest.mark.slow
PUBLIC, SECRET = "CANARYPUBLICID0123456789", "CANARYSECRETKEYabcdefghijklmnop"
HISTORY = (
    "features.json",
    "train.parquet",
    "validation.parquet",
    "meta_model.parquet",
    "train_benchmark_models.parquet",
    "validation_benchmark_models.parquet",
)
KEYS = {"NUMERAI_PUBLIC_ID": PUBLIC, "NUMERAI_SECRET_KEY": SECRET}
# A study, which is a tournament's own, but a short one; MLflow is one more place for a key.
FEW = QUICK["lightgbm"] | {"enabled": True}
WEEK = {**QUICK, "lightgbm": FEW | {"n_trials": 2}, "catboost": FEW, "tracking": {"enabled": True}}
UPLOADING = {"submission": {"slots": {"demo": "ensemble"}, "upload": True}}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> DemoTournament:
    """What plays the real tournament: with keys of its own."""
    return DemoTournament(tmp_path_factory.mktemp("real"), "tiny", 3, keys=(PUBLIC, SECRET))


@pytest.fixture(scope="module")
def server(demo):
    demo.prepare()
    with DemoServer(demo) as running:
        yield running


@pytest.fixture(scope="module")
def first(server, tmp_path_factory) -> Project:
    """A first week without any key; read only."""
    project = Project.make(
        tmp_path_factory.mktemp("numerai") / "project",
        tournament="numerai",
        size="numerai",
        data_folder="data/numerai",
        api_url=server.url,
    )
    text = (ROOT / "conf" / "base" / "parameters_ingestion.yml").read_text()
    periods = yaml.safe_load(text)["ingestion"]["periods"]
    tiny = {"periods": {"numerai": periods["tiny"]}}
    project.local("parameters_ingestion", {"ingestion": tiny})
    project.local("parameters", WEEK | {"gate": OPEN_GATE})
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-3000:]
    (project.folder / "stdout.txt").write_text(run.stdout + run.stderr)
    return project


@pytest.fixture
def project(first, server, tmp_path) -> Project:
    server.faults.clear()
    return first.copy(tmp_path / "project")


def asked(demo) -> list[str]:
    return (demo.folder / "operations.log").read_text().split()


def submitted(demo) -> int:
    return asked(demo).count("create_submission")


def everything_written(project: Project, *runs) -> str:
    """All that a run leaves: logs, artifacts, databases, pages."""
    texts = [run.stdout + run.stderr for run in runs]
    for path in project.folder.rglob("*"):
        if path.is_file() and "local" not in path.parts:
            texts.append(path.read_bytes().decode("utf-8", "replace"))
    return "\n".join(texts)


def test_without_a_key_the_csv_is_written_and_nothing_is_uploaded(first, demo):
    (receipt,) = first.receipts().values()
    assert receipt["status"] == "written"
    assert "submission.slots" in receipt["detail"]
    assert "nothing was uploaded" in (first.folder / "stdout.txt").read_text()
    assert list((first.data / "07_model_output" / "submissions").glob("*.csv"))
    assert "submission_upload_auth" not in asked(demo)


def test_the_feature_set_is_medium_by_default(first):
    folds = first.json("02_intermediate/folds.json")
    medium = first.json("01_raw/features.json")["feature_sets"]["medium"]
    assert sorted(folds["features"]) == sorted(medium)


def test_history_that_cannot_be_had_anew_does_not_end_a_week_and_a_live_file_does(project, server):
    before = project.contents()
    away = Fault("get", "status", value=404, times=99)
    for name in HISTORY:
        server.faults.add(replace(away, on=f"/{name}"))
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-2000:]
    for name in HISTORY:
        assert f"v5.3/{name}: continuing with the file verified earlier" in run.stderr
    assert "plan: validation.parquet: uses the file verified earlier" in run.stderr
    raw = {name: content for name, content in before.items() if name.startswith("01_raw/")}
    assert {name: project.contents()[name] for name in raw} == raw
    server.faults.add(replace(away, on="/live.parquet"))
    run = project.kedro("run", "--pipeline=ingestion")
    assert "live.parquet: the server answered 404" in sentence(run)


def test_a_flipped_byte_in_a_file_of_history_is_not_taken_for_new_data(project):
    path = project.data / "01_raw" / "validation.parquet"
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    run = project.kedro("run", "--pipeline=ingestion")
    assert run.returncode == 0, run.stderr[-2000:]
    assert "validation.parquet: its bytes are not those that were verified" in run.stderr
    assert path.read_bytes() == whole
    reasons = project.json(".incremental/last_run.json")["ran"].values()
    assert set(reasons) == {"always runs"}


def test_another_data_version_is_compared_before_it_is_used_and_never_mixed(
    project, demo, server, monkeypatch
):
    monkeypatch.setattr(demo, "versions", ("v5.3", "v5.4"))
    settings = yaml.safe_load((project.folder / "conf/local/globals.yml").read_text())
    project.local("globals", settings | {"data_version": "v5.4"})
    server.faults.add(Fault("get", "status", value=404, times=1, on="v5.4/validation.parquet"))
    before = open_panel(project.data / "02_intermediate" / "history_panel")
    run = project.kedro("run", "--pipeline=ingestion")
    assert "v5.4/validation.parquet: the server answered 404" in sentence(run)
    assert open_panel(before.folder).version == "v5.3"
    run = project.kedro("run", "--pipeline=weekly")
    assert run.returncode == 0, run.stderr[-2000:]
    message = "data v5.4 compared with v5.3 in 24 eras; 100.0% of rows are in both"
    assert message in run.stderr
    assert message in (project.data / "08_reporting" / "dashboard.html").read_text()
    assert open_panel(before.folder).version == "v5.4"


@pytest.mark.parametrize("where", ["environment", "conf/local"])
def test_with_a_key_and_a_slot_it_is_submitted(project, demo, where):
    demo.clock.advance(rounds=1)
    before = submitted(demo)
    project.local("parameters_submission", UPLOADING)
    environment = KEYS if where == "environment" else {}
    if where == "conf/local":
        project.local("credentials", {"numerai": {"public_id": PUBLIC, "secret_key": SECRET}})
    run = project.kedro("run", "--pipeline=weekly", **environment)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "accepted for model" in run.stdout
    assert submitted(demo) == before + 1
    assert set(asked(demo)) <= ALLOWED_OPERATIONS
    written = everything_written(project, run)
    assert PUBLIC not in written
    assert SECRET not in written


def test_uploading_off_overrides_for_one_run(project, demo):
    before = submitted(demo)
    project.local("parameters_submission", UPLOADING)
    off = ("--params", "submission.upload=false")
    run = project.kedro("run", "--pipeline=weekly", *off, **KEYS)
    assert run.returncode == 0, run.stderr[-2000:]
    assert submitted(demo) == before


def test_a_slot_alone_uploads_nothing(project, demo):
    before = submitted(demo)
    project.local("parameters_submission", {"submission": {"slots": {"demo": "ensemble"}}})
    run = project.kedro("run", "--pipeline=weekly", **KEYS)
    assert run.returncode == 0, run.stderr[-2000:]
    assert submitted(demo) == before
    (receipt,) = [r for r in project.receipts().values() if r["slot"] == "demo"]
    assert receipt["status"] == "written"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"NUMERAI_PUBLIC_ID": PUBLIC, "NUMERAI_SECRET_KEY": "WRONG"}, "does not accept the key"),
        ({"NUMERAI_PUBLIC_ID": PUBLIC}, "No NUMERAI_SECRET_KEY"),
        ({}, "No NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY"),
    ],
)
def test_a_wrong_key_is_one_sentence_and_nothing_is_submitted(project, demo, keys, words):
    before = submitted(demo)
    project.local("parameters_submission", UPLOADING)
    run = project.kedro("run", "--pipelines=backtest,submission", **keys)
    assert words in sentence(run)
    assert submitted(demo) == before


def test_a_slot_with_a_pickle_and_one_that_is_not_there_are_named_and_do_not_stop_others(
    project, demo
):
    demo.clock.advance(rounds=1)
    pickle = next(model.name for model in demo.store.models() if model.has_pickle)
    slots = {pickle: "ensemble", "nobody": "lightgbm", "demo": "lightgbm"}
    project.local("parameters_submission", {"submission": {"slots": slots, "upload": True}})
    run = project.kedro("run", "--pipeline=weekly", **KEYS)
    text = sentence(run)
    assert "holds an uploaded pickle" in text
    assert 'the account has no such model: "nobody"; it has:' in text
    statuses = {receipt["slot"]: receipt["status"] for receipt in project.receipts().values()}
    assert statuses["demo"] == "accepted"
    assert statuses[pickle] == statuses["nobody"] == "refused"


def test_an_upload_whose_answer_was_lost_is_looked_up_not_repeated(project, demo, server):
    demo.clock.advance(rounds=1)
    before = submitted(demo)
    project.local("parameters_submission", UPLOADING)
    server.faults.add(Fault("answer", "drop", on="create_submission"))
    run = project.kedro("run", "--pipeline=weekly", **KEYS)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "accepted for model" in run.stdout
    assert submitted(demo) == before + 1


def test_a_download_that_breaks_is_continued_and_one_that_never_comes_is_a_sentence(
    project, server
):
    for name in ("validation.parquet", "validation.parquet.source.json"):
        (project.data / "01_raw" / name).unlink()
    server.faults.add(Fault("get", "cut", value=200_000, on="validation.parquet"))
    run = project.kedro("run", "--pipeline=ingestion")
    assert run.returncode == 0, run.stderr[-2000:]
    before = project.contents()
    (project.data / "01_raw" / "live.parquet.source.json").unlink()
    server.faults.add(Fault("get", "status", value=404, on="live.parquet", times=20))
    run = project.kedro("run", "--pipeline=ingestion")
    assert "live.parquet: the server answered 404" in sentence(run)
    after = project.contents()
    assert after["01_raw/live.parquet"] == before["01_raw/live.parquet"]


def test_nobody_there_is_one_sentence(project):
    project.local(
        "globals",
        yaml.safe_load((project.folder / "conf" / "local" / "globals.yml").read_text())
        | {"api_url": "http://127.0.0.1:9"},
    )
    run = project.kedro("run", "--pipeline=ingestion")
    assert "did not answer" in sentence(run)
