"""Progress of long work: a bar on a terminal, elsewhere a log line now and then."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

logger = logging.getLogger(__name__)

Advance = Callable[[float, float], None]
LINE_SECONDS = 15


@contextmanager
def bytes_bar(label: str) -> Iterator[Advance]:
    """A bar of bytes with speed and time left."""
    with _bar(label, DownloadColumn(), TransferSpeedColumn()) as advance:
        yield advance


@contextmanager
def steps_bar(label: str) -> Iterator[Advance]:
    """A bar of steps with their share done and the time left."""
    with _bar(label, TaskProgressColumn()) as advance:
        yield advance


@contextmanager
def _bar(label: str, *columns: object) -> Iterator[Advance]:
    if not sys.stderr.isatty():
        yield _lines(label)
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,  # type: ignore[arg-type]
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(label: str) -> Advance:
    """Log a line if at least `LINE_SECONDS` have passed since the last."""
    last = time.monotonic()

    def advance(done: float, total: float) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            logger.info("%s: %s", label, f"{done / total:.0%}" if total else f"{done:,.0f}")

    return advance
