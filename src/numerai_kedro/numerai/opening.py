"""Wait for the next round: openings have no fixed time, and many rounds last only an hour."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from numerai_kedro.errors import (
    TournamentError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.files.bounded_session import BoundedSession
from numerai_kedro.numerai.calendar import EARLIEST_OPENING
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.round_info import RoundInfo

logger = logging.getLogger(__name__)

# Once a minute while a round may open: of a one-hour window, 59 minutes are left.
POLL = timedelta(minutes=1)
# A machine that was asleep looks at the tournament's clock at least this often.
LONGEST_PAUSE = timedelta(hours=1)
CLOSED_DAYS = (6, 0)  # Sunday, Monday
# Statuses of receipts with nothing left to upload; the next command asks what became of the last
# two.
SENT = {"accepted", "late", "pending", "unconfirmed"}
# Statuses where a retry would end the same way until something that it depends on has changed.
HELD = {"blocked", "failed", "closed"}
# Files in the data folder that a verdict depends on.
INPUTS = (
    "01_raw/live.parquet*",
    "06_models/*/model",
    "06_models/*/model/**/*",
    "07_model_output/*/oof_predictions.parquet",
    "07_model_output/ensemble/weights.parquet",
    "08_reporting/era_scores.parquet",
)


def wait_for_opening(
    client: Client,
    is_done: Callable[[int], bool],
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    is_held: Callable[[int], bool] = lambda number: False,
) -> RoundInfo:
    """Return the next round that is open and not dealt with yet.

    The tournament's clock counts, not this machine's. The tournament is asked once a minute while a
    round may open, or while an open one may be retried, and once an hour before that; a request
    without an answer is repeated.

    Parameters
    ----------
    is_done
        Whether nothing is left to do for a round: then the one after it is waited for.
    say
        Gets a line whenever what is waited for changes.
    sleep
        Gets seconds.
    is_held
        Whether that may still change while the round is open.
    """
    announced, pause, newest = "", POLL, None
    while True:
        try:
            current = client.current_round()
            if current is not None and not is_done(current.number):
                return current
            if current is not None or newest is None or newest.is_open or pause > POLL:
                newest = current or client.newest_round()
                now = newest.server_time
        except (TournamentUnreachable, TournamentRefused) as error:
            newest, pause, next_step = None, POLL, "asking again every minute"
            line = f"{error} {next_step.capitalize()}."
        else:
            earliest = earliest_opening_after(newest, now)
            may_retry = newest.is_open and is_held(newest.number)
            pause = POLL if may_retry else min(max(earliest - now, POLL), LONGEST_PAUSE)
            next_step = f"the next opens {_when(earliest, now)}"
            state = "submitted" if newest.is_open else "closed"
            if may_retry:
                state = "blocked in part or whole, and tried again when its inputs change"
            line = f"round {newest.number} is {state}; {next_step}"
        if next_step != announced:
            announced = next_step
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


def is_dealt_with(
    outputs: Path,
    round_number: int,
    changed_since: Callable[[float], bool] = lambda moment: False,
) -> bool:
    """Whether every slot has a receipt of a round, and none of them needs another try.

    Parameters
    ----------
    outputs
        Folder of the catalog entries ``slots`` and ``submission_receipt``.
    changed_since
        Whether anything that a verdict depends on has changed since a receipt was written: then a
        slot that was blocked, or failed, is tried again.
    """
    receipts = list(_receipts(outputs, round_number))
    sent_or_held = [
        status in SENT or (status in HELD and not changed_since(moment))
        for status, moment in receipts
    ]
    return bool(receipts) and all(sent_or_held)


def is_held(outputs: Path, round_number: int) -> bool:
    """Whether a slot was blocked, or failed, so that a change may let it pass."""
    return any(status in HELD for status, _ in _receipts(outputs, round_number))


def _receipts(outputs: Path, round_number: int) -> Iterator[tuple[str, float]]:
    """Newest status of each slot, and when it was written; empty for a slot without a receipt."""
    for slot in _json_of(outputs / "slots.json"):
        path = outputs / "receipts" / f"{round_number}-{slot}.json"
        receipt = _json_of(path)
        moment = path.stat().st_mtime if receipt else 0.0
        yield str(receipt.get("later", receipt).get("status", "")), moment


def inputs_changed(data_folder: Path, conf: Path) -> Callable[[float], bool]:
    """Make a function that tells whether a file that can change a verdict is newer than a moment.

    Parameters
    ----------
    data_folder
        Live data, models, their predictions and scores.
    conf
        The project's configuration, with ``base`` and ``local``.
    """

    def changed(moment: float) -> bool:
        files = [path for pattern in INPUTS for path in data_folder.glob(pattern)]
        return any(_modified(path) > moment for path in (*files, *conf.glob("*/*.yml")))

    return changed


def live_file_changed(
    client: Client, data_folder: Path, round_number: int, version: str | None = None
) -> bool:
    """Whether the tournament offers another ``live.parquet`` than the one downloaded last.

    Version and length are compared with what the download noted. A value that either side does not
    know counts as unchanged.

    Parameters
    ----------
    version
        Data version; the client's own by default.
    """
    noted = _json_of(data_folder / "01_raw" / "live.parquet.source.json")
    if not noted:
        return False
    try:
        url = client.remote_file("live.parquet", round_number, version).url()
        # GET, because addresses are signed only for that; the headers are enough.
        with (
            BoundedSession(url, client.transport.deadline_s) as session,
            session.get(
                url,
                headers={"Accept-Encoding": "identity"},
                stream=True,
                timeout=client.transport.timeout_s,
            ) as answer,
        ):
            answer.raise_for_status()
            etag, length = answer.headers.get("ETag"), answer.headers.get("Content-Length")
    except (TournamentError, requests.RequestException) as error:
        logger.info("live.parquet: cannot be compared: %s", type(error).__name__)
        return False
    offered = {"version": etag, "size": int(length) if length else None}
    return any(
        None not in (noted.get(name), value) and noted[name] != value
        for name, value in offered.items()
    )


def _json_of(path: Path) -> dict[str, Any]:
    """A JSON object; empty if it cannot be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _modified(path: Path) -> float:
    """When it was written; 0 if it is being replaced at this moment."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _when(earliest: datetime, now: datetime) -> str:
    if earliest <= now:
        return "any minute now; asking every minute"
    return f"{earliest:%a %d %b}, not before {earliest:%H:%M} UTC; asking from then on"
