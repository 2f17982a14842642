import numpy as np
import pytest

from numerai_kedro.cache import FoldStore
from numerai_kedro.cli.clean import free_space, usage_table
from numerai_kedro.errors import ConfigurationError
from numerai_kedro.files import folder_lock


@pytest.fixture
def store(tmp_path):
    fold_store = FoldStore(tmp_path / "06_models" / "fold_store")
    fold_store.model({"k": 1}, lambda: "x" * 2_000_000)
    fold_store.predictions({"k": 1}, lambda: np.zeros(250_000, np.float32))
    return fold_store


def test_every_place_is_shown_once_with_its_size(tmp_path, store):
    (tmp_path / "01_raw").mkdir()
    (tmp_path / "01_raw" / "train.parquet").write_bytes(bytes(3_000_000))
    lines = [" ".join(line.split()) for line in usage_table(tmp_path).splitlines()]
    assert "0.003 GB as downloaded (01_raw)" in lines
    models = "0.002 GB models of finished folds (06_models/fold_store/models) can go (--free)"
    assert models in lines
    assert "0.001 GB other models, predictions of folds (06_models)" in lines


def test_freeing_takes_models_and_leaves_predictions(tmp_path, store):
    assert free_space(tmp_path) == "0.002 GB freed"
    assert store.sizes() == {}
    store.predictions({"k": 1}, lambda: pytest.fail("it is kept"))
    assert free_space(tmp_path) == "0.000 GB freed"


def test_a_folder_in_use_is_left_alone(tmp_path, store):
    with folder_lock(tmp_path), pytest.raises(ConfigurationError, match="another run"):
        free_space(tmp_path)
    assert store.sizes()


def test_freeing_takes_stores_of_an_earlier_version(tmp_path, store):
    aside = tmp_path / "earlier_version" / "06_models"
    aside.mkdir(parents=True)
    (aside / "model").write_bytes(bytes(4_000_000))
    shown = "0.004 GB models and decisions of an earlier version (earlier_version) can go (--free)"
    assert shown in " ".join(usage_table(tmp_path).split())
    assert free_space(tmp_path) == "0.006 GB freed"
    assert not aside.parent.exists()
