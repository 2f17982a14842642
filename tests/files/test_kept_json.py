"""Values with their digests: every flipped bit is seen, and what has a copy is repaired."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.damage import flip

from numerai_kedro.errors import StoreError
from numerai_kedro.files.kept_json import find_kept, forget_kept, read_kept, write_kept

VALUE = {"rate": 0.01, "eras": [1, 2], "name": "trial 5", "nothing": None}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept.json"


def test_every_flipped_bit_is_seen_or_changes_no_value(path):
    write_kept(path, VALUE)
    for place in range(path.stat().st_size):
        for bit in range(8):
            flip(path, place, bit)
            assert find_kept(path) in (None, VALUE)  # white space is no part of the value
            flip(path, place, bit)
    assert read_kept(path) == VALUE


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=json_values)
def test_what_is_written_is_read(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("kept") / "value.json"
    write_kept(path, value)
    assert read_kept(path) == value


def test_tuples_numbers_as_keys_and_nan_are_kept_as_json_has_them(path):
    write_kept(path, {"a": (1, 2), 10: "ten", 9: math.nan})
    value = read_kept(path)
    assert value["a"] == [1, 2]
    assert value["10"] == "ten"
    assert math.isnan(value["9"])


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"value": 1}', "[" * 200_000])
def test_what_is_torn_or_of_another_shape_is_damaged(path, text):
    path.write_text(text)
    with pytest.raises(StoreError, match=r"kept\.json: damaged"):
        read_kept(path)
    assert find_kept(path) is None


@pytest.mark.parametrize("damage", ["flipped", "torn", "gone"])
def test_damage_is_repaired_from_the_copy(path, damage):
    write_kept(path, VALUE, copied=True)
    if damage == "flipped":
        flip(path, path.read_bytes().index(b"trial"))
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:20])
    else:
        path.unlink()
    assert read_kept(path, copied=True) == VALUE
    assert read_kept(path) == VALUE


@pytest.mark.parametrize("damage", ["flipped", "torn", "gone", "of before"])
def test_a_copy_that_is_damaged_or_of_before_is_made_again(path, damage):
    write_kept(path, "before", copied=True)
    copy = path.with_name("kept.json.copy")
    of_before = copy.read_bytes()
    write_kept(path, VALUE, copied=True)
    whole = copy.read_bytes()
    if damage == "gone":
        copy.unlink()
    else:
        spoilt = {"flipped": whole.replace(b"0", b"1"), "torn": whole[:9], "of before": of_before}
        copy.write_bytes(spoilt[damage])
    assert read_kept(path, copied=True) == VALUE
    assert copy.read_bytes() == path.read_bytes() == whole


def test_damage_of_both_is_an_error(path):
    write_kept(path, VALUE, copied=True)
    for file in (path, path.with_name("kept.json.copy")):
        flip(file, file.read_bytes().index(b"trial"))
    with pytest.raises(StoreError):
        read_kept(path, copied=True)


def test_what_is_forgotten_is_gone_with_its_copy(path):
    write_kept(path, VALUE, copied=True)
    forget_kept(path)
    with pytest.raises(FileNotFoundError):
        read_kept(path, copied=True)
