import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from numerai_kedro.cache import FoldStore


@pytest.fixture
def counted():
    calls = []

    def compute():
        calls.append(1)
        return np.arange(6, dtype=np.float32)

    return compute, calls


def test_the_same_key_is_computed_once_also_by_a_later_process(tmp_path, counted):
    compute, calls = counted
    for _ in range(3):
        predictions = FoldStore(tmp_path).predictions({"fit": "a", "era": 3}, compute)
        np.testing.assert_array_equal(predictions, np.arange(6))
    assert len(calls) == 1


def test_any_part_of_the_key_makes_another_piece(tmp_path, counted):
    compute, calls = counted
    store = FoldStore(tmp_path)
    store.predictions({"fit": "a", "era": 3}, compute)
    store.predictions({"fit": "a", "era": 4}, compute)
    store.predictions({"fit": "b", "era": 3}, compute)
    assert len(calls) == 3


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damaged_predictions_are_computed_again(tmp_path, counted, damage):
    compute, calls = counted
    FoldStore(tmp_path).predictions({"era": 3}, compute)
    (path,) = (tmp_path / "predictions").iterdir()
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-3] ^= 4
    path.write_bytes({"flip": content, "cut": content[:-5], "empty": b""}[damage])
    predictions = FoldStore(tmp_path).predictions({"era": 3}, compute)
    np.testing.assert_array_equal(predictions, np.arange(6))
    assert len(calls) == 2


def test_a_damaged_model_is_fitted_again(tmp_path):
    store, calls = FoldStore(tmp_path), []

    def fit():
        calls.append(1)
        return {"slope": 2.0}

    assert store.model({"k": 1}, fit) == {"slope": 2.0}
    (folder,) = (tmp_path / "models").iterdir()
    (folder / "content.pkl").write_bytes(b"x")
    assert store.model({"k": 1}, fit) == {"slope": 2.0}
    assert len(calls) == 2


def test_a_small_value_is_computed_once(tmp_path):
    calls = []
    for _ in range(2):
        assert FoldStore(tmp_path).value({"k": 1}, lambda: calls.append(1) or 7) == 7
    assert len(calls) == 1


def test_models_go_least_recently_used_first_and_predictions_stay(tmp_path):
    store = FoldStore(tmp_path)
    store.predictions({"k": 0}, lambda: np.zeros(9, np.float32))
    for number in range(4):
        store.model({"k": number}, lambda: "x" * 10_000)
    for number, folder in enumerate(store.sizes()):
        os.utime(folder, ns=(number, number))
    store.model({"k": 0}, lambda: pytest.fail("it is there"))  # used again: it stays
    sizes = store.sizes()
    freed = store.keep_within(sum(sizes.values()) / 2)
    assert freed >= sum(sizes.values()) / 2 - 1
    assert len(store.sizes()) == 2
    store.model({"k": 0}, lambda: pytest.fail("it was used last"))
    store.predictions({"k": 0}, lambda: pytest.fail("predictions stay"))
    assert store.keep_within(1e9) == 0


def test_binned_data_are_used_when_they_are_read_and_go_last(tmp_path):
    store = FoldStore(tmp_path)
    for number in range(3):
        store.file({"k": number}, lambda path: path.write_bytes(bytes(10_000)))
    for number, folder in enumerate(store.sizes()):
        os.utime(folder, ns=(number, number))
    store.file({"k": 0}, lambda path: pytest.fail("it is there"))
    store.keep_within(15_000)
    assert [store.has_file({"k": number}) for number in range(3)] == [True, False, False]


def test_a_model_that_is_marked_as_used_goes_last(tmp_path):
    store = FoldStore(tmp_path)
    for number in range(3):
        store.model({"k": number}, lambda: "x" * 10_000)
    for number, folder in enumerate(store.sizes()):
        os.utime(folder, ns=(number, number))
    store.touch({"k": 1})
    store.touch({"k": "absent"})
    store.keep_within(15_000)
    assert store.model({"k": 1}, lambda: pytest.fail("it was used last"))
    assert len(store.sizes()) == 1


def test_a_damaged_value_is_computed_again(tmp_path):
    store = FoldStore(tmp_path)
    store.value({"k": 1}, lambda: 207)
    (path,) = (tmp_path / "values").iterdir()
    path.write_text(path.read_text().replace("207", "208"))
    assert store.find({"k": 1}) is None
    assert store.value({"k": 1}, lambda: 207) == 207


def test_threads_that_ask_for_one_model_fit_it_once(tmp_path):
    calls, start = [], threading.Barrier(4)

    def ask(_):
        start.wait()
        return FoldStore(tmp_path).model({"k": 1}, lambda: calls.append(1) or "made")

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == ["made"] * 4
    assert len(calls) == 1
