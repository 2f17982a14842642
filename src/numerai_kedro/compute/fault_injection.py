"""Fault injection: `kedro drill` and the tests use it to check the remedies.

An order is an environment variable, which child processes inherit. Faults are counted in a file, so
that they do not happen again in the process that repairs them.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.files import atomic_write

VARIABLE = "NUMERAI_KEDRO_DRILL"
KINDS = ("oom", "nan", "overflow", "kill", "gpu-lost")
MOMENTS = ("first", "middle", "last")
PLACES = ("evaluation", "loading")
IMPOSSIBLE = (("nan", "loading"), ("overflow", "loading"))  # rows are int8, which has neither


@dataclass(frozen=True)
class Order:
    """A fault to be injected.

    Parameters
    ----------
    inject
        One of `KINDS`.
    at
        One of `MOMENTS`, the number of a step, or one of `PLACES`.
    times
        How often in total; for steps, in a row from that one on.
    count
        File that counts the faults.
    """

    inject: str
    at: str
    times: int
    count: str

    def given(self) -> AbstractContextManager[None]:
        """Give the order to this process and its children, inside a block."""
        return variable(VARIABLE, json.dumps(asdict(self)))


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable inside a block, for this process and its children."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def check_place(inject: str, at: str) -> None:
    """Refuse an unknown place, or one where the fault cannot happen.

    Raises
    ------
    ConfigurationError
        The message lists the known places.
    """
    if at not in (*MOMENTS, *PLACES) and not at.isdigit():
        there = ", ".join((*MOMENTS, *PLACES))
        raise ConfigurationError(f"--at {at}: is none of {there}, and no number of a step.")
    if (inject, at) in IMPOSSIBLE:
        raise ConfigurationError(f"--inject {inject} --at {at}: rows that are loaded are int8.")


def due(place: str, step: int = 0, n_steps: int = 1) -> str | None:
    """The fault that is due here, or None; a kill does not return.

    Parameters
    ----------
    place
        ``"step"``, ``"evaluation"`` or ``"loading"``.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        return None
    order = Order(**json.loads(text))
    target_step = _step_of(order.at, n_steps)
    # Later steps count, too: a fault that is ordered several times happens in steps in a row.
    here = place == order.at if target_step is None else place == "step" and step >= target_step
    if not here or not _counted(Path(order.count), order.times):
        return None
    if order.inject == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return order.inject


def _step_of(at: str, n_steps: int) -> int | None:
    if at in PLACES:
        return None
    moments = dict(zip(MOMENTS, (0, n_steps // 2, n_steps - 1), strict=True))
    return moments[at] if at in moments else int(at)


def _counted(count: Path, times: int) -> bool:
    """Whether the fault may happen once more; if so, it is counted."""
    happened = count.stat().st_size if count.exists() else 0
    if happened >= times:
        return False
    with atomic_write(count) as handle:
        handle.write(b"." * (happened + 1))
    return True
