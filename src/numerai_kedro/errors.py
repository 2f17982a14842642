"""Our tree of exceptions, and `Failed`, the outcome that is not a crash.

    NumeraiKedroError                 one sentence: where, what was found and expected, remedy
    ├── ConfigurationError            a parameter, a catalog entry or a setting is invalid
    ├── SchemaError                   a tournament file does not have the expected form
    │   └── LabelFrontierError        targets that had resolved are missing
    ├── PanelError                    the SSD cache is truncated, corrupted or incompatible
    ├── StoreError                    a saved model or fold is damaged or foreign
    ├── LeakError                     a fold would learn from what it is tested on
    ├── PredictionError               predictions that nobody can score or submit
    ├── BlendError                    nothing to blend, or members that do not fit together
    ├── ResourceError                 the work does not fit on this machine
    │   └── ProcessDied               the child process of a fit died
    ├── DiskFull                      a file does not fit on the disk
    ├── CredentialsError              a key is missing or refused
    ├── TournamentError               the tournament refused, or did not answer
    │   ├── TournamentUnreachable     no answer: try again later
    │   ├── TournamentRefused         it answered no: trying again is useless
    │   └── RoundClosed               no round is open for submissions
    │       └── RoundMoved            another round has opened since
    ├── DownloadError                 a file arrived incomplete
    ├── SystemRefused                 the operating system: read-only, not allowed, too many files
    ├── Stopped                       Ctrl-C, or the signal that ends a service
    └── SubmissionError               a submission that would be refused

Tracebacks are for bugs: click shows a `NumeraiKedroError`, being a `ClickException`, as its message
and exits with code 1; `Stopped` exits with 128 plus the signal's number.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field
from typing import Any, Literal

import click

# A fit that is killed with less free memory than this was killed for lack of memory.
NO_MEMORY_LEFT_GB = 0.3


class NumeraiKedroError(click.ClickException):
    """An error that the user can fix; its text is one sentence that says how.

    Attributes
    ----------
    lines
        What was tried before it was raised: lines of `compute.recovery`.
    """

    lines: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        return self.message


class ConfigurationError(NumeraiKedroError):
    """A parameter, catalog entry or setting is invalid."""


class SchemaError(NumeraiKedroError):
    """A tournament file does not have the expected form; names file, column and value."""


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
    """What was asked for does not fit on this machine; says what is needed and what there is."""


class ProcessDied(ResourceError):
    """The child process of a fit ended without a result.

    Parameters
    ----------
    name
        Of the model.
    exit_code
        The negative number of the signal if one ended it.
    peak_gb, left_gb
        Its peak memory, and the least memory that was free meanwhile, in GiB.
    kernel_killed
        Whether the control group counted an out-of-memory kill meanwhile.
    stalled_s
        Seconds without progress after which it was ended; None if it had not stalled.
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
            reason = f": it made no progress for {stalled_s:.0f} s"
        killed = f"the process was killed{' for memory' if self.out_of_memory else ''}"
        self.symptom = "the process made no progress" if self.stalled else killed
        super().__init__(
            f"{name}: the process of the fit was ended by {ended} with {peak_gb:.2f} GB in use and "
            f"{left_gb:.2f} GB left{reason}"
        )


class DiskFull(NumeraiKedroError):
    """A file could not be written; says what it needs and what is free. Nothing was overwritten."""


class CredentialsError(NumeraiKedroError):
    """A key is missing or was refused; never holds the key itself."""


class TournamentError(NumeraiKedroError):
    """The tournament refused, or did not answer."""


class TournamentUnreachable(TournamentError):
    """No usable answer within the time allowed; trying again later may help."""


class TournamentRefused(TournamentError):
    """The tournament refused the request; trying again unchanged is useless."""


class RoundClosed(TournamentError):
    """No round is open for submissions."""


class RoundMoved(RoundClosed):
    """Another round than that of the predictions has opened; it has other live ids."""


class DownloadError(NumeraiKedroError):
    """A file arrived incomplete; the previous one is untouched."""


class SystemRefused(NumeraiKedroError):
    """The operating system refused access to a file; says which, and what helps."""


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
        self.exit_code = 128 + signal_number  # type: ignore[misc]  # on the instance, not the class


class SubmissionError(NumeraiKedroError):
    """A submission that the tournament would refuse; nothing was uploaded."""


def without_password(text: str) -> str:
    """Mask the part of an address before the last @, and the value of any password=."""
    return re.sub(r"(?i)(password=)[^&\s]+", r"\1***", re.sub(r"//[^\s?#]+@", "//***@", text))


@dataclass(frozen=True)
class Failed:
    """The outcome of a stage without a value: what happened, and what was tried.

    A node of the model template returns this instead of raising, later nodes pass it on, and the
    ensemble uses the models that succeeded.

    Parameters
    ----------
    stage
        The node that failed, such as ``"walk_forward"``.
    symptom
        One sentence for the user.
    kind
        ``"not run"`` if the entry was never made; ``"off"`` if the user's settings leave it out,
        so that there is nothing to try again.
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
