"""Whether memory or disk is about to run out: by control group, machine, and stalls."""

from __future__ import annotations

import shutil
from pathlib import Path

from numerai_kedro.compute.machine import GIB
from numerai_kedro.compute.memory import LITTLE_LEFT_GB, left_gb

STALLS = Path("/proc/pressure/memory")  # pressure stall information, since Linux 4.20
MOST_STALLED = 10.0  # per cent of the last ten seconds in which some program waited for memory
LEAST_DISK_GB = 0.5


def memory_pressure() -> str | None:
    """Evidence that memory is nearly gone; None while there is enough."""
    free, stalled = left_gb(), stalled_share()
    if free < LITTLE_LEFT_GB:
        return f"{free:.2f} GB of memory left"
    if stalled > MOST_STALLED:
        return f"programs waited for memory in {stalled:.0f} % of the last ten seconds"
    return None


def stalled_share() -> float:
    """Per cent of the last ten seconds in which some program waited for memory; 0 where unknown."""
    try:
        words = STALLS.read_text(encoding="utf-8").split()
    except OSError:
        return 0.0
    values = [word.partition("=")[2] for word in words if word.startswith("avg10=")]
    return float(values[0]) if values else 0.0


def disk_pressure(folder: Path, wanted_bytes: float) -> str | None:
    """Evidence that `wanted_bytes` do not fit on the disk of a folder, which may not exist yet."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free - wanted_bytes > LEAST_DISK_GB * GIB:
        return None
    return f"{free / GIB:.2f} GB of disk left, {wanted_bytes / GIB:.2f} wanted"
