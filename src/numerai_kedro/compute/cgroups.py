"""Limits of this process's control groups: in a container they apply, not the machine's.

Version 2 first, then version 1. The limit may be set on a parent group, so all groups from the
process's own to the root are read. Without any groups, there is no limit.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OF_PROCESS = Path("/proc/self/cgroup")
# Version 1 writes "no limit" as a number near 2^63.
NO_LIMIT = 2**60
LIMITS = ("memory.max", "memory.limit_in_bytes")
USAGES = ("memory.current", "memory.usage_in_bytes")
KILLS = ("memory.events", "memory.oom_control")
# Page cache that the kernel can reclaim; version 2, then version 1.
REUSABLE = ("inactive_file", "total_inactive_file")


def memory_limit() -> int | None:
    """Memory limit of this process's groups in bytes; None without a limit."""
    limits = [number for group in _groups() if (number := _number(group, LIMITS)) is not None]
    return min((limit for limit in limits if limit < NO_LIMIT), default=None)


def memory_left() -> int | None:
    """Bytes until the tightest group is full, not counting page cache; None without a limit."""
    free = []
    for group in _groups():
        limit, used = _number(group, LIMITS), _number(group, USAGES)
        if limit is not None and used is not None and limit < NO_LIMIT:
            reusable = max((_entry(group / "memory.stat", name) for name in REUSABLE), default=0)
            free.append(limit - used + reusable)
    return min(free, default=None)


def oom_kills() -> int:
    """Number of processes that the kernel's OOM killer has killed in this process's groups."""
    return sum(_entry(group / name, "oom_kill") for group in _groups() for name in KILLS)


def cores() -> int:
    """Processors this process may use, rounded down, at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    shares = [allowed or 1]
    for group in _groups():
        try:
            quota, period = (group / "cpu.max").read_text().split()
            shares.append(int(quota) // int(period))
        except (OSError, ValueError):  # absent, or "max"
            continue
    return max(1, min(shares))


def _groups() -> list[Path]:
    """Folders of this process's groups, from its own up to each hierarchy's root."""
    try:
        lines = OF_PROCESS.read_text().splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = ROOT / controllers if (ROOT / controllers / LIMITS[1]).exists() else ROOT
        own = root / place.lstrip("/")
        folders += [
            folder for folder in (own, *own.parents) if folder == root or root in folder.parents
        ]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _number(group: Path, names: tuple[str, ...]) -> int | None:
    for name in names:
        try:
            text = (group / name).read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None
    return None


def _entry(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    values = [line.split()[1] for line in lines if line.split()[:1] == [name]]
    return int(values[0]) if values else 0
