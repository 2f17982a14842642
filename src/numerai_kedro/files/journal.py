"""Append-only journals, one record per line: a record that a kill left half-written is cut off."""

from __future__ import annotations

import os
from pathlib import Path

BLOCK_BYTES = 1 << 16


def cut_torn_tail(path: str | os.PathLike[str]) -> int:
    """Cut a journal back to its last complete line; returns how many bytes were removed.

    Half a record would make the next one unreadable, too, which is appended to it. The caller must
    hold the lock that keeps writers out.
    """
    path = Path(path)
    if not path.exists():
        return 0
    with path.open("r+b") as journal:
        size = end = journal.seek(0, os.SEEK_END)
        keep = 0
        while end > 0:
            begin = max(0, end - BLOCK_BYTES)
            journal.seek(begin)
            newline = journal.read(end - begin).rfind(b"\n")
            if newline >= 0:
                keep = begin + newline + 1
                break
            end = begin
        if keep < size:
            journal.truncate(keep)
            journal.flush()
            os.fsync(journal.fileno())
    return size - keep
