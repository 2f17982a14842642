"""A folder of files that were downloaded before: read like downloads, and checked like them."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.project import QUICK, ROOT, Project
from tests.test_weekly import sentence

from numerai_kedro.demo.faults import Fault
from numerai_kedro.demo.tournament import DemoTournament
from numerai_kedro.errors import (
    ConfigurationError,
    DownloadError,
    NumeraiKedroError,
    SchemaError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.files import RemoteFile, fetch
from numerai_kedro.files.bounded_session import BoundedSession
from numerai_kedro.files.remote_reader import RemoteReader
from numerai_kedro.numerai.file_source import BENCHMARKS, LIVE, check_folder
from numerai_kedro.runtime.connection import connect
from numerai_kedro.runtime.tournament_settings import TournamentSettings


@pytest.fixture
def folder(tiny_demo, tmp_path):
    """All files of a round, to be changed."""
    demo = DemoTournament(tiny_demo, "tiny", 0)
    copied = tmp_path / "downloaded before" / "v5.3"
    copied.mkdir(parents=True)
    for name, path in demo.archive.files(demo.latest(demo.clock.now())).items():
        shutil.copy(path, copied / name)
    return copied


@pytest.fixture
def source(folder, tmp_path):
    settings = TournamentSettings(
        name="numerai",
        size="numerai",
        data_version="v5.3",
        data_folder=tmp_path / "data",
        api_url=folder.as_uri(),
    )
    return connect(settings)


def test_a_file_comes_whole_and_is_current_until_it_changes(source, folder, tmp_path):
    target, remote = tmp_path / LIVE, source.remote_file(LIVE)
    assert fetch(remote, target)
    assert target.read_bytes() == (folder / LIVE).read_bytes()
    assert not fetch(remote, target)
    shutil.copy(folder / "meta_model.parquet", folder / LIVE)
    assert fetch(remote, target)
    assert target.read_bytes() == (folder / "meta_model.parquet").read_bytes()


def test_what_was_begun_is_continued(source, folder, tmp_path):
    target, remote = tmp_path / LIVE, source.remote_file(LIVE)
    content = (folder / LIVE).read_bytes()

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(remote, target, progress=stop)
    begun = target.with_name(f"{LIVE}.partial").stat().st_size
    seen = []
    assert fetch(remote, target, progress=lambda done, total: seen.append(done))
    assert target.read_bytes() == content
    assert begun == len(content) or seen[0] > begun


def test_a_footer_is_read_by_ranges(source, folder):
    with RemoteReader(source.remote_file("train.parquet")) as reader:
        read = pq.read_metadata(reader)
    assert read.num_rows == pq.read_metadata(folder / "train.parquet").num_rows


def test_a_range_beyond_the_file_and_an_empty_file_are_no_bytes(folder, tmp_path):
    (folder / "empty").write_bytes(b"")
    remote = RemoteFile("v5.3/empty", (folder / "empty").as_uri)
    assert fetch(remote, tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_file_that_is_gone_is_one_sentence(source, folder, tmp_path):
    (folder / LIVE).unlink()
    with pytest.raises(DownloadError, match=r"live.parquet: the server answered 404 \(No such"):
        fetch(source.remote_file(LIVE), tmp_path / LIVE)


def test_the_round_is_that_of_the_day_on_which_the_live_file_came(source, folder):
    for hour, number in ((15, 1346), (12, 1346), (8, 1345)):  # rounds open at noon
        came = datetime(2026, 9, 2, hour, tzinfo=UTC).timestamp()
        os.utime(folder / LIVE, (came, came))
        assert source.round_info()["number"] == number
    assert source.round_info()["text"].startswith("round 1345, by the time of live.parquet")


def test_nothing_is_submitted(source):
    with pytest.raises(TournamentRefused, match="takes no submissions"):
        source.submit(b"id,prediction\n", "m")
    assert source.models() == {}
    for ask in (lambda: source.scores("m"), lambda: source.close_time(1), source.list_rounds):
        with pytest.raises(TournamentRefused, match="takes no submissions"):
            ask()


def test_a_folder_that_is_gone_is_a_sentence(source, folder):
    shutil.rmtree(folder)
    with pytest.raises(SchemaError, match=r"features.json: is missing"):
        source.newest_round()


@pytest.mark.parametrize("url", ["file://elsewhere/data", "file:", "file:///a%00b"])
def test_an_address_that_is_no_folder_of_this_machine_is_a_sentence(url, tmp_path):
    settings = {"size": "numerai", "data_version": "v5.3", "data_folder": tmp_path, "api_url": url}
    with pytest.raises(ConfigurationError, match="should be file:///folder/of/this/machine"):
        connect(TournamentSettings(name="numerai", **settings))
    with pytest.raises(ConfigurationError, match="is not on this machine"):
        connect(TournamentSettings(name="demo", **settings | {"size": "tiny"}))


def test_a_file_that_changes_while_it_is_read_is_begun_anew(source, folder, tmp_path):
    path, target = folder / "train.parquet", tmp_path / "train.parquet"
    new = path.read_bytes()[::-1]
    replaced = []

    def write(done, total):
        if not replaced:
            replaced.append(done)
            path.write_bytes(new)

    fetch(source.remote_file("train.parquet"), target, progress=write)
    assert replaced[0] < len(new)
    assert target.read_bytes() == new


def test_nothing_is_put_into_a_file(folder):
    url = (folder / LIVE).as_uri()
    with BoundedSession(url, None) as session:
        assert session.put(url, data=b"").status_code == 405


def with_column(path: Path, name: str, values) -> None:
    table = pq.read_table(path)
    if name in table.column_names:
        table = table.drop_columns([name])
    pq.write_table(table.append_column(name, values(table.num_rows)), path)


def without_column(path: Path, name: str) -> None:
    pq.write_table(pq.read_table(path).drop_columns([name]), path)


def doubled(table: pa.Table) -> pa.Table:
    return table.append_column(table.column_names[0], table.column(0))


def of_v54(table: pa.Table) -> pa.Table:
    return table.rename_columns([name.replace("v53", "v54") for name in table.column_names])


def a_feature(folder: Path) -> str:
    return sorted(json.loads((folder / "features.json").read_text())["feature_sets"]["small"])[0]


WRONG = {
    "a file is missing": (
        lambda f: (f / "meta_model.parquet").unlink(),
        "meta_model.parquet: is missing; put all files",
    ),
    "features.json is half": (
        lambda f: (f / "features.json").write_text('{"feature_sets": {'),
        "features.json: is no JSON",
    ),
    "features.json is another one": (
        lambda f: (f / "features.json").write_text("{}"),
        "features.json: feature_sets: Field required",
    ),
    "a table is torn": (
        lambda f: (f / "train.parquet").write_bytes(b"PAR1 and no more"),
        "train.parquet: no whole parquet file",
    ),
    "Signals": (
        lambda f: with_column(f / "train.parquet", "numerai_ticker", lambda n: pa.array(["A"] * n)),
        'train.parquet: column "numerai_ticker" is of the tournament Signals',
    ),
    "Crypto": (
        lambda f: with_column(f / LIVE, "symbol", lambda n: pa.array(["BTC"] * n)),
        'live.parquet: column "symbol" is of the tournament Crypto',
    ),
    "no table of Numerai's": (
        lambda f: without_column(f / "meta_model.parquet", "era"),
        'meta_model.parquet: column "era" is missing',
    ),
    "another version": (
        lambda f: without_column(f / "validation.parquet", a_feature(f)),
        "of features.json is missing, so the two are of different data versions",
    ),
    "another version's targets": (
        lambda f: without_column(f / "train.parquet", "target_ender_60"),
        'train.parquet: column "target_ender_60" of features.json is missing',
    ),
    "two columns of one name": (
        lambda f: pq.write_table(doubled(pq.read_table(f / LIVE)), f / LIVE),
        "live.parquet: has two columns of one name",
    ),
    "benchmarks of another version": (
        lambda f: pq.write_table(of_v54(pq.read_table(f / BENCHMARKS)), f / BENCHMARKS),
        "its models are of v54, and data_version is v5.3",
    ),
    "another year": (
        lambda f: with_column(
            f / "train.parquet", a_feature(f), lambda n: pa.array([0.25] * n, pa.float32())
        ),
        "is float, not int8: it is a file of another year",
    ),
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_what_cannot_be_read_is_refused_in_one_sentence(folder, what):
    spoil, words = WRONG[what]
    check_folder(folder, "v5.3")
    spoil(folder)
    with pytest.raises(SchemaError) as refused:
        check_folder(folder, "v5.3")
    text = str(refused.value)
    assert words in text
    assert "\n" not in text
    assert isinstance(refused.value, NumeraiKedroError)


@pytest.mark.slow
def test_a_week_runs_from_a_folder_without_any_network(folder, tmp_path):
    project = Project.make(tmp_path / "project")
    text = (ROOT / "conf" / "base" / "parameters_ingestion.yml").read_text()
    periods = {"periods": {"numerai": yaml.safe_load(text)["ingestion"]["periods"]["tiny"]}}
    project.local("parameters_ingestion", {"ingestion": periods})
    project.local("parameters", QUICK)
    chosen = project.kedro("tournament", "use", "files", "--folder", str(folder))
    assert "its files are in data/files" in chosen.stdout, chosen.stderr
    # In a network namespace of its own, where the machine lets one make it.
    alone = ["unshare", "-rn"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        alone = []
    run = subprocess.run(
        [*alone, str(Path(sys.executable).parent / "kedro"), "run", "--pipeline=weekly"],
        cwd=project.folder,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    (csv,) = (project.data / "07_model_output" / "submissions").glob("*.csv")
    assert set(pd.read_csv(csv)["id"]) == set(pd.read_parquet(folder / LIVE).index)
    (receipt,) = project.receipts().values()
    assert receipt["status"] == "written"
    assert "takes no submissions" in sentence(project.kedro("tournament", "wait"))
    slots = {"submission": {"slots": {"mine": "ensemble"}, "upload": True}}
    project.local("parameters", QUICK | slots)
    assert "takes no submissions" in sentence(project.kedro("run", "--pipeline=submit"))
    assert "of demo" not in project.kedro("tournament", "use", "numerai").stdout
    settings = yaml.safe_load((project.folder / "conf" / "local" / "globals.yml").read_text())
    assert settings["api_url"] is None
    assert "data_version" not in settings  # it was the folder's


@pytest.mark.parametrize("address", ["file:///etc/passwd", "/etc/passwd", "ftp://x/y", "7"])
def test_a_tournament_does_not_lead_to_files_of_this_machine(client, server, tmp_path, address):
    answer = json.dumps({"data": {"dataset": address}})
    server.faults.add(Fault("post", "status", 200, "dataset", times=9, body=answer))
    with pytest.raises(TournamentUnreachable, match="no web address"):
        fetch(client.remote_file(LIVE), tmp_path / LIVE)
    assert not (tmp_path / LIVE).exists()


def test_a_redirect_does_not_lead_there_either(client, server, tmp_path):
    moved = (("Location", Path(__file__).as_uri()),)
    server.faults.add(Fault("get", "status", 302, LIVE, times=99, headers=moved))
    with pytest.raises(NumeraiKedroError):
        fetch(client.remote_file(LIVE), tmp_path / LIVE)
    assert not (tmp_path / LIVE).exists()
