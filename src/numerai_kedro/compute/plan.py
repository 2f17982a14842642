"""The resource plan: what will run, what it needs, and what was cut, before anything starts.

Decisions use totals, so that they and the keys are stable on one machine. What is free now can only
cause a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from numerai_kedro.compute.machine import GIB, Machine
from numerai_kedro.errors import ResourceError

# Memory of the interpreter, Kedro, MLflow and the page cache's working set, besides a fit.
BASE_MEMORY_GB = 1.5
# Memory of a child process before its fit.
CHILD_MEMORY_GB = 0.5
# Not used for fits, but left to the rest of the machine.
RESERVE_MEMORY_GB = 1.0
RESERVE_DISK_GB = 1.0
# Bytes of one row besides its features: id, 41 float32 targets.
ROW_BYTES = 200
LARGEST_STRIDE = 4  # fitting on fewer than every fourth era is another experiment, not a cut
# Presets of networks by machine; the largest first.
MACHINES = ("large_gpu", "small_gpu", "cpu")
LARGE_GPU_GB = 10.0  # a card of 12 GB, less what a desktop takes of it
# Share of a budget for fits; the rest is for importance, scores and the report, and for fits that
# take half as long again as predicted, as on shared machines.
FITS_SHARE = 0.6
# Nanoseconds of work (`Cost.work`) from which a fit is worth a process, which takes seconds.
WORTH_A_PROCESS = 8e9


def preset_for(device: str, gpu_gb: float) -> str:
    """The preset, of `MACHINES`, for a fit on this device."""
    if device == "cpu":
        return "cpu"
    return "large_gpu" if gpu_gb >= LARGE_GPU_GB else "small_gpu"


def lighter_presets(preset: str) -> tuple[str, ...]:
    """Presets that may replace one that does not fit, largest first."""
    return MACHINES[MACHINES.index(preset) + 1 :] if preset in MACHINES else ()


@dataclass(frozen=True)
class Sampling:
    """Which eras a fit learns from.

    Parameters
    ----------
    era_stride
        Every n-th era.
    n_offsets
        How many of the possible offsets are fitted and averaged.
    cut
        What was cut and why; None if nothing was.
    """

    era_stride: int
    n_offsets: int
    cut: str | None = None


def sampling_of(
    name: str, memory_gb: Callable[[int], float], asked: Sampling, machine: Machine
) -> Sampling:
    """Fit one model into the machine's memory: fewer eras per fit, and as many fits as needed.

    Parameters
    ----------
    memory_gb
        Memory of a fit on every n-th era of history, by n.

    Raises
    ------
    ResourceError
        Not even every fourth era fits; the message names the need and what there is.
    """
    budget = machine.memory_gb - BASE_MEMORY_GB - RESERVE_MEMORY_GB
    strides = range(asked.era_stride, max(asked.era_stride, LARGEST_STRIDE) + 1)
    for stride in strides:
        if memory_gb(stride) > budget:
            continue
        if stride == asked.era_stride:
            return asked
        # If every era was to be used, by some offset, it still is: with more fits.
        offsets = stride if asked.n_offsets == asked.era_stride else asked.n_offsets
        fits = f"{offsets} fits, averaged, each" if offsets > 1 else "a fit"
        cut = (
            f"{name}: {fits} on every {_ordinal(stride)}era: every {_ordinal(asked.era_stride)}"
            f"era needs {BASE_MEMORY_GB + memory_gb(asked.era_stride):.1f} GB, this machine has "
            f"{machine.memory_gb:.1f} GB"
        )
        return Sampling(stride, offsets, cut)
    raise ResourceError(
        f"{name}: not enough memory: a fit on every {_ordinal(strides[-1])}era still needs "
        f"{memory_gb(strides[-1]):.1f} GB, {max(budget, 0):.1f} GB of "
        f"{machine.memory_gb:.1f} GB are for fits; choose a smaller feature_set "
        "(parameters_ingestion.yml)."
    )


def fits_at_once(work: float, memory_gb: float, n_fits: int, machine: Machine) -> int:
    """How many one-core fits run at the same time, each in its own process.

    Parameters
    ----------
    work, memory_gb
        Of the largest fit.
    n_fits
        Fits that may run in parallel.
    """
    if work < WORTH_A_PROCESS:
        return 1
    room = machine.memory_gb - BASE_MEMORY_GB - RESERVE_MEMORY_GB
    return max(1, min(machine.cores, n_fits, int(room // (CHILD_MEMORY_GB + memory_gb))))


def quickened(n_fits: int, at_once: int) -> float:
    """Speed-up of `n_fits` if `at_once` of them run at the same time."""
    return n_fits / -(-n_fits // at_once) if n_fits else 1.0


@dataclass(frozen=True)
class Step:
    """One line of the plan: GiB, and seconds.

    Parameters
    ----------
    name
        ``download``, ``panel``, or a model and what it does: ``lightgbm fits``.
    after
        Name of the step that this one depends on.
    passing_gb
        Additional disk while it runs: a file stays until its successor is complete.
    """

    name: str
    memory_gb: float = 0.0
    disk_gb: float = 0.0
    download_gb: float = 0.0
    seconds: float = 0.0
    after: str = ""
    passing_gb: float = 0.0


@dataclass(frozen=True)
class Data:
    """Sizes of the data to be downloaded and converted.

    Parameters
    ----------
    download_bytes, missing_bytes
        Of all files, and of those that are not on disk yet.
    replaced_bytes
        Of the largest file on disk that is replaced.
    n_rows, n_features
        Of the whole history, and the panel's columns.
    """

    download_bytes: int
    missing_bytes: int
    n_rows: int
    n_features: int
    replaced_bytes: int = 0

    def steps(self) -> tuple[Step, Step]:
        """Download and panel."""
        panel_gb = self.n_rows * (self.n_features + ROW_BYTES) / GIB
        # 150 million cells a second and core is what bench_ingestion shows on a slow machine.
        seconds = self.n_rows * self.n_features / 150e6 if self.missing_bytes else 0.0
        missing_gb = self.missing_bytes / GIB
        return (
            Step(
                "download",
                0.2,
                self.download_bytes / GIB,
                missing_gb,
                self.missing_bytes / 20e6,
                passing_gb=self.replaced_bytes / GIB,
            ),
            Step("panel", 1.0, panel_gb, 0.0, seconds),
        )


@dataclass(frozen=True)
class Schedule:
    """What runs now and what waits for a later run.

    Parameters
    ----------
    runs, postponed
        Names of steps, most valuable first.
    """

    runs: tuple[str, ...]
    postponed: tuple[str, ...]
    fit_hours: float | None = None
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """A form for the catalog."""
        return asdict(self) | {"runs": list(self.runs), "postponed": list(self.postponed)}


def fit_hours(budget_hours: float | None, before: Sequence[Step]) -> float | None:
    """Hours of a run's budget for fits and trials, after the steps before them."""
    if budget_hours is None:
        return None
    return FITS_SHARE * max(0.0, budget_hours - sum(step.seconds for step in before) / 3600)


def schedule_steps(steps: Sequence[Step], hours: float | None) -> Schedule:
    """Take steps in order for as long as the budget lasts.

    The first step that takes time always runs, so that every run makes progress.

    Parameters
    ----------
    steps
        Steps other than download and panel, most valuable first.
    hours
        Budget for all of them; None for no limit.
    """
    runs: list[str] = []
    postponed: list[str] = []
    spent = 0.0
    for step in steps:
        over = hours is not None and spent + step.seconds > 3600 * hours
        if step.after in postponed or (over and spent > 0 and step.seconds > 0):
            postponed.append(step.name)
            continue
        runs.append(step.name)
        spent += step.seconds
    return Schedule(tuple(runs), tuple(postponed), hours, spent)


@dataclass(frozen=True)
class ResourcePlan:
    """Decisions, which enter keys where they are used, and predictions, which are only shown."""

    threads: int
    models: dict[str, dict[str, Any]]
    steps: tuple[Step, ...]
    cuts: tuple[str, ...] = field(default=())
    apart: tuple[str, ...] = field(default=())

    def decisions(self) -> dict[str, Any]:
        """What a fit depends on, and which models train in parallel to the others."""
        return {
            "threads": self.threads,
            "models": self.models,
            "cuts": list(self.cuts),
            "apart": list(self.apart),
        }

    def predictions(self) -> list[dict[str, Any]]:
        """Predicted needs of each step."""
        return [asdict(step) for step in self.steps]


def check_disk(steps: Sequence[Step], machine: Machine, cache_limit_gb: float) -> None:
    """Refuse a plan that does not fit on the disk.

    Raises
    ------
    ResourceError
        The message names the need and what is free.
    """
    download, panel, *fits = steps
    # The limit is enforced after every node, which may exceed it by its own models.
    largest = max((step.disk_gb for step in fits), default=0.0)
    models_gb = min(sum(step.disk_gb for step in fits), cache_limit_gb + largest)
    there = max(0.0, download.disk_gb + panel.disk_gb - machine.used_disk_gb)
    # A replaced file is deleted before the first fit.
    need = there + max(download.passing_gb, models_gb) + RESERVE_DISK_GB
    if need > machine.free_disk_gb:
        twice = f" ({download.passing_gb:.1f} GB twice meanwhile)" if download.passing_gb else ""
        raise ResourceError(
            f"not enough disk: {download.disk_gb:.1f} GB of downloads{twice}, {panel.disk_gb:.1f} "
            f"GB of panel and {models_gb:.1f} GB of models need {need:.1f} GB with the reserve, "
            f"{machine.free_disk_gb:.1f} GB are free; free some (kedro tournament clean), or "
            "choose a smaller feature_set (parameters_ingestion.yml)."
        )


def _ordinal(stride: int) -> str:
    """The word before ``era``; empty for every era."""
    return {1: "", 2: "second ", 3: "third ", 4: "fourth "}.get(stride, f"{stride}th ")
