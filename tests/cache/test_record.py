"""A record is whole, or is treated as missing."""

import pytest

from numerai_kedro.cache.record import NodeRecords
from numerai_kedro.files.kept_json import write_kept


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
    "value", [None, [], {"format": 2}, {"format": 0, "status": "running"}, {"status": 3}]
)
def test_a_record_of_another_shape_is_none(records, tmp_path, value):
    write_kept(tmp_path / "n.json", value)
    assert records.read("n") is None
    write_kept(tmp_path / "n.json", {"format": 2, "status": "done", "outputs": {}})
    assert records.read("n") is None


def test_a_torn_record_is_none(records, tmp_path):
    records.begin("n")
    (tmp_path / "n.json").write_text("{")
    assert records.read("n") is None


def test_outputs_are_those_of_nodes_that_are_done(records):
    records.finish("a", {"code": {}}, {"shared": {"": "1"}, "own": {"": "2"}})
    records.finish("b", None, {"shared": {"": "3"}})
    records.begin("c")
    assert records.outputs() == {"shared": [{"": "1"}, {"": "3"}], "own": [{"": "2"}]}
