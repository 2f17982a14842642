"""Entries that are opened rather than loaded, and a model that only this project reads."""

import pytest
from kedro.io import DatasetError

from numerai_kedro.datasets.stores import (
    FoldStoreDataset,
    LearnedVersionsDataset,
    MachineDataset,
    ModelDataset,
)
from numerai_kedro.models.live_fit import LiveFit


def test_what_is_only_read_refuses_to_be_saved(tmp_path):
    for kind in (FoldStoreDataset, MachineDataset, LearnedVersionsDataset):
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


def test_what_fits_have_learned_from_is_known_without_opening_them(tmp_path):
    versions = LearnedVersionsDataset(filepath=str(tmp_path))
    assert versions.load() == {}
    for name, version in (("a", "v5.3"), ("b", "v5.4"), ("torn", "v5.3")):
        fit = LiveFit((), "c", version)
        ModelDataset(filepath=str(tmp_path / name / "model")).save(fit)
    ModelDataset(filepath=str(tmp_path / "older" / "model")).save(["a model of an older project"])
    (tmp_path / "torn" / "model" / "manifest.json").write_text("{")
    (tmp_path / "b" / "model" / "content.pkl").write_bytes(b"is not read")
    assert versions.load() == {"a": "v5.3", "b": "v5.4"}
    assert versions.contents() == versions.load()
