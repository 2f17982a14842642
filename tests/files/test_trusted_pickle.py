import hashlib
import json
import pickle

import numpy as np
import pytest

from numerai_kedro.errors import StoreError
from numerai_kedro.files.trusted_pickle import CONTENT, MANIFEST, read_trusted, write_trusted
from numerai_kedro.models import lightgbm


class Poison:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_values_come_back(tmp_path):
    value = {
        "weights": np.arange(5, dtype=np.float32),
        "names": ["a", "b"],
        "scalar": np.float64(2),
    }
    write_trusted(tmp_path / "model", value)
    back = read_trusted(tmp_path / "model")
    np.testing.assert_array_equal(back["weights"], value["weights"])
    assert back["names"] == ["a", "b"]


def test_a_changed_byte_is_refused_before_it_is_read(tmp_path):
    write_trusted(tmp_path / "model", {"a": 1})
    path = tmp_path / "model" / CONTENT
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="changed or damaged"):
        read_trusted(tmp_path / "model")


def test_a_poisoned_file_with_a_manifest_of_its_own_runs_nothing(tmp_path):
    touched = tmp_path / "touched"
    content = pickle.dumps(Poison(touched))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / CONTENT).write_bytes(content)
    manifest = {"sha256": hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="does not write"):
        read_trusted(folder)
    assert not touched.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [("numerai_kedro.models.lightgbm", "np.load"), ("numerai_kedro.models", "import_module")],
)
def test_our_own_modules_lend_no_foreign_functions(tmp_path, module, name):
    content = f"c{module}\n{name}\n.".encode()
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / CONTENT).write_bytes(content)
    manifest = {"sha256": hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="does not write"):
        read_trusted(folder)


@pytest.mark.parametrize("name", ["LightGBM", "_binned"])
def test_no_attribute_of_a_class_or_a_function_is_set(tmp_path, name):
    content = f"cnumerai_kedro.models.lightgbm\n{name}\n(dVpoison\nI1\nsb.".encode()
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / CONTENT).write_bytes(content)
    manifest = {"sha256": hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="sets attributes of"):
        read_trusted(folder)
    assert not hasattr(getattr(lightgbm, name), "poison")


def test_half_a_model_is_named(tmp_path):
    write_trusted(tmp_path / "model", {"a": 1})
    (tmp_path / "model" / MANIFEST).unlink()
    with pytest.raises(StoreError, match="incomplete"):
        read_trusted(tmp_path / "model")
