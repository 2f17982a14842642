"""What is tried when a fit does not fit: less, then less again, then an outcome with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numerai_kedro.compute.recovery import Recovery, noted
from numerai_kedro.errors import Failed, NumeraiKedroError, ProcessDied, ResourceError

# What a library raises when a fit does not fit: a bug of ours is none of these, and stays a crash.
FIT_ERRORS = (MemoryError, ImportError, NumeraiKedroError)
# Libraries name an error of their own where C++ had no memory.
OUT_OF_MEMORY = ("bad_alloc", "out of memory", "Cannot allocate", "bad allocation")

AGAIN = "fitted again, from where it was"


@dataclass(frozen=True)
class Made:
    """What came of it, and what it took.

    Parameters
    ----------
    lighter
        How many steps of the ladder were taken.
    remedies
        What was tried before, and why.
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
    """Attempt by the first step of the ladder; where memory ends it, by the next.

    What stood still, or was ended from outside with memory left, is attempted once more as it was.

    Parameters
    ----------
    ladder
        What each step beyond the first does, in words.
    attempt
        Gets the number of steps taken.
    lighter
        Steps that are taken from the beginning.

    Raises
    ------
    Exception
        What is no matter of resources, and no error of ours: a bug.
    """
    remedies: list[Recovery] = []
    while True:
        try:
            value = attempt(lighter)
        except Exception as error:  # noqa: BLE001 - what is no outcome is raised again
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
            return Made(value, lighter, tuple(_came_to(remedies, "went through")))


def symptom_of(error: Exception) -> str:
    """A few words for what ended a fit."""
    return error.symptom if isinstance(error, ProcessDied) else "not enough memory"


def _came_to(remedies: list[Recovery], result: str) -> list[Recovery]:
    """The newest line, now that it is known what came of it."""
    return [*remedies[:-1], replace(remedies[-1], result=result)] if remedies else []


def failed_fit(stage: str, error: Exception, remedies: tuple[dict[str, Any], ...] = ()) -> Failed:
    """The outcome of a fit that did not fit; whatever else it is, is a bug and goes on up."""
    text = str(error) or type(error).__name__
    remedies = (*remedies, *getattr(error, "lines", ()))
    if isinstance(error, ResourceError | MemoryError):
        return Failed(stage, text, kind="resource", remedies=remedies)
    if isinstance(error, FIT_ERRORS):
        return Failed(stage, text, remedies=remedies)
    if any(words in text for words in OUT_OF_MEMORY):
        return Failed(stage, f"no memory left ({text})", kind="resource", remedies=remedies)
    raise error
