"""Reads what the tournament says about a submission that was created.

errorInfo                       failed
status                          failed, pending or validated by its words
selected                        validated: the tournament selects only valid ones
anything else                   unknown

The words of `status` are not published. Listed here are the plausible ones; any other word is never
taken for a success.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

VALIDATED = {
    "accepted",
    "complete",
    "completed",
    "success",
    "succeeded",
    "successful",
    "valid",
    "validated",
}
PENDING = {"pending", "processing", "progress", "queued", "running", "validating", "waiting"}
FAILED = {
    "error",
    "errored",
    "failed",
    "failure",
    "invalid",
    "refused",
    "rejected",
    "unsuccessful",
}
NOTHING = {"", "none", "null", "nil", "[]", "{}"}  # an `errorInfo` without an error
# Wording of a fault of the service itself: the same predictions may pass the next time.
TRANSIENT = re.compile(
    r"internal (server )?error|timed?[ -]?out|try again|temporar|unavailable|connection|rate limit",
    re.IGNORECASE,
)


class Verdict(StrEnum):
    """What the tournament thinks of a submission."""

    VALIDATED = "validated"
    FAILED = "failed"
    PENDING = "pending"
    UNKNOWN = "unknown"


def verdict_of(listed: dict[str, Any]) -> Verdict:
    """Read one entry of `submissions`.

    Parameters
    ----------
    listed
        Its ``status``, ``errorInfo`` and ``selected``; each may be missing.
    """
    status = str(listed.get("status") or "").strip().lower()
    words = set(re.findall("[a-z]+", status))
    if error_of(listed) or words & FAILED:
        return Verdict.FAILED
    if words & PENDING:
        return Verdict.PENDING
    if status in VALIDATED or listed.get("selected") is True:
        return Verdict.VALIDATED
    return Verdict.UNKNOWN


def error_of(listed: dict[str, Any]) -> str:
    """Why it is invalid, in one line; empty if the tournament says nothing."""
    text = " ".join(str(listed.get("errorInfo") or "").split())
    return "" if text.lower() in NOTHING else text


def may_pass_again(error: str) -> bool:
    """Whether a failure sounds like one of the service, which the predictions did not cause."""
    return TRANSIENT.search(error) is not None
