from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis.strategies import integers

from numerai_kedro.demo.rounds import (
    FIRST_ROUND,
    SCORE_DAYS,
    demo_round,
    latest_round,
    one_minute_into,
)
from numerai_kedro.numerai.calendar import business_days_between

NUMBERS, SEEDS = integers(FIRST_ROUND, FIRST_ROUND + 500), integers(0, 2000)


@given(NUMBERS, SEEDS)
def test_a_round_opens_between_12_00_and_12_30_and_closes_by_the_table(number, seed):
    round_ = demo_round(number, seed)
    noon = datetime(
        round_.open_time.year, round_.open_time.month, round_.open_time.day, 12, tzinfo=UTC
    )
    assert noon <= round_.open_time < noon + timedelta(minutes=30)
    saturday = round_.open_time.weekday() == 5
    assert round_.close_staking_time == noon + (
        timedelta(hours=26) if saturday else timedelta(hours=1)
    )
    assert round_ == demo_round(number, seed)


def test_the_opening_depends_on_the_seed():
    assert len({demo_round(FIRST_ROUND, seed).open_time for seed in range(20)}) > 10


@given(NUMBERS)
def test_rounds_of_one_week_share_it_and_tuesday_begins_the_next(number):
    round_, following = demo_round(number, 0), demo_round(number + 1, 0)
    assert following.week - round_.week == (following.open_time.weekday() == 1)


def test_the_first_round_is_thursday_of_week_0():
    first = demo_round(FIRST_ROUND, 0)
    assert (first.open_time.date().isoformat(), first.week) == ("2026-12-03", 0)
    assert demo_round(FIRST_ROUND + 3, 0).week == 1  # Tuesday


@given(NUMBERS, integers(1, SCORE_DAYS))
def test_the_first_score_comes_on_the_fourth_business_day_and_then_each_day(number, day):
    round_ = demo_round(number, 0)
    closes, scored = round_.close_staking_time.date(), round_.score_time(day).date()
    assert business_days_between(closes, scored) == 3 + day
    assert scored.weekday() < 5
    at = round_.score_time(day)
    assert round_.days_scored(at) == day
    assert round_.days_scored(at - timedelta(seconds=1)) == day - 1


@given(NUMBERS)
def test_a_round_goes_through_its_four_states_in_order(number):
    round_ = demo_round(number, 0)
    second = timedelta(seconds=1)
    moments = [round_.open_time, round_.close_staking_time, round_.resolve_time]
    states = [round_.status(moment - second) for moment in moments] + [round_.status(moments[-1])]
    assert states == ["UPCOMING", "OPEN", "RESOLVING", "RESOLVED"]


@given(NUMBERS, SEEDS)
def test_the_latest_round_is_the_one_that_opened_last(number, seed):
    round_ = demo_round(number, seed)
    assert latest_round(round_.open_time, seed) == round_
    assert latest_round(round_.open_time - timedelta(seconds=1), seed).number == number - 1
    assert latest_round(one_minute_into(round_), seed).status(one_minute_into(round_)) == "OPEN"
