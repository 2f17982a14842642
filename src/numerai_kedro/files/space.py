"""Errors of the operating system that users can fix: a full or read-only disk, too many files."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from numerai_kedro.errors import DiskFull, NumeraiKedroError, SystemRefused

FULL = {errno.ENOSPC, errno.EDQUOT}  # the disk, or this user's share of it
# Other errors that a user can fix, and how.
FIXABLE = {
    errno.EROFS: "make the file system writable, or choose another data folder",
    errno.EACCES: "give this user the right to write there",
    errno.EPERM: "give this user the right to write there",
    errno.EMFILE: "raise the limit of open files (ulimit -n 4096)",
    errno.ENFILE: "close other programs: the machine has no open file left",
    errno.EIO: "look after the disk, which fails",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def free_bytes(path: Path) -> int:
    """Free bytes on the disk where a file is, or will be."""
    return shutil.disk_usage(path.parent).free


def is_full(error: OSError) -> bool:
    """Whether a write failed because the disk was full."""
    return error.errno in FULL


def disk_full(path: Path, needed: str) -> DiskFull:
    """Make the error; `needed` says how many bytes, such as ``"1,024"``."""
    return DiskFull(
        f"{path}: the disk is full: {needed} bytes are needed, {free_bytes(path):,} are free; free "
        "some (kedro tournament clean) and run the same command again. What was there before is "
        "untouched."
    )


def refused_a_connection(error: BaseException) -> NumeraiKedroError | None:
    """The error if no connection could be opened here; None if the server is at fault."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return refused(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return None


def refused(error: OSError) -> NumeraiKedroError | None:
    """The error to show for one of the system; None if a user cannot fix it."""
    where = Path(str(error.filename)) if error.filename else None
    if is_full(error):
        if where is not None and where.parent.exists():
            return disk_full(where, "more")
        return DiskFull("the disk is full; free some and run the same command again.")
    remedy = FIXABLE.get(error.errno or 0)
    if remedy is None:
        return None
    symptom = f"{where}: {error.strerror}" if where else str(error.strerror)
    return SystemRefused(f"{symptom}; {remedy}, and run the same command again.")
