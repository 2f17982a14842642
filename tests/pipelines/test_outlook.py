"""The size of the files is known before any download, whatever the server does meanwhile."""

import json

import pytest
import yaml
from tests.project import ROOT

from numerai_kedro.compute.machine import read_machine
from numerai_kedro.demo.faults import Fault
from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import DemoTournament
from numerai_kedro.errors import DownloadError
from numerai_kedro.files import fetch
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.schema import FeatureMetadata
from numerai_kedro.pipelines.ingestion.outlook import FILES, History
from numerai_kedro.runtime.parameters import IngestionParams


@pytest.fixture
def demo(demo_folder):
    return DemoTournament(demo_folder, "tiny", 0)


@pytest.fixture
def server(demo):
    with DemoServer(demo) as running:
        yield running


@pytest.fixture
def read(demo, server, tmp_path):
    """Reads the outlook, as a machine with a data folder of its own."""
    files = demo.archive.files(demo.latest(demo.clock.now()))
    metadata = FeatureMetadata.read(json.loads(files["features.json"].read_text()))
    base = yaml.safe_load((ROOT / "conf/base/parameters_ingestion.yml").read_text())["ingestion"]
    params = IngestionParams.model_validate(base | {"size": "tiny"})
    client = Client(server.url, "v5.3", timeout_s=(5.0, 20.0))

    def outlook():
        return History.read(client, read_machine(tmp_path / "data"), metadata, params)

    def download():
        for name in FILES:
            fetch(client.remote_file(name), tmp_path / "data" / "01_raw" / name)
        return [tmp_path / "data" / "01_raw" / name for name in FILES]

    outlook.download = download
    return outlook


@pytest.mark.parametrize(
    "fault",
    [
        Fault("get", "status", 503, "validation.parquet"),
        Fault("get", "status", 429, "train.parquet", times=3),
        Fault("get", "ignore_range", on="train.parquet", times=2),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.value}",
)
def test_one_refused_answer_does_not_end_a_week(read, server, fault):
    undisturbed = read()
    server.faults.add(fault)
    assert read() == undisturbed


def test_a_footer_that_cannot_be_had_is_the_verified_files_of_before(read, server, caplog):
    refused = Fault("get", "status", 404, "validation.parquet", times=99)
    server.faults.add(refused)
    with pytest.raises(DownloadError, match="answered 404"):
        read()
    server.faults.clear()
    _, validation = read.download()
    before = read()
    server.faults.add(refused)
    assert read() == before
    assert "plan: validation.parquet: uses the file verified earlier" in caplog.text
    validation.write_bytes(bytes(validation.stat().st_size))
    with pytest.raises(DownloadError, match="answered 404"):
        read()


def test_a_file_that_is_replaced_is_counted_twice(read):
    assert read().data.replaced_bytes == 0
    _, validation = read.download()
    assert (read().data.missing_bytes, read().data.replaced_bytes) == (0, 0)
    size = validation.stat().st_size
    validation.write_bytes(bytes(1000))
    assert (read().data.missing_bytes, read().data.replaced_bytes) == (size, 1000)
