from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import dates, integers

from numerai_kedro.numerai.calendar import (
    add_business_days,
    business_days_between,
    era_day,
    era_of_day,
    opening_day,
    round_of_day,
    staking_deadline,
)

DAYS = dates(date(2003, 1, 3), date(2060, 1, 1))


@pytest.mark.parametrize(
    ("era", "day"),
    [(1, date(2003, 1, 3)), (574, date(2013, 12, 27)), (1219, date(2026, 5, 8))],
)
def test_eras_fall_on_the_dates_that_were_observed(era, day):
    assert era_day(era) == day
    assert era_of_day(day) == era
    assert era_of_day(day + timedelta(days=6)) == era


@pytest.mark.parametrize(
    ("number", "day"),
    [
        (1343, date(2026, 8, 28)),
        (1345, date(2026, 9, 1)),
        (1405, date(2026, 11, 24)),
        (1412, date(2026, 12, 3)),
    ],
)
def test_rounds_open_on_the_dates_that_were_observed(number, day):
    assert opening_day(number) == day
    assert round_of_day(day) == number


@given(integers(1, 3000))
def test_a_round_opens_tuesday_to_saturday_and_is_found_again(number):
    day = opening_day(number)
    assert 1 <= day.weekday() <= 5
    assert round_of_day(day) == number
    assert opening_day(number + 5) == day + timedelta(weeks=1)


@given(DAYS)
def test_the_round_of_a_day_is_the_newest_that_opened(day):
    number = round_of_day(day)
    assert opening_day(number) <= day < opening_day(number + 1)


def test_saturdays_round_closes_on_sunday_and_the_others_on_their_day():
    assert staking_deadline(1412) == datetime(2026, 12, 3, 13, tzinfo=UTC)
    assert opening_day(1414).weekday() == 5
    assert staking_deadline(1414) == datetime(2026, 12, 6, 14, tzinfo=UTC)


@given(DAYS, integers(0, 200))
def test_business_days_agree_with_numpy(day, n_days):
    expected = np.busday_offset(day, n_days, roll="backward").astype(date)
    assert add_business_days(day, n_days) == expected


@given(DAYS, integers(-30, 400))
def test_business_days_between_agree_with_numpy(day, span):
    end = day + timedelta(days=span)
    one_day = timedelta(days=1)
    assert business_days_between(day, end) == max(0, np.busday_count(day + one_day, end + one_day))


def test_days_before_era_1_are_refused():
    with pytest.raises(ValueError, match="before era 1"):
        era_of_day(date(2003, 1, 2))
    with pytest.raises(ValueError, match="count from 1"):
        era_day(0)
