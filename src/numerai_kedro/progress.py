"""Bars and lines of progress: on a terminal a bar that moves, elsewhere nothing but the log."""

from __future__ import annotations

import sys
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

Advance = Callable[[float, float], None]


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
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,  # type: ignore[arg-type]
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
