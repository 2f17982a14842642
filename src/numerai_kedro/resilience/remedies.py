"""What is tried when a fit does not fit: less, then less again, then an outcome with its reason."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numerai_kedro.errors import Failed, NumeraiKedroError, ProcessDied, ResourceError
from numerai_kedro.resilience.plan import LARGEST_STRIDE

logger = logging.getLogger(__name__)

# What a library raises when a fit does not fit: a bug of ours is none of these, and stays a crash.
FIT_ERRORS = (MemoryError, ImportError, NumeraiKedroError)
# Libraries name an error of their own where C++ had no memory.
OUT_OF_MEMORY = ("bad_alloc", "out of memory", "Cannot allocate", "bad allocation")

AGAIN = "fitted again"


@dataclass(frozen=True)
class Made:
    """What came of it, and what it took.

    Parameters
    ----------
    era_stride
        With which it went through.
    remedies
        What was tried before, and why.
    """

    value: Any
    era_stride: int
    remedies: tuple[str, ...]


def until_it_fits(
    stage: str, name: str, era_stride: int, attempt: Callable[[int], Any]
) -> Made | Failed:
    """Attempt on every `era_stride`-th era; where memory ends it, on every second of those.

    What stood still is attempted once more as it was.

    Raises
    ------
    Exception
        What is no matter of resources, and no error of ours: a bug.
    """
    remedies: list[str] = []
    while True:
        try:
            return Made(attempt(era_stride), era_stride, tuple(remedies))
        except Exception as error:  # noqa: BLE001 - what is no outcome is raised again
            failed = failed_fit(stage, error, tuple(remedies))
            lighter = 2 if era_stride == 1 else LARGEST_STRIDE
            stalled = isinstance(error, ProcessDied) and error.stalled
            if stalled and not any(remedy.endswith(AGAIN) for remedy in remedies):
                remedies.append(f"{failed.symptom}: {AGAIN}")
                logger.warning("%s: %s", name, remedies[-1])
                continue
            if stalled or failed.kind != "resource" or era_stride >= LARGEST_STRIDE:
                return failed
        remedies.append(f"{failed.symptom}: fitted again on every {_nth(lighter)} era")
        logger.warning("%s: %s", name, remedies[-1])
        era_stride = lighter


def failed_fit(stage: str, error: Exception, remedies: tuple[str, ...] = ()) -> Failed:
    """The outcome of a fit that did not fit; whatever else it is, is a bug and goes on up."""
    text = str(error) or type(error).__name__
    if isinstance(error, ResourceError | MemoryError):
        return Failed(stage, text, kind="resource", remedies=remedies)
    if isinstance(error, FIT_ERRORS):
        return Failed(stage, text, remedies=remedies)
    if any(words in text for words in OUT_OF_MEMORY):
        return Failed(stage, f"no memory left ({text})", kind="resource", remedies=remedies)
    raise error


def _nth(stride: int) -> str:
    return {2: "second", 4: "fourth"}.get(stride, f"{stride}th")
