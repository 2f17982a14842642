"""The tree of our exceptions, below every room; and the outcome that is not a crash.

    NumeraiKedroError                 one clear sentence: where, found, expected, remedy
    ├── ConfigurationError            a parameter, an entry of the catalog, a setting
    ├── SchemaError                   a file of the tournament is not what it must be
    │   └── LabelFrontierError        targets that were known are gone
    ├── PanelError                    the SSD cache is torn, foreign or flipped
    ├── StoreError                    a saved model or fold is damaged, or not ours
    ├── LeakError                     a fold would learn from what it is tested on
    ├── PredictionError               predictions that nobody can score or submit
    ├── BlendError                    nothing to blend, or members that do not fit together
    ├── ResourceError                 it does not fit on this machine
    │   └── ProcessDied               the process of a fit was ended from outside
    ├── DiskFull                      a write found no room on the disk
    ├── CredentialsError              a key is missing or refused
    ├── TournamentError               the tournament said no, or nothing
    │   ├── TournamentUnreachable     no answer: try again later
    │   ├── TournamentRefused         an answer, and it is no: final
    │   └── RoundClosed               there is nothing to submit to
    │       └── RoundMoved            another round is open by now
    ├── DownloadError                 a file did not arrive whole
    ├── SystemRefused                 the operating system: read-only, not allowed, too many files
    ├── Stopped                       Ctrl-C, or the signal that ends a service
    └── SubmissionError               a submission that would be refused

A traceback is for bugs: whatever derives from `NumeraiKedroError` reaches the user as its sentence
and an exit code of 1, because click shows a `ClickException` so; `Stopped` has the signal's.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field
from typing import Any, Literal

import click

# A fit that is killed with less than this left was killed for its memory.
NO_MEMORY_LEFT_GB = 0.3


class NumeraiKedroError(click.ClickException):
    """An error that the user can fix; its text is one sentence that says how.

    Attributes
    ----------
    lines
        What was tried before it was raised, as `compute.recovery` has it.
    """

    lines: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        return self.message


class ConfigurationError(NumeraiKedroError):
    """A parameter, catalog entry or setting is not what it must be."""


class SchemaError(NumeraiKedroError):
    """A file of the tournament is not what it must be; names file, column and value."""


class LabelFrontierError(SchemaError):
    """Targets that were resolved in an earlier file are missing from a later one."""


class PanelError(NumeraiKedroError):
    """The era panel on disk is truncated, corrupted or incompatible."""


class StoreError(NumeraiKedroError):
    """A saved model or fold is damaged, or was not written by this project."""


class LeakError(NumeraiKedroError):
    """A fold would learn from eras that overlap those it is tested on."""


class PredictionError(NumeraiKedroError):
    """Predictions that cannot be scored; names model, era and count."""


class BlendError(NumeraiKedroError):
    """There is nothing to blend, or the members do not fit together."""


class ResourceError(NumeraiKedroError):
    """What was asked for does not fit on this machine; says what is needed and what is there."""


class ProcessDied(ResourceError):
    """The child process of a fit ended without an answer.

    Parameters
    ----------
    name
        Of the model.
    exit_code
        Minus the signal's number where a signal ended it.
    peak_gb, left_gb
        What it held at most, and the least that was left beside it, in GiB.
    kernel_killed
        Whether the control group counted a victim of the kernel's memory killer meanwhile.
    stalled_s
        For how many seconds it had stood still when it was ended for that; None where it had not.
    """

    def __init__(
        self,
        name: str,
        exit_code: int,
        peak_gb: float,
        left_gb: float,
        kernel_killed: bool,
        stalled_s: float | None = None,
    ) -> None:
        code = -exit_code
        ended = signal.Signals(code).name if code in list(signal.Signals) else f"code {exit_code}"
        self.stalled = stalled_s is not None
        self.out_of_memory = kernel_killed or (
            not self.stalled and code == signal.SIGKILL and left_gb < NO_MEMORY_LEFT_GB
        )
        reason = ": out of memory, ended by the kernel" if self.out_of_memory else ""
        if self.stalled:
            reason = f": it had stood still for {stalled_s:.0f} s"
        killed = f"the process was killed{' for memory' if self.out_of_memory else ''}"
        self.symptom = "the process stood still" if self.stalled else killed
        super().__init__(
            f"{name}: the process of the fit was ended by {ended} with {peak_gb:.2f} GB in use and "
            f"{left_gb:.2f} GB left{reason}"
        )


class DiskFull(NumeraiKedroError):
    """A file could not be written; says what it needs and what is free. Nothing was overwritten."""


class CredentialsError(NumeraiKedroError):
    """A key is missing or was refused; never holds the key itself."""


class TournamentError(NumeraiKedroError):
    """The tournament said no, or nothing."""


class TournamentUnreachable(TournamentError):
    """No usable answer within the time allowed; trying again later may help."""


class TournamentRefused(TournamentError):
    """The tournament answered, and the answer is no; trying again unchanged is useless."""


class RoundClosed(TournamentError):
    """No round is open for submissions."""


class RoundMoved(RoundClosed):
    """Another round has opened than the predictions are for; it has other live ids."""


class DownloadError(NumeraiKedroError):
    """A file did not arrive whole; what was there before is untouched."""


class SystemRefused(NumeraiKedroError):
    """The operating system refused a file; says which, and what helps."""


class Stopped(NumeraiKedroError):
    """The run was ended from outside.

    Parameters
    ----------
    signal_number
        ``SIGINT``, which is Ctrl-C, or ``SIGTERM``.
    """

    def __init__(self, signal_number: signal.Signals) -> None:
        by = "Ctrl-C" if signal_number == signal.SIGINT else signal_number.name
        super().__init__(
            f"stopped by {by}; what is finished stays: the same command goes on from there."
        )
        self.exit_code = 128 + signal_number  # type: ignore[misc]  # of this one, not of the class


class SubmissionError(NumeraiKedroError):
    """A submission that the tournament would refuse; nothing was uploaded."""


def without_password(text: str) -> str:
    """Mask what stands before the last @ of an address, and any password=, before it is shown."""
    return re.sub(r"(?i)(password=)[^&\s]+", r"\1***", re.sub(r"//[^\s?#]+@", "//***@", text))


@dataclass(frozen=True)
class Failed:
    """The outcome of a stage that has no value: what happened, and what was tried.

    A node of the model template returns this instead of raising, later nodes pass it on, and the
    ensemble takes the models that are values.

    Parameters
    ----------
    stage
        The node that failed, such as ``"walk_forward"``.
    symptom
        One sentence for the user.
    kind
        ``"not run"`` where the entry was never made; ``"off"`` where the user wants it so, which
        is no reason to try again.
    remedies
        What was tried before giving up, in order: lines of `compute.recovery`.
    """

    stage: str
    symptom: str
    kind: Literal["error", "not run", "off", "postponed", "resource"] = "error"
    remedies: tuple[dict[str, Any], ...] = field(default=())

    def as_json(self) -> dict[str, object]:
        """A form that JSON and MLflow can hold."""
        return {
            "stage": self.stage,
            "symptom": self.symptom,
            "kind": self.kind,
            "remedies": list(self.remedies),
        }
