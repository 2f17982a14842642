"""Eras are ints everywhere but in files, and a target is named with its horizon."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.errors import ConfigurationError, SchemaError
from numerai_kedro.tournament.schema import (
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
