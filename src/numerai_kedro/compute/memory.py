"""Memory readings during a fit: what it uses, what is left, and the curve of both."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any

import psutil

from numerai_kedro.compute import cgroups
from numerai_kedro.compute.machine import GIB

logger = logging.getLogger(__name__)

NEAR_THE_PLAN = 0.9  # share of the prediction, above which a warning is logged
LITTLE_LEFT_GB = 0.5
CURVE_POINTS = 200


def unshared_gb(pid: int) -> float:
    """GiB that are freed when the process ends, so without mapped files: they may stay cached."""
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0.0
    return float(memory.rss - getattr(memory, "shared", 0)) / GIB


def left_gb() -> float:
    """GiB that are left in both the machine and the control group."""
    in_group = cgroups.memory_left()
    available = psutil.virtual_memory().available
    return (available if in_group is None else min(available, in_group)) / GIB


@dataclass
class MemoryWatch:
    """Memory readings of one task.

    Parameters
    ----------
    name
        Name for log lines.
    planned_gb
        What the resource plan predicts for the process.
    """

    name: str
    planned_gb: float
    curve: list[tuple[float, float, float]] = field(default_factory=list)
    peak_gb: float = 0.0
    least_left_gb: float = float("inf")
    _begin: float = field(default_factory=time.monotonic)
    _every: int = 1
    _taken: int = 0
    _said: bool = False

    def sample(self, *pids: int) -> None:
        """Take one reading of these processes together."""
        used, free = sum(unshared_gb(pid) for pid in pids), left_gb()
        self.peak_gb = max(self.peak_gb, used)
        self.least_left_gb = min(self.least_left_gb, free)
        if self._taken % self._every == 0:
            self.curve.append((time.monotonic() - self._begin, used, free))
        self._taken += 1
        if len(self.curve) > CURVE_POINTS:  # half as many points, twice as far apart
            self.curve, self._every = self.curve[::2], 2 * self._every
        if not self._said and (used > NEAR_THE_PLAN * self.planned_gb or free < LITTLE_LEFT_GB):
            self._said = True
            logger.warning(
                "%s: holds %.1f GB, %.1f GB were planned; %.1f GB are left on this machine",
                self.name,
                used,
                self.planned_gb,
                free,
            )

    def as_json(self) -> dict[str, Any]:
        """Peak and curve, [seconds, GiB held, GiB left]."""
        return {
            "planned_gb": round(self.planned_gb, 3),
            "peak_gb": round(self.peak_gb, 3),
            "curve": [[round(value, 2) for value in point] for point in self.curve],
        }
