"""A toy pipeline on real files: what runs again, what does not, and what is logged."""

import json
import os
from functools import partial

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner, ThreadRunner
from tests.damage import overwrite

from numerai_kedro.cache.record import NodeRecords
from numerai_kedro.cache.runner import incremental_run
from numerai_kedro.errors import ConfigurationError, Failed, Stopped, StoreError

KIND = "numerai_kedro.datasets.atomic_file.JSONDataset"
RAN = []


def double(number, factor):
    """Multiply."""
    RAN.append("double")
    return number * factor["by"]


def sign(number):
    """Forget the size."""
    RAN.append("sign")
    return number > 0


def report(positive):
    """Look at the sign only."""
    RAN.append("report")
    return {"positive": positive}


def ask(question):
    """Something that only the world knows."""
    RAN.append("ask")
    return question


def fail_or_not(number, factor):
    """An outcome."""
    RAN.append("try")
    return Failed("try", "no luck") if factor["by"] == 0 else number


def both(number):
    """Two outputs."""
    RAN.append("both")
    return number, -number


PIPELINE = Pipeline(
    [
        Node(double, ["number", "params:factor"], "doubled", name="double"),
        Node(sign, "doubled", "positive", name="sign"),
        Node(report, "positive", "report", name="report"),
    ]
)


class Toy:
    """Runs a pipeline on files in a folder."""

    def __init__(self, folder):
        self.folder, self.factor, self.run_all = folder, 2, False
        self.runner = SequentialRunner()
        self.extra = {}
        self.write("number", 1)

    def write(self, name, value):
        (self.folder / f"{name}.json").write_text(json.dumps(value))

    def read(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())

    def run(self, pipeline=PIPELINE):
        """Names of the nodes that ran, in order."""
        RAN.clear()
        entries = {
            name: {"type": KIND, "filepath": str(self.folder / f"{name}.json")}
            for name in pipeline.datasets()
            if not name.startswith("params:")
        }
        catalog = DataCatalog.from_config(entries | self.extra)
        catalog["params:factor"] = {"by": self.factor, "unread": 1}
        catalog["params:incremental"] = {
            "run_all": self.run_all,
            "cache_limit_gb": 1,
            "keep_fits_of_other_code": False,
        }
        self.runner._run = partial(incremental_run, self.runner, self.folder)
        self.runner.run(pipeline, catalog)
        return list(RAN)

    def reasons(self):
        return json.loads((self.folder / ".incremental/last_run.json").read_text())["ran"]


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)


ALL = ["double", "sign", "report"]


def test_a_second_run_runs_nothing(toy):
    assert toy.run() == ALL
    assert toy.run() == []
    assert toy.reasons() == {}


def test_a_changed_parameter_is_named_with_both_values(toy):
    toy.run()
    toy.factor = -3
    assert toy.run() == ALL
    assert toy.reasons() == {
        "double": "parameter factor.by 2 -> -3",
        "sign": "doubled changed",
        "report": "positive changed",
    }


def test_the_wave_stops_where_an_output_comes_out_identical(toy):
    toy.run()
    toy.factor = 5
    assert toy.run() == ["double", "sign"]
    assert toy.run() == []


def test_a_touched_input_runs_nothing_and_a_changed_one_does(toy):
    toy.run()
    os.utime(toy.folder / "number.json")
    assert toy.run() == []
    toy.write("number", -1)
    assert toy.run() == ALL
    assert toy.reasons()["double"] == "number changed"


def test_an_output_that_is_missing_or_changed_by_hand_is_made_again(toy):
    toy.run()
    (toy.folder / "doubled.json").unlink()
    assert toy.run() == ["double"]
    assert toy.reasons() == {"double": "output doubled is missing"}
    toy.write("doubled", -7)
    assert toy.run() == ["double"]
    assert toy.reasons() == {"double": "output doubled changed by hand"}
    assert toy.read("doubled") == 2


def test_run_all_runs_all(toy):
    toy.run()
    toy.run_all = True
    assert toy.run() == ALL
    toy.run_all = False
    assert toy.run() == []


def test_a_node_that_asks_the_world_runs_always_and_what_follows_only_if_its_answer_changed(toy):
    pipeline = Pipeline(
        [
            Node(ask, "number", "answer", name="ask", tags=["always"]),
            Node(sign, "answer", "positive", name="sign"),
        ]
    )
    assert toy.run(pipeline) == ["ask", "sign"]
    assert toy.run(pipeline) == ["ask"]
    toy.write("number", 3)
    assert toy.run(pipeline) == ["ask", "sign"]


def test_a_node_that_died_between_two_outputs_is_not_taken_for_finished(toy, monkeypatch):
    pipeline = Pipeline([Node(both, "number", ["a", "b"], name="both")])
    toy.run(pipeline)
    toy.write("number", 4)
    saved = []

    def dies(self, data, handle):
        saved.append(data)
        if len(saved) == 2:
            raise KeyboardInterrupt
        handle.write(json.dumps(data).encode())

    with monkeypatch.context() as patch:
        patch.setattr("numerai_kedro.datasets.atomic_file.JSONDataset._write", dies)
        with pytest.raises(Stopped, match=r"stopped by Ctrl-C; what is finished stays"):
            toy.run(pipeline)
    toy.write("number", 1)  # even where the inputs are again those of the last whole run
    assert toy.run(pipeline) == ["both"]
    assert toy.reasons() == {"both": "did not finish last time"}
    assert (toy.read("a"), toy.read("b")) == (1, -1)


def test_a_failed_outcome_is_taken_up_again(toy):
    outcome = {
        "type": "numerai_kedro.datasets.outcome.OutcomeDataset",
        "dataset": {"type": KIND, "filepath": str(toy.folder / "tried.json")},
    }
    toy.extra = {"tried": outcome}
    pipeline = Pipeline([Node(fail_or_not, ["number", "params:factor"], "tried", name="try")])
    toy.factor = 0
    toy.run(pipeline)
    assert toy.run(pipeline) == ["try"]
    assert toy.reasons() == {"try": "tried ended without a value last time"}
    toy.factor = 1
    assert toy.run(pipeline) == ["try"]
    assert toy.run(pipeline) == []


def test_changed_settings_of_an_entry_count_and_its_place_does_not(toy, tmp_path_factory):
    parquet = "numerai_kedro.datasets.downloaded_file.DownloadedFileDataset"
    entry = {"type": parquet, "filepath": str(toy.folder / "number.json"), "loads": "json"}
    toy.extra = {"number": entry}
    toy.run()
    toy.extra = {"number": entry | {"metadata": {"kedro-viz": {"layer": "raw"}}}}
    assert toy.run() == []
    toy.extra = {}
    assert toy.run() == ["double"]
    assert "catalog entry number.loads json -> none" in toy.reasons()["double"]


def test_what_a_partial_brings_along_counts(toy):
    def pipeline(by):
        bound = partial(double, factor={"by": by})
        bound.__name__ = "double"
        return Pipeline([Node(bound, "number", "doubled", name="double")])

    assert toy.run(pipeline(2)) == ["double"]
    assert toy.run(pipeline(2)) == []
    assert toy.run(pipeline(3)) == ["double"]
    assert toy.reasons() == {"double": "factor.by 2 -> 3"}


def test_threads_give_the_same(toy):
    toy.runner = ThreadRunner(max_workers=4)
    assert toy.run() == ALL
    assert toy.run() == []
    toy.factor = -1
    assert toy.run() == ALL


def test_an_error_is_raised_and_what_was_finished_stays_finished(toy):
    def pipeline(function):
        return Pipeline([*PIPELINE.nodes[:1], Node(function, "doubled", "x", name="x")])

    def breaks(number):
        raise ConfigurationError("no")

    for runner in (SequentialRunner(), ThreadRunner()):
        toy.runner = runner
        toy.factor += 1
        with pytest.raises(ConfigurationError):
            toy.run(pipeline(breaks))
        assert toy.run() == ALL[1:] if toy.factor == 3 else ["sign"]


def test_a_library_entry_is_compared_by_its_file_and_one_without_content_runs_always(toy):
    text = {"type": "kedro_datasets.json.JSONDataset", "filepath": str(toy.folder / "number.json")}
    toy.extra = {"number": text}
    toy.run()
    assert toy.run() == []
    toy.write("number", -9)
    assert toy.run() == ALL
    toy.extra = {"number": {"type": "kedro.io.MemoryDataset", "data": 1}}
    toy.run()
    assert toy.run() == ["double"]
    assert toy.reasons()["double"] == "input number has no content that could be compared"


def test_other_wiring_of_the_same_entries_counts(toy):
    def subtract(a, b):
        RAN.append("subtract")
        return a - b

    def pipeline(*inputs):
        return Pipeline([Node(subtract, list(inputs), "difference", name="subtract")])

    toy.write("other", 5)
    assert toy.run(pipeline("number", "other")) == ["subtract"]
    assert toy.run(pipeline("other", "number")) == ["subtract"]
    assert toy.reasons() == {"subtract": "it is wired differently"}
    assert toy.read("difference") == 4


def test_the_code_of_an_entry_inside_an_entry_counts(toy, monkeypatch):
    from numerai_kedro.cache.code import CodeReader

    digested = []
    follow = CodeReader.of

    def of(self, functions):
        digested.extend(functions)
        return follow(self, functions)

    monkeypatch.setattr(CodeReader, "of", of)
    outcome = {
        "type": "numerai_kedro.datasets.outcome.OutcomeDataset",
        "dataset": {"type": KIND, "filepath": str(toy.folder / "doubled.json")},
    }
    toy.extra = {"doubled": outcome}
    toy.run()
    record = NodeRecords(toy.folder / ".incremental" / "nodes").read("double")
    assert KIND in digested
    assert "datasets/atomic_file.py" in record["fingerprint"]["code"]


def test_a_flipped_bit_in_an_output_is_made_again(toy):
    """Size, time and inode are as they were."""
    toy.run()
    overwrite(toy.folder / "doubled.json", b"2", b"3")
    assert toy.run() == ["double"]
    assert toy.read("doubled") == 2


def test_a_flipped_bit_in_what_another_run_made_is_refused(toy):
    toy.run()
    overwrite(toy.folder / "doubled.json", b"2", b"3")
    with pytest.raises(
        StoreError, match=r"doubled\.json: not what was written .*--pipeline=weekly"
    ):
        toy.run(PIPELINE.filter(node_names=["sign"]))
    assert toy.run() == ["double"]
    assert toy.run(PIPELINE.filter(node_names=["sign"])) == []


def test_a_node_that_asks_the_world_reads_no_damaged_input(toy):
    pipeline = Pipeline(
        [
            Node(double, ["number", "params:factor"], "doubled", name="double"),
            Node(ask, "doubled", "answer", name="ask", tags=["always"]),
        ]
    )
    toy.run(pipeline)
    overwrite(toy.folder / "doubled.json", b"2", b"3")
    with pytest.raises(StoreError, match=r"doubled\.json"):
        toy.run(pipeline.filter(node_names=["ask"]))


def test_what_a_node_that_asks_the_world_made_is_compared_too(toy):
    pipeline = Pipeline(
        [
            Node(ask, "number", "answer", name="ask", tags=["always"]),
            Node(sign, "answer", "positive", name="sign"),
        ]
    )
    toy.run(pipeline)
    overwrite(toy.folder / "answer.json", b"1", b"3")
    with pytest.raises(StoreError, match=r"answer\.json"):
        toy.run(pipeline.filter(node_names=["sign"]))


def test_a_damaged_value_that_may_be_missing_loads_as_the_reason(toy):
    outcome = {
        "type": "numerai_kedro.datasets.outcome.OutcomeDataset",
        "dataset": {"type": KIND, "filepath": str(toy.folder / "doubled.json")},
    }
    toy.extra = {"doubled": outcome}
    toy.run()
    overwrite(toy.folder / "doubled.json", b"2", b"3")
    values = []

    def tell(doubled):
        values.append(doubled)
        return 1

    toy.run(Pipeline([Node(tell, "doubled", "told", name="tell", tags=["always"])]))
    assert "doubled.json: not what was written" in values[0].symptom


def test_what_another_run_makes_at_this_moment_is_not_refused(toy):
    toy.run()
    records = NodeRecords(toy.folder / ".incremental" / "nodes")
    records.begin("double")
    overwrite(toy.folder / "doubled.json", b"2", b"3")
    assert toy.run(PIPELINE.filter(node_names=["sign"])) == ["sign"]


def test_a_flipped_record_runs_its_node(toy):
    toy.run()
    overwrite(toy.folder / ".incremental/nodes/double.json", b'"outputs"', b'"outqutz"')
    assert toy.run() == ["double"]
    assert toy.reasons() == {"double": "never ran here"}
