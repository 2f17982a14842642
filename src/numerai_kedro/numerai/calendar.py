"""Eras and rounds on the calendar: one era a week, five rounds a week.

Era 1 is Friday 2003-01-03. Round 1345 is Tuesday 2026-09-01; rounds open Tuesday to Saturday. Both
anchors agree with every dated observation (era 574 of the training file, five rounds since 2023).
All times are UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

FIRST_ERA_DAY = date(2003, 1, 3)
ANCHOR_ROUND = 1345
ANCHOR_DAY = date(2026, 9, 1)
ROUNDS_A_WEEK = 5
# Rounds open some time after this, once the data vendors have delivered: poll for it.
EARLIEST_OPENING = time(12, tzinfo=UTC)
SATURDAY = 5


def era_day(era: int) -> date:
    """Friday of an era.

    Raises
    ------
    ValueError
        Eras count from 1.
    """
    if era < 1:
        raise ValueError(f"era {era}: eras count from 1")
    return FIRST_ERA_DAY + timedelta(weeks=era - 1)


def era_of_day(day: date) -> int:
    """Newest era whose Friday is not after `day`.

    Raises
    ------
    ValueError
        Before era 1.
    """
    if day < FIRST_ERA_DAY:
        raise ValueError(f"{day}: before era 1, which is {FIRST_ERA_DAY}")
    return (day - FIRST_ERA_DAY).days // 7 + 1


def opening_day(round_number: int) -> date:
    """Day on which a round opens, Tuesday to Saturday."""
    weeks, weekday = divmod(round_number - ANCHOR_ROUND, ROUNDS_A_WEEK)
    return ANCHOR_DAY + timedelta(weeks=weeks, days=weekday)


def round_of_day(day: date) -> int:
    """Round that opens on `day`; on Sundays and Mondays, Saturday's."""
    weeks, weekday = divmod((day - ANCHOR_DAY).days, 7)
    return ANCHOR_ROUND + weeks * ROUNDS_A_WEEK + min(weekday, ROUNDS_A_WEEK - 1)


def staking_deadline(round_number: int) -> datetime:
    """Deadline for submissions that count: 13:00 the same day; for Saturday's, Sunday 14:00.

    By the published table; the tournament's own `closeStakingTime` overrides it where known.
    """
    day = opening_day(round_number)
    if day.weekday() == SATURDAY:
        return datetime.combine(day + timedelta(days=1), time(14, tzinfo=UTC))
    return datetime.combine(day, time(13, tzinfo=UTC))


def add_business_days(day: date, n_days: int) -> date:
    """Monday to Friday, no holidays; from a weekend the next business day is the first.

    Parameters
    ----------
    day
        Where to start; not counted itself.
    n_days
        Zero or more.
    """
    weekday = min(day.weekday(), 4)
    friday_or_day = day - timedelta(days=day.weekday() - weekday)
    weeks, rest = divmod(weekday + n_days, 5)
    return friday_or_day - timedelta(days=weekday) + timedelta(weeks=weeks, days=rest)


def business_days_between(start: date, end: date) -> int:
    """Business days after `start` up to and including `end`; zero when `end` is not after."""
    n_days = max(0, (end - start).days * 5 // 7 - 1)
    while add_business_days(start, n_days + 1) <= end:
        n_days += 1
    return n_days
