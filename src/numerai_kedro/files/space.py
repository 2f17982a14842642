"""A full disk is a sentence: which file, what it needs, what is free."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from numerai_kedro.errors import DiskFull

FULL = {errno.ENOSPC, errno.EDQUOT}  # the disk, or this user's share of it


def free_bytes(path: Path) -> int:
    """On the disk where a file is, or will be."""
    return shutil.disk_usage(path.parent).free


def is_full(error: OSError) -> bool:
    """Whether a write failed because there was no room."""
    return error.errno in FULL


def disk_full(path: Path, needed: str) -> DiskFull:
    """Make the error; `needed` says how many bytes, such as ``"1,024"``."""
    return DiskFull(
        f"{path}: the disk is full: {needed} bytes are needed, {free_bytes(path):,} are free; free "
        "some (kedro tournament clean) and run the same command again. What was there before is "
        "untouched."
    )
