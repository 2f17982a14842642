"""Damage that leaves size, time stamp and inode as they were."""

from __future__ import annotations

import os
from pathlib import Path


def flip(path: Path, at: int | None = None, bit: int = 0) -> None:
    """Flip one bit of a file, by default in its middle."""
    stat = path.stat()
    with path.open("r+b") as handle:
        place = stat.st_size // 2 if at is None else at
        handle.seek(place)
        (byte,) = handle.read(1)
        handle.seek(place)
        handle.write(bytes([byte ^ (1 << bit)]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def overwrite(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes by as many others."""
    assert len(old) == len(new)
    stat, content = path.stat(), path.read_bytes()
    assert old in content, f"{path} has no {old!r}"
    with path.open("r+b") as handle:
        handle.write(content.replace(old, new))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
