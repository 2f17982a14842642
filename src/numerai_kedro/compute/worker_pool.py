"""Several fits at once, each in a child process on one core."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from queue import SimpleQueue
from typing import Any, Self

from numerai_kedro.compute.isolation import SAMPLE_S, Progress, Worker
from numerai_kedro.compute.recovery import Recovery, noted
from numerai_kedro.errors import ProcessDied

logger = logging.getLogger(__name__)

ALONE = "left to be fitted again, alone"


class WorkerPool:
    """A pool of workers, for tasks that use one core each.

    Parameters
    ----------
    size
        Number of workers.
    name, stall_s
        As `Worker` has them.
    """

    def __init__(self, size: int, name: str, stall_s: float = float("inf")) -> None:
        self.name, self.size = name, size
        self._lines: list[Recovery] = []
        self._workers = [Worker(name, stall_s=stall_s) for _ in range(size)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def readings(self) -> list[dict[str, Any]]:
        """Memory of all workers together, each at its peak; empty if none has worked."""
        peaks = [
            max(worker.watches, key=lambda w: w.peak_gb)
            for worker in self._workers
            if worker.watches
        ]
        planned, peak = (sum(getattr(w, name) for w in peaks) for name in ("planned_gb", "peak_gb"))
        return [{"planned_gb": round(planned, 3), "peak_gb": round(peak, 3)}] if peaks else []

    def taken_lines(self) -> list[dict[str, Any]]:
        """Return and clear the recovery lines, in a form for the catalog."""
        lines, self._lines = self._lines, []
        return [line.as_json() for line in lines]

    def run(
        self, task: Callable[..., Any], *arguments: Any, progress: Progress, planned_gb: float
    ) -> Any:
        """Run one task, as `Worker.run` does."""
        return self._workers[0].run(task, *arguments, progress=progress, planned_gb=planned_gb)

    def try_all(
        self,
        task: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        progress: Progress,
        planned_gb: float,
    ) -> None:
        """Try a task with each of the arguments, in parallel on all workers.

        A failure raises nothing here: the caller runs the task again, alone, and gets the error
        then. A child that died is recorded, because the next attempt may succeed.
        """
        free: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            free.put(worker)
        progress_of, ending = _of_several(len(arguments), progress), threading.Event()

        def one(number: int) -> None:
            worker = free.get()
            try:
                if not ending.is_set():
                    self._try(worker, task, arguments[number], progress_of(number), planned_gb)
            finally:
                free.put(worker)

        with ThreadPoolExecutor(self.size) as pool:
            tasks: list[Future[None]] = []
            try:
                for number in range(len(arguments)):
                    tasks.append(pool.submit(one, number))
                for future in tasks:
                    future.result()
            except BaseException:  # the run ends, and so must its threads
                ending.set()
                while wait_for(tasks, timeout=SAMPLE_S).not_done:
                    for worker in self._workers:
                        worker.kill()
                raise

    def _try(
        self,
        worker: Worker,
        task: Callable[..., Any],
        arguments: tuple[Any, ...],
        progress: Progress,
        planned_gb: float,
    ) -> None:
        try:
            worker.run(task, *arguments, progress=progress, planned_gb=planned_gb)
        except ProcessDied as died:
            self._lines.append(noted(self.name, died.symptom, str(died), ALONE))
        except Exception as error:
            logger.debug("%s: left to be done alone", self.name, exc_info=error)

    def close(self) -> None:
        """End all workers; finished work is on disk."""
        for worker in self._workers:
            worker.close()


def _of_several(n_tasks: int, progress: Progress) -> Callable[[int], Progress]:
    """Progress callbacks of single tasks, which report the progress of all."""
    done, lock = [0.0] * n_tasks, threading.Lock()

    def of(number: int) -> Progress:
        def told(steps: float, whole: float) -> None:
            with lock:
                done[number] = steps / whole
                progress(sum(done), n_tasks)

        return told

    return of
