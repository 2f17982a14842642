"""What stands in a record is whole, or it is as if it were not there."""

import json

import pytest

from numerai_kedro.incremental.record import NodeRecords


@pytest.fixture
def records(tmp_path):
    return NodeRecords(tmp_path)


def test_a_node_is_running_until_it_is_done(records):
    assert records.read("n") is None
    records.begin("n")
    assert records.read("n")["status"] == "running"
    records.finish("n", {"code": {}}, {"out": {"": "1"}})
    assert records.read("n")["outputs"] == {"out": {"": "1"}}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', '{"format": 0, "status": "running"}', '{"status": 3}']
)
def test_a_damaged_record_is_none(records, tmp_path, text):
    (tmp_path / "n.json").write_text(text)
    assert records.read("n") is None
    (tmp_path / "n.json").write_text(json.dumps({"format": 1, "status": "done", "outputs": {}}))
    assert records.read("n") is None
