"""The resource plan: what will run, with how much, and what was cut, said before anything starts.

Decisions come from totals, so that the same machine decides the same and keys stay stable. What is
free now may only refuse.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from numerai_kedro.errors import ResourceError
from numerai_kedro.resilience.machine import GIB, Machine

# What the interpreter, Kedro, MLflow and the page cache's working set take beside a fit.
BASE_MEMORY_GB = 1.5
# Kept free of fits, for the rest of the machine.
RESERVE_MEMORY_GB = 1.0
RESERVE_DISK_GB = 1.0
# Bytes of one row beside its features: id, 41 float32 targets.
ROW_BYTES = 200
STRIDES = (1, 2, 3, 4)  # fitting on fewer than every fourth era is another experiment, not a cut


@dataclass(frozen=True)
class Work:
    """What is to be done, in counts.

    Parameters
    ----------
    download_bytes
        Of all files.
    missing_bytes
        Of those that are not on disk yet.
    n_rows
        Of history, every era.
    n_features
        Columns that the panel keeps.
    n_fits
        Fits that are not in the fold store yet.
    fit_work
        Rows x features x trees of the largest fit, from the family's `cost`.
    fit_memory_gb, fit_disk_gb
        Its memory, and what its model takes in the fold store.
    """

    download_bytes: int
    missing_bytes: int
    n_rows: int
    n_features: int
    n_fits: int
    fit_work: float
    fit_memory_gb: float
    fit_disk_gb: float


@dataclass(frozen=True)
class Step:
    """One line of the plan: GiB, and seconds."""

    name: str
    memory_gb: float
    disk_gb: float
    download_gb: float
    seconds: float


@dataclass(frozen=True)
class ResourcePlan:
    """Decisions (they enter keys where they are used) and predictions (they are only shown)."""

    threads: int
    era_stride: int
    steps: tuple[Step, ...]
    cuts: tuple[str, ...]

    def decisions(self) -> dict[str, Any]:
        """What a fit depends on."""
        return {"threads": self.threads, "era_stride": self.era_stride, "cuts": list(self.cuts)}

    def predictions(self) -> list[dict[str, Any]]:
        """What each step will take."""
        return [asdict(step) for step in self.steps]


def plan_resources(work: Work, machine: Machine, work_per_second: float) -> ResourcePlan:
    """Fit the work to the machine, or refuse it.

    Parameters
    ----------
    work : Work
        Counts and predicted costs.
    machine : Machine
        Totals decide; free disk may refuse.
    work_per_second
        Rows x features x trees a second, from `probe`.

    Raises
    ------
    ResourceError
        Not enough disk, or not enough memory even for every fourth era; says need and have.
    """
    panel_gb = work.n_rows * (work.n_features + ROW_BYTES) / GIB
    download_gb = work.download_bytes / GIB
    models_gb = work.n_fits * work.fit_disk_gb
    _refuse_disk(download_gb, panel_gb, models_gb, machine)
    stride = era_stride(work.fit_memory_gb, machine)
    share = 1 / stride
    fit_seconds = work.fit_work * share / work_per_second
    missing_gb = work.missing_bytes / GIB
    # 150 million cells a second and core is what bench_ingestion shows on a slow machine.
    panel_seconds = work.n_rows * work.n_features / 150e6 if work.missing_bytes else 0.0
    fit_memory_gb = BASE_MEMORY_GB + work.fit_memory_gb * share
    steps = (
        Step("download", 0.2, download_gb, missing_gb, work.missing_bytes / 20e6),
        Step("panel", 1.0, panel_gb, 0.0, panel_seconds),
        Step("fits", fit_memory_gb, models_gb, 0.0, fit_seconds * work.n_fits),
    )
    cuts: tuple[str, ...] = ()
    if stride > 1:
        cuts = (
            f"fits learn from every {_ordinal(stride)} era: all of them need "
            f"{BASE_MEMORY_GB + work.fit_memory_gb:.1f} GB, this machine has "
            f"{machine.memory_gb:.1f} GB",
        )
    return ResourcePlan(machine.cores, stride, steps, cuts)


def _refuse_disk(download_gb: float, panel_gb: float, models_gb: float, machine: Machine) -> None:
    there = max(0.0, download_gb + panel_gb - machine.used_disk_gb)
    need = there + models_gb + RESERVE_DISK_GB
    if need > machine.free_disk_gb:
        raise ResourceError(
            f"not enough disk: {download_gb:.1f} GB of downloads, {panel_gb:.1f} GB of panel and "
            f"{models_gb:.1f} GB of models need {need:.1f} GB with the reserve, "
            f"{machine.free_disk_gb:.1f} GB are free; free some (kedro tournament clean), or "
            "choose a smaller feature_set (parameters_ingestion.yml)."
        )


def era_stride(fit_memory_gb: float, machine: Machine) -> int:
    """Every how many eras a fit learns from, so that it fits into the machine's memory.

    Raises
    ------
    ResourceError
        Not even every fourth era fits; says need and have.
    """
    budget = machine.memory_gb - BASE_MEMORY_GB - RESERVE_MEMORY_GB
    for stride in STRIDES:
        if fit_memory_gb / stride <= budget:
            return stride
    raise ResourceError(
        f"not enough memory: a fit on every {_ordinal(STRIDES[-1])} era still needs "
        f"{fit_memory_gb / STRIDES[-1]:.1f} GB, {max(budget, 0):.1f} GB of "
        f"{machine.memory_gb:.1f} GB are for fits; choose a smaller feature_set "
        "(parameters_ingestion.yml)."
    )


def _ordinal(stride: int) -> str:
    return {2: "second", 3: "third", 4: "fourth"}.get(stride, str(stride))
