import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.cache.content import UnknownContentError
from numerai_kedro.cache.fingerprint import content_changes, differences, one_line, plain
from numerai_kedro.files import digest_json
from numerai_kedro.strict import Strict


class Inner(Strict):
    names: set[str]


@dataclass
class Point:
    x: int


def test_equal_values_of_any_kind_become_equal_json():
    value = {"b": (1, 2.5), "a": Inner(names={"y", "x"}), "p": Point(3), "f": Path("a/b")}
    assert plain(value) == {
        "a": {"names": ["x", "y"]},
        "b": [1, 2.5],
        "f": "a/b",
        "p": {"x": 3},
    }
    assert plain({"day": date(2026, 1, 2), "n": np.int64(3)}) == {"day": "2026-01-02", "n": 3}
    with pytest.raises(UnknownContentError, match="type object cannot be compared"):
        plain(object())
    digest_json(plain({"nan": math.nan, "inf": math.inf, "call": math.sin, "class": Point}))


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_like, json_like)
def test_different_json_stays_different(one, other):
    if one != other:
        assert plain(one) != plain(other)


NOTHING = {"parameters": {}, "inputs": {}, "code": {}, "versions": {}, "entries": {}, "bound": {}}


@pytest.mark.parametrize(
    ("part", "old", "new", "said"),
    [
        ("parameters", {"m": {"leaves": 31}}, {"m": {"leaves": 63}}, "parameter m.leaves 31 -> 63"),
        ("parameters", {"m": {}}, {"m": {"new": "x"}}, "parameter m.new none -> x"),
        ("code", {"a.py": "1"}, {"a.py": "2"}, "code of a.py changed"),
        ("versions", {"numpy": "1"}, {"numpy": "2"}, "version of numpy 1 -> 2"),
        ("entries", {"e": {"x": 1}}, {"e": {"x": 2}}, "catalog entry e.x 1 -> 2"),
        ("bound", {"name": "a"}, {"name": "b"}, "name a -> b"),
        ("inputs", {"raw": {"": "1"}}, {"raw": {"": "2"}}, "raw changed"),
    ],
)
def test_a_difference_is_named(part, old, new, said):
    assert differences(NOTHING | {part: old}, NOTHING | {part: new}) == [said]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"era 1": "a"}, {"era 1": "a", "era 2": "b"}, ["panel: era 2 is new"]),
        (
            {"era 1": "a", "era 2": "b", "era 3": "c"},
            {"era 1": "x", "era 2": "y", "era 4": "z"},
            ["panel: era 4 is new, era 1 to era 2 (2) changed, era 3 is gone"],
        ),
        ({"a": "1", "b": "2"}, {"a": "3", "b": "4"}, ["panel changed"]),
        ({}, {"": "1"}, ["panel is new"]),
        ({"": "1"}, {}, ["panel is missing"]),
        ({"": "1"}, {"": "1"}, []),
    ],
)
def test_parts_that_changed_are_named(old, new, said):
    assert content_changes("panel", old, new) == said


def test_many_reasons_are_counted():
    assert one_line("abcde") == "a; b; c; and 2 more"
    assert one_line("ab") == "a; b"
