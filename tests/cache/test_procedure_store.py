"""How many configurations a slot has tried, and among how many one has passed."""

import pytest
from tests.damage import flip

from numerai_kedro.files.kept_json import write_kept
from numerai_kedro.gate.champion_store import ProcedureStore


@pytest.fixture
def store(tmp_path):
    return ProcedureStore(tmp_path)


def test_a_slot_counts_its_own_configurations_of_the_last_year_once(store):
    for slot, procedure, number in [
        ("demo", "a", 1000),
        ("demo", "b", 1300),
        ("demo", "b", 1305),
        ("demo", "c", 1400),
        ("other", "d", 1400),
    ]:
        store.note_tried(slot, procedure, number)
    assert store.count_since("demo", 1400) == 2  # a is 80 weeks ago
    assert store.count_since("demo", 1390) == 1  # c comes later
    assert store.count_since("demo", 1400, weeks=100) == 3
    assert store.count_since("nobody", 1400) == 0


def test_a_configuration_keeps_the_fewest_among_which_it_passed(store):
    assert store.passed_with("demo", "a") is None
    store.note_passed("demo", "a", 3)
    store.note_passed("demo", "a", 60)
    assert store.passed_with("demo", "a") == 3
    store.note_passed("demo", "a", 2)
    store.note_tried("demo", "a", 1400)
    assert store.passed_with("demo", "a") == 2
    assert store.passed_with("other", "a") is None


def test_a_damaged_file_is_repaired_from_its_copy(store):
    store.note_passed("demo", "a", 3)
    (path,) = store.folder.glob("slots/demo/*.json")
    flip(path)
    assert store.passed_with("demo", "a") == 3


@pytest.mark.parametrize("value", [[1], {"rounds": 3}, {"rounds": ["x"]}])
def test_a_file_of_another_shape_begins_anew(store, value):
    store.note_tried("demo", "a", 1400)
    (path,) = store.folder.glob("slots/demo/*.json")
    write_kept(path, value, copied=True)
    assert store.count_since("demo", 1400) == 0
    assert store.passed_with("demo", "a") is None
    store.note_tried("demo", "a", 1400)
    assert store.count_since("demo", 1400) == 1


def test_what_slots_tried_is_no_configuration_of_all(store):
    store.register("a", {"entry": "ensemble"})
    store.note_tried("demo", "b", 1400)
    assert store.count() == 1
