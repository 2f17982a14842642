import pandas as pd
import pytest
from kedro.io import DatasetError

from numerai_kedro.datasets.outcome import OutcomeDataset
from numerai_kedro.errors import Failed, StoreError

JSON = "numerai_kedro.datasets.atomic_file.JSONDataset"


@pytest.fixture
def dataset(tmp_path):
    return OutcomeDataset(dataset={"type": JSON, "filepath": str(tmp_path / "value.json")})


def test_a_value_and_a_reason_take_the_same_place(dataset):
    dataset.save({"a": 1})
    assert dataset.load() == {"a": 1}
    failed = Failed(
        "fit", "out of memory", kind="resource", remedies=({"remedy": "half the rows"},)
    )
    dataset.save(failed)
    assert dataset.load() == failed
    dataset.save({"a": 2})
    assert dataset.load() == {"a": 2}


def test_what_was_never_made_is_a_reason_not_a_crash(dataset):
    assert not dataset.exists()
    loaded = dataset.load()
    assert loaded.kind == "not run"
    assert "value.json was never made" in loaded.symptom


def test_a_reason_alone_counts_as_there(dataset):
    dataset.save(Failed("fit", "x"))
    assert dataset.exists()


def test_frames_pass_through(tmp_path):
    kind = "numerai_kedro.datasets.atomic_file.ParquetDataset"
    dataset = OutcomeDataset(dataset={"type": kind, "filepath": str(tmp_path / "x.parquet")})
    frame = pd.DataFrame({"id": ["a"], "prediction": [0.5]})
    dataset.save(frame)
    pd.testing.assert_frame_equal(dataset.load(), frame)


def test_a_reason_is_said_when_it_is_saved(dataset, caplog):
    dataset.save(Failed("fit", "out of memory"))
    assert "value: out of memory" in caplog.text


def test_where_values_stay_the_incumbent_stays_and_is_tried_again(tmp_path, caplog):
    settings = {"type": JSON, "filepath": str(tmp_path / "value.json")}
    dataset = OutcomeDataset(dataset=settings, keeps=True)
    dataset.save(Failed("fit", "no memory"))
    assert isinstance(dataset.load(), Failed)
    dataset.save({"a": 1})
    parts = dataset.contents()
    dataset.save(Failed("fit", "no memory"))
    assert dataset.load() == {"a": 1}
    assert "the last fit failed, so the one before it stays" in caplog.text
    assert dataset.contents() == parts
    assert dataset.unfinished()
    dataset.save({"a": 2})
    assert dataset.unfinished() is None


@pytest.mark.parametrize(
    ("error", "type_"),
    [(ImportError, Failed), (OSError, Failed), (StoreError, Failed), (KeyError, None)],
)
def test_a_value_whose_library_or_file_is_gone_is_a_reason_and_a_bug_is_not(
    dataset, monkeypatch, error, type_
):
    dataset.save({"a": 1})

    def gone(self, path):
        raise error("libgomp.so.1 is missing")

    monkeypatch.setattr("numerai_kedro.datasets.atomic_file.JSONDataset._read", gone)
    if type_ is None:
        with pytest.raises(DatasetError):
            dataset.load()
    else:
        assert dataset.load() == Failed(
            "value", "value.json cannot be read: libgomp.so.1 is missing"
        )
