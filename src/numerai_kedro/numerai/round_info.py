"""What the tournament says about a round, as typed values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from numerai_kedro.numerai.payout_rule import (
    FIELDS,
    read_factor,
    scores_that_pay,
    stable_configs,
)

ROUND_FIELDS = f"""number openTime closeStakingTime closeTime target payoutFactor
    roundScoreConfigs {{ {" ".join(FIELDS)} }}"""

TO_SUBMIT_S = 300.0  # live data, predictions, gate, upload
WORTH_SAYING_S = 60.0  # shorter work is over before anyone has typed another command
NO_SKEW, TOLERATED_SKEW = timedelta(0), timedelta(minutes=5)


@dataclass(frozen=True)
class RoundInfo:
    """A round as the tournament describes it.

    Parameters
    ----------
    close_staking_time
        Deadline for submissions that count; what comes later is late.
    target
        What it is scored on, such as ``"target_ender_60"``, or ``"main"``; None if the
        tournament does not say.
    score_configs
        Every score that the tournament lists for it, as `payout_rule.stable_configs` makes them;
        empty if it has set none.
    server_time
        The tournament's clock, which decides; this machine's does not.
    payout_factor
        What share of the score is paid; None if that cannot be read.
    """

    number: int
    open_time: datetime
    close_staking_time: datetime
    target: str | None
    score_configs: list[Any]
    server_time: datetime
    payout_factor: float | None = 1.0

    @property
    def multipliers(self) -> dict[str, float]:
        """Multiplier of each score that pays, weighed here or not."""
        return {score.name: score.multiplier for score in scores_that_pay(self.score_configs)}

    @property
    def clip(self) -> float:
        """Lowest share of a stake at which a score that pays is clipped; 1 if none is given."""
        clips = [score.clip for score in scores_that_pay(self.score_configs) if score.is_clear]
        return min(clips, default=1.0)

    @property
    def is_open(self) -> bool:
        """Whether a submission counts now."""
        return self.open_time <= self.server_time < self.close_staking_time

    def as_json(self) -> dict[str, Any]:
        """A form for the catalog, the same for as long as the round is open.

        ``close_time`` is the deadline that counts.
        """
        state = "open until" if self.is_open else "closed since"
        return {
            "number": self.number,
            "open_time": self.open_time.isoformat(),
            "close_time": self.close_staking_time.isoformat(),
            "target": self.target,
            "score_configs": self.score_configs,
            "multipliers": self.multipliers,
            "clip": self.clip,
            "payout_factor": self.payout_factor,
            "is_open": self.is_open,
            "text": f"round {self.number}, {state} {self.close_staking_time:%a %d %b %H:%M} UTC",
        }

    def describe(self) -> str:
        """Half a sentence for people: ``round 1412, open for another 47 min``."""
        if self.is_open:
            remaining_s = int((self.close_staking_time - self.server_time).total_seconds())
            hours, minutes = divmod(remaining_s // 60, 60)
            span = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
            return f"round {self.number}, open for another {span}"
        if self.server_time < self.open_time:
            return f"round {self.number}, opens {self.open_time:%a %d %b %H:%M} UTC"
        return f"round {self.number}, closed since {self.close_staking_time:%a %d %b %H:%M} UTC"


def minutes(seconds: float) -> str:
    """A span for people: ``41 s``, ``47 min``, ``3.2 h``."""
    if math.isnan(seconds):
        return "an unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def too_late_for(current: RoundInfo, needed_s: float) -> str | None:
    """A warning if work of `needed_s` would end after the open round's deadline; else None."""
    left_s = (current.close_staking_time - current.server_time).total_seconds()
    in_time = needed_s + TO_SUBMIT_S < left_s
    if not current.is_open or in_time or not needed_s > WORTH_SAYING_S:
        return None
    return (
        f"round {current.number} closes in {minutes(left_s)}, and what is to be done takes about "
        f"{minutes(needed_s)}. Stop this run (Ctrl-C; what is finished stays), and kedro run "
        "--pipeline=submit submits in minutes what the newest finished models predict; then run "
        "kedro run --pipeline=prepare, which leaves the way free for submit."
    )


def clock_skew(server_time: datetime, here: datetime) -> str | None:
    """A warning if this machine's clock is off by more than `TOLERATED_SKEW`; else None."""
    offset = here - server_time
    if abs(offset) <= TOLERATED_SKEW:
        return None
    minutes_off = abs(offset).total_seconds() / 60
    side = "ahead of" if offset > NO_SKEW else "behind"
    return (
        f"this machine's clock is {minutes_off:,.0f} min {side} the tournament's; the tournament's "
        "decides whether a round is open"
    )


def read_round(raw: dict[str, Any], server_time: datetime) -> RoundInfo | None:
    """Parse one round of the API's answer; None if it lacks number or times.

    Parameters
    ----------
    raw
        With the fields `ROUND_FIELDS`; any but number and times may be missing.
    server_time
        When the server answered.
    """
    try:
        number, opens = int(raw["number"]), _utc(raw["openTime"])
        closes = _utc(raw.get("closeStakingTime") or raw["closeTime"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return RoundInfo(
        number,
        opens,
        closes,
        raw.get("target"),
        stable_configs(raw.get("roundScoreConfigs")),
        server_time,
        read_factor(raw.get("payoutFactor")),
    )


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
