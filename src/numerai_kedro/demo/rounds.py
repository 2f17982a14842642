"""The demo's rounds: when they open, close, are scored and resolve.

Tuesday                Wednesday … Saturday
opens 12:00-12:30      likewise; Saturday's closes on Sunday 14:00
closes 13:00
└─ late window of a day ─┘
first score on the 4th business day after the close, one a business day, 60 in all
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import numpy as np

from numerai_kedro.numerai.calendar import (
    ANCHOR_ROUND,
    EARLIEST_OPENING,
    ROUNDS_A_WEEK,
    add_business_days,
    opening_day,
    round_of_day,
    staking_deadline,
)

FIRST_ROUND = 1412  # Thursday 2026-12-03
_WEEK_0 = (FIRST_ROUND - ANCHOR_ROUND) // ROUNDS_A_WEEK
OPENING_SPREAD_S = 30 * 60
LATE_WINDOW = timedelta(days=1)
SCORE_DAYS = 60
FIRST_SCORE_DAY = 4  # business days after the close: 2 of lag, 2 until the data is there
SCORING_TIME = time(18, tzinfo=UTC)
AFTER_OPENING = timedelta(minutes=1)


@dataclass(frozen=True)
class DemoRound:
    """One round of the demo.

    Parameters
    ----------
    week
        0 for the week in which the demo starts; decides which era is live.
    close_staking_time
        The deadline that counts; what comes until `close_time` is late.
    """

    number: int
    week: int
    open_time: datetime
    close_staking_time: datetime
    close_time: datetime

    def score_time(self, day: int) -> datetime:
        """When the score of `day` (1 to 60) appears."""
        on = add_business_days(self.close_staking_time.date(), FIRST_SCORE_DAY - 1 + day)
        return datetime.combine(on, SCORING_TIME)

    @property
    def resolve_time(self) -> datetime:
        """When the last score, which is final, appears."""
        return self.score_time(SCORE_DAYS)

    def days_scored(self, now: datetime) -> int:
        """How many days of scores there are at `now`, 0 to 60."""
        low, high = 0, SCORE_DAYS
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.score_time(middle) <= now else (low, middle - 1)
        return low

    def status(self, now: datetime) -> str:
        """A value of the API's RoundStatus."""
        if now < self.open_time:
            return "UPCOMING"
        if now < self.close_staking_time:
            return "OPEN"
        return "RESOLVED" if now >= self.resolve_time else "RESOLVING"


def demo_round(number: int, seed: int) -> DemoRound:
    """Make a round; its opening within the half hour depends on seed and number only."""
    delay = int(np.random.default_rng([seed, 11, number]).integers(OPENING_SPREAD_S))
    opens = datetime.combine(opening_day(number), EARLIEST_OPENING) + timedelta(seconds=delay)
    closes = staking_deadline(number)
    return DemoRound(
        number=number,
        week=(number - ANCHOR_ROUND) // ROUNDS_A_WEEK - _WEEK_0,
        open_time=opens,
        close_staking_time=closes,
        close_time=closes + LATE_WINDOW,
    )


def latest_round(now: datetime, seed: int) -> DemoRound:
    """Newest round that has opened."""
    candidate = demo_round(round_of_day(now.date()), seed)
    return candidate if candidate.open_time <= now else demo_round(candidate.number - 1, seed)


def one_minute_into(demo: DemoRound) -> datetime:
    """What the clock shows when the demo starts, and after each advance."""
    return demo.open_time + AFTER_OPENING
