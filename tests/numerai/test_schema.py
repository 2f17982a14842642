"""Eras are ints everywhere but in files, and a target is named with its horizon."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.errors import ConfigurationError, SchemaError
from numerai_kedro.numerai.schema import (
    FeatureMetadata,
    format_era,
    horizon_days,
    overlap_eras,
    parse_era,
)

CONTENT = {"feature_sets": {"all": ["a", "b"], "small": ["a"]}, "targets": ["target_ender_60"]}


@given(st.integers(1, 99_999))
def test_an_era_survives_the_string(era):
    assert parse_era(format_era(era)) == era


@pytest.mark.parametrize("text", ["", "0000", "-001", "12a", "X", " 1", "٣", "1", "012", None])
def test_what_is_no_era_is_refused(text):
    with pytest.raises(SchemaError, match="is no positive number"):
        parse_era(text)


def test_the_horizon_stands_in_the_name():
    assert (horizon_days("target_ender_60"), overlap_eras("target_ender_60")) == (60, 12)
    assert overlap_eras("target_ender_20") == 4
    for name in ("target", "target_ender", "target_ender_90"):
        with pytest.raises(ConfigurationError, match="name the target with its horizon"):
            horizon_days(name)


def test_features_json_is_read_or_its_fault_is_named():
    metadata = FeatureMetadata.read(CONTENT)
    assert metadata.features("small") == ["a"]
    with pytest.raises(ConfigurationError, match=r'set "medium" .* there are: all, small'):
        metadata.features("medium")
    with pytest.raises(ConfigurationError, match=r'"target_x_60" is not .* target_ender_60'):
        metadata.check_target("target_x_60")
    for broken in ({}, CONTENT | {"targets": []}, CONTENT | {"feature_sets": {"all": "a"}}):
        with pytest.raises(SchemaError, match=r"features\.json: (feature_sets|targets)"):
            FeatureMetadata.read(broken)


def metadata(**sets):
    return FeatureMetadata.read({"feature_sets": sets, "targets": ["target_ender_60"]})


def test_groups_are_all_sets_but_choices_of_features():
    """The named sets of the real v5.3 file."""
    choices = "small medium all v2_equivalent_features v3_equivalent_features fncv3_features"
    groups = (
        "quantum faith midnight rain sunshine serenity agility wisdom constitution dexterity "
        "strength charisma intelligence"
    )
    names = [*choices.split(), *groups.split()]
    assert metadata(**{name: ["a"] for name in names}).group_names == sorted(groups.split())


def test_a_feature_is_in_its_first_group_and_those_of_none_come_last():
    read = metadata(all=list("abcde"), wisdom=["c", "b"], rain=["a", "b"], small=["e"])
    assert read.group_of() == {"a": "rain", "b": "rain", "c": "wisdom"}
    assert read.groups(["e", "c", "b", "d"]) == [["b"], ["c"], ["e", "d"]]
    assert read.group_text() == "2 groups; 1 features in several, 2 in none"


def test_what_became_of_features_is_counted():
    before = metadata(all=["a", "b", "c"], small=["a"], rain=["b", "c"], wisdom=["a"])
    after = metadata(all=["d", "b", "a"], small=["a", "b"], rain=["b"], wisdom=["a", "d"])
    assert after.change_since(before) == "1 features added, 1 removed, 1 moved between sets"
    shuffled = metadata(wisdom=["a"], rain=["c", "b"], small=["a"], all=["c", "a", "b"])
    assert shuffled == before
    assert shuffled.change_since(before) == "0 features added, 0 removed, 0 moved between sets"


@given(st.randoms())
def test_the_order_of_names_and_repeats_count_for_nothing(random):
    sets = {"all": list("abcdef"), "rain": list("abc"), "wisdom": list("bd")}
    read = metadata(**sets)
    shuffled = {name: sets[name] + sets[name][:1] for name in random.sample(list(sets), len(sets))}
    for members in shuffled.values():
        random.shuffle(members)
    other = metadata(**shuffled)
    assert other == read
    assert other.groups(read.features("all")) == read.groups(read.features("all"))
    assert other.group_of() == read.group_of()
