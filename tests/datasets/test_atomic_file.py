import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError
from tests.folds import folds_with

from numerai_kedro.datasets.atomic_file import (
    FigureDataset,
    JSONDataset,
    ParquetDataset,
    ReadingsDataset,
    TypedDataset,
)
from numerai_kedro.errors import StoreError


def test_the_same_value_gives_the_same_bytes(tmp_path):
    first, second = (JSONDataset(filepath=str(tmp_path / name)) for name in "ab")
    first.save({"b": 1, "a": [1.5, float("nan")]})
    second.save({"a": [1.5, float("inf")], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert first.load() == {"a": [1.5, None], "b": 1}


def test_a_flipped_bit_in_a_table_is_never_read(tmp_path):
    path = tmp_path / "x.parquet"
    dataset = ParquetDataset(filepath=str(path))
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"prediction": rng.normal(size=5_000)})
    dataset.save(frame)
    pd.testing.assert_frame_equal(dataset.load(), frame)
    content, n_refused = path.read_bytes(), 0
    for offset in rng.integers(4, len(content) - 4, size=60):
        flipped = bytearray(content)
        flipped[offset] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            loaded = dataset.load()
        except DatasetError:
            n_refused += 1
            continue
        pd.testing.assert_frame_equal(loaded, frame)
    assert n_refused > 50


def test_figures_come_back_and_preview(tmp_path):
    dataset = FigureDataset(filepath=str(tmp_path / "plot.json"))
    dataset.save(go.Figure(go.Scatter(x=[1, 2], y=[3, 4])))
    assert list(dataset.load().data[0].y) == [3, 4]
    assert json.loads(json.dumps(dataset.preview()))["data"][0]["x"] == [1, 2]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"absent\.json does not exist yet"):
        JSONDataset(filepath=str(tmp_path / "absent.json")).load()


def test_a_damaged_description_of_columns_is_a_sentence(tmp_path):
    table = pa.Table.from_pandas(pd.DataFrame({"value": [1.0, 2.0]}))
    described = table.schema.metadata[b"pandas"]
    broken = described.replace(b'"numpy_type": "float64"', b'"numpy_type": "Lloat64"')
    assert broken != described
    path = tmp_path / "frame.parquet"
    pq.write_table(table.replace_schema_metadata({b"pandas": broken}), path)
    with pytest.raises(DatasetError, match="Lloat64") as refused:
        ParquetDataset(filepath=str(path)).load()
    assert isinstance(refused.value.__cause__, StoreError)


def test_a_typed_record_comes_back_as_its_object_in_plain_json(tmp_path):
    path = tmp_path / "folds.json"
    dataset = TypedDataset(filepath=str(path), kind="numerai_kedro.data.folds.Folds")
    folds = folds_with(test=[{"name": "test-1", "train": (1, 64), "test": (81, 100)}])
    dataset.save(folds)
    assert dataset.load() == folds
    assert json.loads(path.read_text())["test"] == [
        {"name": "test-1", "train": [1, 64], "test": [81, 100]}
    ]
    assert json.loads(json.loads(json.dumps(dataset.preview())))["history"] == [1, 130]


@pytest.mark.parametrize(
    ("written", "flipped"),
    [(b'"purge_eras": 16', b'"purge_eraS": 16'), (b'"size": "tiny"', b'"size": 7'), (b"{", b"[")],
)
def test_a_damaged_typed_record_is_a_sentence(tmp_path, written, flipped):
    path = tmp_path / "folds.json"
    dataset = TypedDataset(filepath=str(path), kind="numerai_kedro.data.folds.Folds")
    dataset.save(folds_with())
    path.write_bytes(path.read_bytes().replace(written, flipped, 1))
    with pytest.raises(DatasetError, match=r"folds\.json: cannot be read") as refused:
        dataset.load()
    assert isinstance(refused.value.__cause__, StoreError)


def test_damaged_readings_are_taken_again_and_others_make_nothing_stale(tmp_path):
    path = tmp_path / "readings.json"
    dataset = ReadingsDataset(filepath=str(path))
    assert dataset.unfinished() == "is missing"
    dataset.save({"seconds": 1.0})
    before = dataset.contents()
    assert dataset.unfinished() is None
    dataset.save({"seconds": 2.0})
    assert dataset.contents() == before
    path.write_bytes(b"{seconds")
    assert dataset.unfinished() == "is damaged"
