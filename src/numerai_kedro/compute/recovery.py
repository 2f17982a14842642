"""One line about a fault and its remedy; `{model}.recovery` consists of them."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovery:
    """A fault: symptom, evidence, remedy, and result.

    Parameters
    ----------
    time
        When it was detected, UTC.
    place
        Where: a fold, a trial, a step.
    symptom
        A few words, the same for the same kind of fault.
    evidence
        Numbers, or a library's message.
    remedy
        What was done.
    result
        The outcome; empty until it is known.
    """

    time: str
    place: str
    symptom: str
    evidence: str
    remedy: str
    result: str = ""

    def as_json(self) -> dict[str, Any]:
        """A form for the catalog."""
        return asdict(self)


def noted(place: str, symptom: str, evidence: str, remedy: str, result: str = "") -> Recovery:
    """Log the fault and return its line."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    what = f"{symptom} ({evidence})" if evidence else symptom
    logger.warning("%s: %s: %s", place, what, remedy)
    return Recovery(now, place, symptom, evidence, remedy, result)
