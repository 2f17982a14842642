"""Wait for the next round: openings have no fixed time, and many last an hour."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from numerai_kedro.errors import TournamentRefused, TournamentUnreachable
from numerai_kedro.tournament.calendar import EARLIEST_OPENING
from numerai_kedro.tournament.client import Client
from numerai_kedro.tournament.round_info import RoundInfo

# Once a minute while a round may open: an hour's window is met with 59 minutes left.
POLL = timedelta(minutes=1)
# A machine that slept wakes up to the tournament's clock at least this often.
LONGEST_PAUSE = timedelta(hours=1)
CLOSED_DAYS = (6, 0)  # Sunday, Monday
# What a receipt says where nothing is left to do.
FINAL = {"accepted", "late", "blocked"}


def wait_for_opening(
    client: Client,
    is_done: Callable[[int], bool],
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> RoundInfo:
    """Return the next round that is open and not dealt with yet.

    The tournament's clock counts, not this machine's. It is asked once a minute while a round may
    open, once an hour before; an answer that does not come is asked for again.

    Parameters
    ----------
    is_done
        Whether a round's submission was made: then the one after it is waited for.
    say
        Gets a line whenever what is waited for changes.
    sleep
        Gets seconds.
    """
    said, pause, newest = "", POLL, None
    while True:
        try:
            current = client.current_round()
            if current is not None and not is_done(current.number):
                return current
            if current is not None or newest is None or pause > POLL:
                newest = current or client.newest_round()
                now = newest.server_time
        except (TournamentUnreachable, TournamentRefused) as error:
            newest, pause, what = None, POLL, "asking again every minute"
            line = f"{error} {what.capitalize()}."
        else:
            earliest = earliest_opening_after(newest, now)
            pause = min(max(earliest - now, POLL), LONGEST_PAUSE)
            what = f"the next opens {_when(earliest, now)}"
            line = f"round {newest.number} is {'submitted' if newest.is_open else 'closed'}; {what}"
        if what != said:
            said = what
            say(line)
        sleep(pause.total_seconds())
        if newest is not None:
            now += pause


def earliest_opening_after(newest: RoundInfo, now: datetime) -> datetime:
    """When the next round may open: Tuesday to Saturday, not before 12:00 UTC.

    A day that has begun counts until it is over: a round may open late, or not at all.
    """
    day = max(newest.open_time.date() + timedelta(days=1), now.date())
    while day.weekday() in CLOSED_DAYS:
        day += timedelta(days=1)
    return datetime.combine(day, EARLIEST_OPENING)


def is_dealt_with(outputs: Path, round_number: int) -> bool:
    """Whether every slot has a receipt of a round, and none of them wants another try.

    Parameters
    ----------
    outputs
        Folder of the catalog entries ``slots`` and ``submission_receipt``.
    """
    try:
        slots = json.loads((outputs / "slots.json").read_text(encoding="utf-8"))
        receipts = [
            json.loads((outputs / "receipts" / f"{round_number}-{slot}.json").read_text("utf-8"))
            for slot in slots
        ]
    except (OSError, ValueError):
        return False
    newest = [receipt.get("later", receipt) for receipt in receipts]
    return all(receipt["status"] in FINAL for receipt in newest)


def _when(earliest: datetime, now: datetime) -> str:
    if earliest <= now:
        return "any minute now; asking every minute"
    return f"{earliest:%a %d %b}, not before {earliest:%H:%M} UTC; asking from then on"
