"""One line of what went wrong and what was done about it: what `{model}.recovery` is made of."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovery:
    """What was seen, on what evidence, what was done, and what came of it.

    Parameters
    ----------
    time
        When it was seen, UTC.
    place
        Where: a fold, a trial, a step.
    symptom
        A few words, the same for the same trouble.
    evidence
        Numbers, or what a library said.
    remedy
        What was done.
    result
        What came of it; empty while that is not known.
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
    """Say it in the log, now, and return the line."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    what = f"{symptom} ({evidence})" if evidence else symptom
    logger.warning("%s: %s: %s", place, what, remedy)
    return Recovery(now, place, symptom, evidence, remedy, result)
