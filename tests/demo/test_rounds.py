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
    one = demo_round(number, seed)
    noon = datetime(one.open_time.year, one.open_time.month, one.open_time.day, 12, tzinfo=UTC)
    assert noon <= one.open_time < noon + timedelta(minutes=30)
    saturday = one.open_time.weekday() == 5
    assert one.close_staking_time == noon + (
        timedelta(hours=26) if saturday else timedelta(hours=1)
    )
    assert one == demo_round(number, seed)


def test_the_opening_depends_on_the_seed():
    assert len({demo_round(FIRST_ROUND, seed).open_time for seed in range(20)}) > 10


@given(NUMBERS)
def test_rounds_of_one_week_share_it_and_tuesday_begins_the_next(number):
    one, following = demo_round(number, 0), demo_round(number + 1, 0)
    assert following.week - one.week == (following.open_time.weekday() == 1)


def test_the_first_round_is_thursday_of_week_0():
    first = demo_round(FIRST_ROUND, 0)
    assert (first.open_time.date().isoformat(), first.week) == ("2026-12-03", 0)
    assert demo_round(FIRST_ROUND + 3, 0).week == 1  # Tuesday


@given(NUMBERS, integers(1, SCORE_DAYS))
def test_the_first_score_comes_on_the_fourth_business_day_and_then_each_day(number, day):
    one = demo_round(number, 0)
    closes, scored = one.close_staking_time.date(), one.score_time(day).date()
    assert business_days_between(closes, scored) == 3 + day
    assert scored.weekday() < 5
    at = one.score_time(day)
    assert one.days_scored(at) == day
    assert one.days_scored(at - timedelta(seconds=1)) == day - 1


@given(NUMBERS)
def test_a_round_goes_through_its_four_states_in_order(number):
    one = demo_round(number, 0)
    second = timedelta(seconds=1)
    moments = [one.open_time, one.close_staking_time, one.resolve_time]
    states = [one.status(moment - second) for moment in moments] + [one.status(moments[-1])]
    assert states == ["UPCOMING", "OPEN", "RESOLVING", "RESOLVED"]


@given(NUMBERS, SEEDS)
def test_the_latest_round_is_the_one_that_opened_last(number, seed):
    one = demo_round(number, seed)
    assert latest_round(one.open_time, seed) == one
    assert latest_round(one.open_time - timedelta(seconds=1), seed).number == number - 1
    assert latest_round(one_minute_into(one), seed).status(one_minute_into(one)) == "OPEN"
