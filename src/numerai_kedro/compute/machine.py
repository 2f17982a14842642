"""Resources of this machine: decisions use totals; what is free may only delay or refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from numerai_kedro.compute import cgroups

GIB = 2**30
SIMULATED_GPU = "NUMERAI_KEDRO_SIMULATED_GPU_GB"


@dataclass(frozen=True)
class Machine:
    """Totals, on which decisions depend, and what was free when the run began.

    Parameters
    ----------
    memory_gb, cores
        Of the control group or the machine, whichever is less.
    free_memory_gb, free_disk_gb
        In GiB, when read; the disk is that of the data folder.
    used_disk_gb
        Size of the data in the data folder, which a run replaces rather than adds to.
    downloaded
        Bytes of the files in 01_raw, by name.
    raw_folder
        The folder of those files.
    """

    memory_gb: float
    cores: int
    free_memory_gb: float
    free_disk_gb: float
    used_disk_gb: float
    downloaded: Mapping[str, int] = field(default_factory=dict)
    raw_folder: Path = Path()

    def readings(self) -> dict[str, Any]:
        """Values to store with the run; not part of any cache key."""
        numbers = {n: v for n, v in asdict(self).items() if isinstance(v, int | float)}
        sizes = {"downloaded": dict(self.downloaded)}
        return {n: round(v, 2) for n, v in numbers.items()} | sizes


def read_machine(data_folder: str | os.PathLike[str]) -> Machine:
    """Read this machine's totals and what is free now."""
    memory = psutil.virtual_memory()
    total = min(memory.total, cgroups.memory_limit() or memory.total)
    folder = Path(data_folder)
    used = sum(f.stat().st_size for f in folder.glob("0[12]_*/**/*") if f.is_file())
    raw = folder / "01_raw"
    downloaded = {f.name: f.stat().st_size for f in raw.glob("*") if f.is_file()}
    while not folder.exists():  # before the first run: its disk is that of its parent
        folder = folder.parent
    return Machine(
        memory_gb=total / GIB,
        cores=cgroups.cores(),
        free_memory_gb=min(memory.available, total) / GIB,
        free_disk_gb=shutil.disk_usage(folder).free / GIB,
        used_disk_gb=used / GIB,
        downloaded=downloaded,
        raw_folder=raw,
    )


def simulated_gpu_gb() -> float:
    """Memory of a simulated GPU in GiB, for tests and drills; 0 without one."""
    return float(os.environ.get(SIMULATED_GPU, 0))


def gpu_memory_gb() -> float:
    """Video memory of the first NVIDIA GPU in GiB, by its driver; 0 without one."""
    if simulated_gpu_gb():
        return simulated_gpu_gb()
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return float(result.stdout.splitlines()[0]) / 1024
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0.0
