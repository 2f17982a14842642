"""Where fits run, where they are kept, and where their progress is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute.isolation import Executor, Inline
from numerai_kedro.training.protocol import FitProgress, no_progress
from numerai_kedro.training.recipe import Fit

# Called with the steps done, including the fraction of the current one, and their total.
Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class FitRunner:
    """Runs fits and what follows from them.

    Parameters
    ----------
    store : FoldStore
        Keeps finished fits and predictions, and finds them again.
    executor
        Where fits run; by default in this process.
    progress
        Called with the steps done and their total; by default nothing is shown.
    """

    store: FoldStore
    executor: Executor = field(default_factory=Inline)
    progress: Progress = no_progress

    def part(self, number: int, n_parts: int) -> FitRunner:
        """The same for one of several parts, whose steps are fractions of the whole."""
        return replace(self, progress=sub_progress(self.progress, number, n_parts))

    def quiet(self) -> FitRunner:
        """The same without progress."""
        return replace(self, progress=no_progress)

    def run(self, fit: Fit, task: Callable[..., None], *arguments: Any) -> None:
        """Run a fit's task; after a GPU failure run it again on the CPU, in a new process."""
        steps = {"progress": self.progress}
        try:
            self.executor.run(task, fit, *arguments, **steps, planned_gb=fit.planned_gb)
        except Exception as error:  # noqa: BLE001 - `on_cpu` raises all but GPU failures again
            again = fit.on_cpu(error)
            self.executor.close()
            self.executor.run(task, again, *arguments, **steps, planned_gb=again.planned_gb)


def sub_progress(progress: Progress, parts_done: int, n_parts: int) -> FitProgress:
    """Turn the steps of one part into steps of the whole."""
    return lambda done, total: progress(parts_done + done / total, n_parts)
