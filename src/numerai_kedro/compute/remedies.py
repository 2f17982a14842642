"""Remedies for a fit that exceeds the machine: lighter attempts, then a failure with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numerai_kedro.compute.recovery import Recovery, noted
from numerai_kedro.errors import Failed, NumeraiKedroError, ProcessDied, ResourceError

# Errors that make a fit a `Failed`; others are bugs and raised, unless they are out of memory.
FIT_ERRORS = (MemoryError, ImportError, NumeraiKedroError)
# Texts of libraries' own errors when C++ ran out of memory.
OUT_OF_MEMORY = ("bad_alloc", "out of memory", "Cannot allocate", "bad allocation")

AGAIN = "fitted again, from where it was"


@dataclass(frozen=True)
class Made:
    """The result of attempts, and the remedies that they took.

    Parameters
    ----------
    lighter
        How many steps of the ladder were taken.
    remedies
        Remedies before the last attempt.
    """

    value: Any
    lighter: int
    remedies: tuple[Recovery, ...]

    def lines(self) -> list[dict[str, Any]]:
        """The remedies, in a form for the catalog."""
        return [remedy.as_json() for remedy in self.remedies]


def until_it_fits(
    stage: str,
    name: str,
    ladder: Sequence[str],
    attempt: Callable[[int], Any],
    lighter: int = 0,
) -> Made | Failed:
    """Attempt a fit; if memory runs out, attempt it with the next step of the ladder.

    A process that stalled, or was killed with memory left, is attempted once more unchanged.

    Parameters
    ----------
    ladder
        What each lighter step does, in words.
    attempt
        Gets the number of steps taken.
    lighter
        Number of steps taken before the first attempt.

    Raises
    ------
    Exception
        An error that `failed_fit` does not know, which is a bug.
    """
    remedies: list[Recovery] = []
    while True:
        try:
            value = attempt(lighter)
        except Exception as error:  # noqa: BLE001 - `failed_fit` raises bugs again
            remedies = _came_to(remedies, "it did not help")
            failed = failed_fit(stage, error, tuple(remedy.as_json() for remedy in remedies))
            remedies += [Recovery(**line) for line in getattr(error, "lines", ())]
            died = isinstance(error, ProcessDied) and not error.out_of_memory
            if died and not any(remedy.remedy == AGAIN for remedy in remedies):
                remedies.append(noted(name, symptom_of(error), failed.symptom, AGAIN))
                continue
            stalled = isinstance(error, ProcessDied) and error.stalled
            if stalled or failed.kind != "resource" or lighter >= len(ladder):
                return failed
            remedies.append(noted(name, symptom_of(error), failed.symptom, ladder[lighter]))
            lighter += 1
        else:
            return Made(value, lighter, tuple(_came_to(remedies, "succeeded")))


def symptom_of(error: Exception) -> str:
    """A few words for the error of a fit."""
    return error.symptom if isinstance(error, ProcessDied) else "not enough memory"


def _came_to(remedies: list[Recovery], result: str) -> list[Recovery]:
    """The lines, with the result of the newest."""
    return [*remedies[:-1], replace(remedies[-1], result=result)] if remedies else []


def failed_fit(stage: str, error: Exception, remedies: tuple[dict[str, Any], ...] = ()) -> Failed:
    """The `Failed` of a fit that ran out of resources or raised a known error; raises bugs."""
    text = str(error) or type(error).__name__
    remedies = (*remedies, *getattr(error, "lines", ()))
    if isinstance(error, ResourceError | MemoryError):
        return Failed(stage, text, kind="resource", remedies=remedies)
    if isinstance(error, FIT_ERRORS):
        return Failed(stage, text, remedies=remedies)
    if any(words in text for words in OUT_OF_MEMORY):
        return Failed(stage, f"no memory left ({text})", kind="resource", remedies=remedies)
    raise error
