"""Long fits in a child process: its memory really comes back, and its death is an event.

The child is spawned, never forked: a forked child of a process that has used OpenMP hangs. It does
one task after another, says how far it is, hands its log lines up, and ends with its parent.
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
# From -1000 to 1000, the first to be ended when memory is out: a fit is made again, a run
# that ends in the middle of the night is not.
FIRST_TO_GO = ("/proc/self/oom_score_adj", "1000")
# Gets steps done and steps in all.
Progress = Callable[[float, float], None]


# Set when this process ends: threads that wait for a child then end with it.
_ending = threading.Event()


class Ending(BaseException):
    """The process ends, so no child is started any more."""


def end_all() -> None:
    """End every child, and let no thread start another."""
    _ending.set()
    for child in multiprocessing.active_children():
        child.kill()


def begin() -> None:
    """Let children be started again: a new run of the same process."""
    _ending.clear()


def _go_on() -> None:
    if _ending.is_set():
        raise Ending


def _ending_too(progress: Progress) -> Progress:
    """Progress of a task in this process, which ends where its steps see that the run does."""

    def told(done: float, total: float) -> None:
        _go_on()
        progress(done, total)

    return told


class Executor(Protocol):
    """Where a task runs: here, or in a child."""

    def run(
        self, task: Callable[..., Any], *arguments: Any, progress: Progress, planned_gb: float
    ) -> Any:
        """Do ``task(*arguments, progress)`` and return what it returns."""

    def close(self) -> None:
        """End whatever process there is; the next task gets a fresh one."""


class Inline:
    """Runs tasks in this process."""

    def run(
        self,
        task: Callable[..., Any],
        *arguments: Any,
        progress: Progress,
        planned_gb: float,
    ) -> Any:
        """Do the task here."""
        return task(*arguments, progress)

    def close(self) -> None:
        """Nothing was started."""


class Worker:
    """Runs tasks in one child process, started with the first of them.

    Parameters
    ----------
    name
        Of the model, for the lines that are said.
    isolate_gb
        Tasks that are predicted to need less run here: a process takes seconds to start.
    stall_s
        A child that neither computes nor says anything for so many seconds is ended.

    Attributes
    ----------
    watches
        Readings of memory, one of each task that ran in the child.
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
        """Do ``task(*arguments, progress)`` in the child and return what it returns.

        Parameters
        ----------
        task, *arguments
            A function of a module, and what can be pickled.
        progress
            Called here with what the task tells its own.
        planned_gb
            What the task should need, in GiB.

        Raises
        ------
        ProcessDied
            The child was ended by a signal; says which, and whether memory was the reason, or that
            it stood still.
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
            # Whatever `progress` raised: the child is in its task still, whose answer is nobody's.
            self.kill()
            self.close()
            raise
        if kind == "raised":
            error, trace = content
            error.add_note(f"In the child process:\n{trace}")
            raise error
        return content

    def _answer(self, pipe: Connection, watch: MemoryWatch, progress: Progress) -> tuple[str, Any]:
        """Wait for what becomes of the task, reading memory and handing on what the child says."""
        read_at, still = time.monotonic(), 0
        seconds = cpu_seconds(self._process.pid)
        while True:
            if time.monotonic() >= read_at:
                watch.sample(self._process.pid)
                read_at = time.monotonic() + SAMPLE_S
            if not pipe.poll(SAMPLE_S):
                # Counted, not timed: a machine that slept, or a run that was stopped, is no stall.
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
        """Of memory, one of each task that ran in the child."""
        return [watch.as_json() for watch in self.watches]

    def taken_lines(self) -> list[dict[str, Any]]:
        """What went wrong beside the answers: nothing, each is of one task."""
        return []

    def kill(self) -> None:
        """End the child in the middle of its task."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the child; what it has finished is on disk."""
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
    """What a process has computed so far, all its threads together."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _serve(pipe: Connection) -> None:
    """Do tasks until the parent closes the pipe."""
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
        except Exception as error:  # noqa: BLE001 - the border: whatever it is goes up
            answer = ("raised", (_portable(error), traceback.format_exc()))
        pipe.send(answer)


def _go_first() -> None:
    """Have the kernel end this process rather than its parent when memory is out."""
    path, score = FIRST_TO_GO
    with suppress(OSError), open(path, "r+") as asked:  # the kernel's own; there on Linux alone
        asked.write(score)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _portable(error: Exception) -> Exception:
    """The error itself where it survives the way up, else its name and text."""
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
