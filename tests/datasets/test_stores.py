"""Entries that are opened rather than loaded, and a model that only this project reads."""

import pytest
from kedro.io import DatasetError

from numerai_kedro.datasets.stores import FoldStoreDataset, MachineDataset, ModelDataset


def test_what_is_only_read_refuses_to_be_saved(tmp_path):
    for kind in (FoldStoreDataset, MachineDataset):
        dataset = kind(filepath=str(tmp_path))
        dataset.load()
        with pytest.raises(DatasetError):
            dataset.save("x")


def test_a_model_comes_back_and_a_changed_one_does_not(tmp_path):
    dataset = ModelDataset(filepath=str(tmp_path / "model"))
    with pytest.raises(DatasetError, match="does not exist yet"):
        dataset.load()
    dataset.save({"weights": [1.0, 2.0]})
    assert dataset.load() == {"weights": [1.0, 2.0]}
    for path in (tmp_path / "model").iterdir():
        if path.suffix != ".json":
            path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DatasetError, match="was changed or damaged"):
        dataset.load()
