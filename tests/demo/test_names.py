import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.demo.names import (
    GROUPS,
    RELEASES,
    feature_names,
    stock_ids,
    target_names,
)
from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.demo.truth import draw_truth

# Sizes of the sets in the real v5.3 features.json that this project scales and keeps at full width.
SIZES_OF_V53 = {
    "small": 42,
    "medium": 780,
    "all": 3_555,
    "quantum": 807,
    "faith": 372,
    "midnight": 244,
    "rain": 666,
    "sunshine": 325,
    "v2_equivalent_features": 304,
    "v3_equivalent_features": 1_000,
    "fncv3_features": 400,
}


@given(
    era=st.integers(1, 1_500),
    salt=st.sampled_from(["", "1412", "1413"]),
    first=st.integers(0, 10**6),
    n=st.integers(1, 3_000),
)
def test_ids_are_distinct_in_an_era_and_have_numerais_form(era, salt, first, n):
    ids = stock_ids(0, era, salt, np.arange(first, first + n))
    assert len(set(ids)) == n
    assert all(re.fullmatch("n[0-9a-f]{15}", text) for text in ids)


def test_ids_tell_neither_stock_nor_order():
    stocks = np.arange(2_000)
    orders = [np.argsort(np.argsort(stock_ids(0, era, "", stocks))) for era in (1, 2)]
    for order in orders:
        assert abs(np.corrcoef(order, stocks)[0, 1]) < 0.08
    assert abs(np.corrcoef(*orders)[0, 1]) < 0.08


@pytest.mark.parametrize("change", [{"seed": 1}, {"era": 6}, {"salt": "1412"}])
def test_ids_change_whole_with_seed_era_and_round(change):
    stocks = np.arange(2_000)
    ids = stock_ids(**{"seed": 0, "era": 5, "salt": "1411", "identities": stocks})
    other = stock_ids(**({"seed": 0, "era": 5, "salt": "1411", "identities": stocks} | change))
    assert not set(ids) & set(other)


def test_feature_names_are_distinct_sorted_and_of_numerais_form():
    names = feature_names(3_555, np.random.default_rng(0))
    assert len(set(names)) == 3_555
    assert names == sorted(names)
    assert all(re.fullmatch("feature_[a-z]+_[a-z]+_[a-z]+", name) for name in names)


def test_the_41_targets_are_those_of_v53():
    names = target_names()
    assert len(names) == len(set(names)) == 41
    assert names[0] == "target"
    assert {"target_ender_20", "target_ender_60", "target_teager2b_60"} <= set(names)


def test_full_has_the_19_sets_at_their_real_sizes():
    sets = draw_truth(SIZES["full"], 0).sets
    assert len(sets) == 19
    assert {name: len(sets[name]) for name in SIZES_OF_V53} == SIZES_OF_V53


@pytest.mark.parametrize("size", list(SIZES))
def test_sets_hold_known_features_and_groups_part_most_of_them(size):
    sets = draw_truth(SIZES[size], 0).sets
    everything = sets["all"]
    assert len(everything) == SIZES[size].n_features
    for members in sets.values():
        assert members
        assert len(set(members)) == len(members)
        assert set(members) <= set(everything)
    for parts, least in ((GROUPS, 0.7), (RELEASES, 0.6)):
        members = [name for part in parts for name in sets[part]]
        assert len(set(members)) == len(members)
        assert len(members) >= least * len(everything)


@pytest.mark.parametrize("size", ["demo", "evidence", "full"])
def test_the_small_set_has_a_feature_of_every_group(size):
    """The official feature_neutralization looks at what the two have in common."""
    sets = draw_truth(SIZES[size], 3).sets
    assert all(set(sets["small"]) & set(sets[group]) for group in GROUPS)
    assert len(set(sets["small"])) == len(sets["small"])
