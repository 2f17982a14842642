"""Every score that pays is read, and none is mistaken for a similar one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.metrics.payout import PayoutRule
from numerai_kedro.numerai.payout_rule import (
    read_factor,
    read_rule,
    scores_that_pay,
    stable_configs,
)


def config(name, multiplier, **more):
    return {"displayName": name, "defaultMultiplier": multiplier} | more


def read(*configs, days=60, factor=1.0):
    return read_rule(stable_configs(list(configs)), factor, days)


CORR60, MMC60 = config("corr60", 3, isPayout=True), config("mmc60", 15, isPayout=True)
BOTH = PayoutRule(3, 15)


def test_todays_rule_is_understood_by_display_name_or_name():
    assert read(CORR60, MMC60).rule == BOTH
    bare = {"displayName": None, "name": "correlation_60", "defaultMultiplier": 3.0}
    assert read(bare, MMC60) == read(CORR60, MMC60)
    assert read(CORR60, MMC60).unfamiliar == ()


def test_scores_of_another_horizon_are_said_and_never_weighed():
    reading = read(config("corr20", 0.5), CORR60, config("mmc20", 2), MMC60)
    assert reading.rule == BOTH
    assert reading.unfamiliar == (
        "corr20 pays 0.5: of 20 days, not 60",
        "mmc20 pays 2: of 20 days, not 60",
    )


def test_mmc_alone_pays_no_corr():
    reading = read(MMC60)
    assert reading.rule == PayoutRule(0, 15)
    assert reading.unfamiliar == ()


def test_a_20_day_round_is_understood_for_a_20_day_target_only():
    old = config("v2_corr20", 0.75, clipThreshold=0.05), config("mmc", 2.25, clipThreshold=0.05)
    assert read(*old, days=20, factor=0.087).rule == PayoutRule(0.75, 2.25, 0.05, 0.087)
    reading = read(*old)
    assert reading.rule is None
    assert len(reading.unfamiliar) == 2
    canon = config("canon_v2_corr20", 0.75), config("canon_mmc", 2.25)
    assert read(*canon, days=20).rule == PayoutRule(0.75, 2.25)


def test_a_clip_is_of_what_is_weighed():
    clips = [
        config("corr60", 3, clipThreshold=0.5),
        config("mmc60", 15, clipThreshold="0.25"),
        config("corr20", 1, clipThreshold=0.05),
        config("bmc", 0, clipThreshold=0.01),
    ]
    assert read(*clips).rule.clip == 0.25


@pytest.mark.parametrize(
    "silent",
    [
        config("alpha", 1, isPayout=False),
        config("corr20", 0.5, isPayout=False),
        config("alpha", 0, isPayout=True),
        config("alpha", None, isPayout=True),
        config("bmc", 0),
        {"displayName": "fnc_v3"},
        None,
    ],
)
def test_what_does_not_pay_counts_nothing(silent):
    assert read(CORR60, silent, MMC60) == read(CORR60, MMC60)


def test_is_payout_false_ends_a_familiar_score_too():
    reading = read(config("corr60", 3, isPayout=False), MMC60)
    assert reading.rule == PayoutRule(0, 15)


@pytest.mark.parametrize(
    ("strange", "said"),
    [
        (config("alpha", 1), "alpha pays 1: no score that is weighed here"),
        (config("bmc", 0.5, isPayout=True), "bmc pays 0.5: no score that is weighed here"),
        (config("corr", 1), "corr pays 1: no score that is weighed here"),
        (config("corr60x", 1), "corr60x pays 1: no score that is weighed here"),
        (config(None, 1), "a score without a name pays 1: no score that is weighed here"),
        (config("alpha", "much"), "alpha pays, with a multiplier or clip that cannot be read"),
        (config("alpha", -1), "alpha pays, with a multiplier or clip that cannot be read"),
        (config(7, [1]), "a score without a name pays, with a multiplier or clip that cannot"),
        ("corr60", "a score without a name pays, with a multiplier or clip that cannot be read"),
    ],
)
def test_an_unfamiliar_score_is_said_and_the_clear_parts_weigh(strange, said):
    reading = read(CORR60, MMC60, strange)
    assert reading.rule == BOTH
    assert len(reading.unfamiliar) == 1
    assert said in reading.unfamiliar[0]


@pytest.mark.parametrize(
    "configs",
    [
        (CORR60, config("alpha", 15)),  # alpha may be what MMC is called now
        (config("corr60", "three"), MMC60),
        (config("corr60", 3, clipThreshold="none"), MMC60),
        (config("corr60", 3, clipThreshold=0), MMC60),
        (CORR60, config("correlation_60", 2), MMC60),
    ],
)
def test_where_a_part_is_not_clear_nothing_is_taken_for_it(configs):
    reading = read(*configs)
    assert reading.rule is None
    assert len(reading.unfamiliar) == 1


def test_nothing_set_yet_is_nothing_unfamiliar():
    for raw in (None, [], [None], [config("corr60", None)], [config("corr60", 0)]):
        reading = read_rule(stable_configs(raw), None, 60)
        assert (reading.rule, reading.unfamiliar) == (None, ())


def test_the_newest_version_of_a_name_wins_and_two_are_never_mixed():
    two = [config("corr60", 2, version="2"), config("corr60", 10, version="10"), MMC60]
    for order in (two, two[::-1]):
        assert read(*order).rule == PayoutRule(10, 15)
    # Once the newest version does not pay, the older one does not count.
    ended = config("corr60", 9, version="11", isPayout=False)
    assert read(*two, ended).rule == PayoutRule(0, 15)
    newer = config("corr60", 4, version="1")
    assert read(CORR60, newer, MMC60).rule == PayoutRule(4, 15)  # one without a version is older


def test_two_multipliers_of_one_version_are_not_clear():
    reading = read(CORR60, config("corr60", 4), MMC60)
    assert reading.rule is None
    assert reading.unfamiliar == ("corr60 and corr60 both pay as CORR of 60 days",)


def test_a_payout_factor_is_a_number_above_zero_or_not_given():
    assert read_factor(None) == 1.0
    assert read_factor("0.087") == 0.087
    for strange in ("", "half", 0, "0", -1, float("nan"), True, [1]):
        assert read_factor(strange) is None
    reading = read(CORR60, MMC60, factor=None)
    assert reading.rule is None
    assert reading.unfamiliar == ("the payout factor is no number above zero",)


def test_the_order_in_which_the_tournament_lists_is_no_change():
    assert stable_configs([CORR60, None, MMC60]) == stable_configs([MMC60 | {"id": 7}, CORR60])
    assert stable_configs(CORR60) == stable_configs([CORR60])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
FIELD = st.sampled_from(["displayName", "name", "version", "defaultMultiplier", "isPayout"])
NAME = st.sampled_from(["corr60", "mmc60", "corr20", "alpha"])


@given(st.lists(st.dictionaries(FIELD, JSON | NAME) | JSON) | JSON, JSON)
def test_whatever_the_tournament_says_is_no_traceback(raw, factor):
    reading = read_rule(stable_configs(raw), read_factor(factor), 60)
    if reading.rule is not None:
        numbers = (reading.rule.corr, reading.rule.mmc, reading.rule.clip, reading.rule.factor)
        assert all(math.isfinite(number) and number >= 0 for number in numbers)
    assert all(score.multiplier != 0 for score in scores_that_pay(stable_configs(raw)))
