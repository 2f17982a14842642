"""Long fits in a child process: its memory is freed at its end, and its death is detected.

The child is spawned, never forked: a forked child of a process that has used OpenMP hangs. It runs
one task after another, reports progress, forwards its log lines, and ends with its parent.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, Self

import psutil

from numerai_kedro.compute import cgroups
from numerai_kedro.compute.memory import MemoryWatch
from numerai_kedro.errors import ProcessDied

SAMPLE_S = 0.2
END_S = 10.0
# The OOM killer's score, -1000 to 1000: the child is killed first, because its parent can repeat a
# fit, but nobody restarts a run that dies at night.
FIRST_TO_GO = ("/proc/self/oom_score_adj", "1000")
# Called with the steps done and their total.
Progress = Callable[[float, float], None]


# Set when this process ends, so that threads that wait for a child end too.
_ending = threading.Event()


class Ending(BaseException):
    """The process is ending, so no more children are started."""


def end_all() -> None:
    """Kill every child, and prevent threads from starting another."""
    _ending.set()
    for child in multiprocessing.active_children():
        child.kill()


def begin() -> None:
    """Allow children again, for a new run in the same process."""
    _ending.clear()


def _go_on() -> None:
    if _ending.is_set():
        raise Ending


def _ending_too(progress: Progress) -> Progress:
    """Progress of a task in this process, which raises `Ending` when the run ends."""

    def told(done: float, total: float) -> None:
        _go_on()
        progress(done, total)

    return told


class Executor(Protocol):
    """Where a task runs: here, or in a child."""

    def run(
        self, task: Callable[..., Any], *arguments: Any, progress: Progress, planned_gb: float
    ) -> Any:
        """Run ``task(*arguments, progress)`` and return its result."""

    def close(self) -> None:
        """End the child process, if any; the next task gets a new one."""


class Inline:
    """Runs tasks in this process."""

    def run(
        self,
        task: Callable[..., Any],
        *arguments: Any,
        progress: Progress,
        planned_gb: float,
    ) -> Any:
        """Run the task in this process."""
        return task(*arguments, progress)

    def close(self) -> None:
        """Nothing was started."""


class Worker:
    """Runs tasks in one child process, started with the first of them.

    Parameters
    ----------
    name
        Name of the model, for log lines.
    isolate_gb
        Tasks predicted to need less run in this process: a child takes seconds to start.
    stall_s
        A child that neither computes nor reports for so many seconds is killed.

    Attributes
    ----------
    watches
        Memory readings, one `MemoryWatch` per task that ran in the child.
    """

    def __init__(self, name: str, isolate_gb: float = 0.0, stall_s: float = float("inf")) -> None:
        self.name = name
        self.isolate_gb = isolate_gb
        self.stall_s = stall_s
        self.watches: list[MemoryWatch] = []
        self._process: Any = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        task: Callable[..., Any],
        *arguments: Any,
        progress: Progress,
        planned_gb: float,
    ) -> Any:
        """Run ``task(*arguments, progress)`` in the child and return its result.

        Parameters
        ----------
        task, *arguments
            A function of a module, and what can be pickled.
        progress
            Called in this process with the task's progress.
        planned_gb
            Predicted memory of the task, in GiB.

        Raises
        ------
        ProcessDied
            The child stalled, or was killed by a signal; the error names it, and says whether
            memory was the reason.
        Exception
            What the task raised, with the child's traceback as a note.
        """
        _go_on()
        if planned_gb < self.isolate_gb:
            return task(*arguments, _ending_too(progress))
        pipe = self._started()
        watch = MemoryWatch(self.name, planned_gb)
        self.watches.append(watch)
        kills = cgroups.oom_kills()
        try:
            pipe.send((task, arguments))
            kind, content = self._answer(pipe, watch, progress)
        except (EOFError, ConnectionResetError, BrokenPipeError):
            raise self._death(watch, cgroups.oom_kills() > kills) from None
        except BaseException:
            # `progress` raised: nobody needs the result of the task that the child is still in.
            self.kill()
            self.close()
            raise
        if kind == "raised":
            error, trace = content
            error.add_note(f"In the child process:\n{trace}")
            raise error
        return content

    def _answer(self, pipe: Connection, watch: MemoryWatch, progress: Progress) -> tuple[str, Any]:
        """Wait for the task's result, reading memory and forwarding progress and log lines."""
        read_at, still = time.monotonic(), 0
        seconds = cpu_seconds(self._process.pid)
        while True:
            if time.monotonic() >= read_at:
                watch.sample(self._process.pid)
                read_at = time.monotonic() + SAMPLE_S
            if not pipe.poll(SAMPLE_S):
                # Counted, not timed: a sleeping machine or a suspended run is no stall.
                before, seconds = seconds, cpu_seconds(self._process.pid)
                still = still + 1 if seconds == before else 0
                if still * SAMPLE_S >= self.stall_s:
                    raise self._stall(watch)
                continue
            still = 0
            kind, content = pipe.recv()
            if kind == "progress":
                progress(*content)
            elif kind == "log":
                logging.getLogger(content[0]).log(*content[1:])
            else:
                watch.sample(self._process.pid)
                return kind, content

    def readings(self) -> list[dict[str, Any]]:
        """Memory readings, one per task that ran in the child."""
        return [watch.as_json() for watch in self.watches]

    def taken_lines(self) -> list[dict[str, Any]]:
        """Always empty: a worker raises what goes wrong."""
        return []

    def kill(self) -> None:
        """Kill the child in the middle of its task."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the child; finished work is on disk."""
        if self._process is None:
            return
        if self._pipe is not None:
            self._pipe.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None

    def _started(self) -> Connection:
        if self._pipe is None or not self._process.is_alive():
            self.close()
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs,), name=f"{self.name} fits", daemon=True
            )
            process.start()
            self._process = process
            theirs.close()
        assert self._pipe is not None
        return self._pipe

    def _stall(self, watch: MemoryWatch) -> ProcessDied:
        self._process.kill()
        self._process.join()
        code = self._process.exitcode
        self.close()
        return ProcessDied(
            self.name, code, watch.peak_gb, watch.least_left_gb, False, stalled_s=self.stall_s
        )

    def _death(self, watch: MemoryWatch, kernel_killed: bool) -> ProcessDied:
        self._process.join(END_S)
        code = self._process.exitcode
        self.close()
        return ProcessDied(self.name, code, watch.peak_gb, watch.least_left_gb, kernel_killed)


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far, over all its threads."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _serve(pipe: Connection) -> None:
    """Run tasks until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _go_first()
    logging.basicConfig(level=logging.INFO, handlers=[_ToParent(pipe)], force=True)

    def progress(done: float, total: float) -> None:
        pipe.send(("progress", (done, total)))

    while True:
        try:
            task, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer: tuple[str, Any] = ("made", task(*arguments, progress))
        except Exception as error:  # noqa: BLE001 - sent to the parent, which raises it
            answer = ("raised", (_portable(error), traceback.format_exc()))
        pipe.send(answer)


def _go_first() -> None:
    """Have the kernel kill this process rather than its parent when memory runs out."""
    path, score = FIRST_TO_GO
    with suppress(OSError), open(path, "r+") as handle:  # the kernel's own; there on Linux alone
        handle.write(score)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _portable(error: Exception) -> Exception:
    """The error itself if it can be pickled, else its name and text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - any library's exception may refuse, in any way
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class _ToParent(logging.Handler):
    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        self._pipe.send(("log", (record.name, record.levelno, record.getMessage())))
