"""What a catalog entry holds, as digests by part: a file, the files of a folder, eras of a panel.

An entry of ours says so itself (`HasContents`); one of a library is asked for its file or folder.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numerai_kedro.files import digest_file
from numerai_kedro.files.atomic import PARTIAL_SUFFIX

# Part -> digest; one part with an empty name where the entry is a single thing.
Contents = dict[str, str]
# A file changed twice within the clock's tick of a file system keeps its time stamp.
TRUSTED_AFTER_NS = 20_000_000


class UnknownContentError(Exception):
    """Something that a node depends on cannot be compared; the node always runs."""


@runtime_checkable
class HasContents(Protocol):
    """An entry that names its parts."""

    def contents(self) -> Mapping[str, Path | str]:
        """Part -> the file that holds it, or a digest that is known; empty where not made yet."""


class Digests:
    """Digests of files, each read once a run.

    Never from one run to the next: a flipped bit keeps size, time and inode.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def of(self, path: Path) -> str:
        """Digest of a file's bytes; it is read again only where its size, time or inode differ."""
        stat = path.stat()
        stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        age = time.time_ns() - stat.st_mtime_ns
        digest = digest_file(path)
        if age > TRUSTED_AFTER_NS:
            self._known[path] = stamp, digest
        return digest


def contents_of(dataset: Any, digests: Digests) -> Contents | None:
    """Digest of every part of an entry; None where nothing is known of its content."""
    if isinstance(dataset, HasContents):
        parts = dataset.contents()
    elif getattr(dataset, "_filepath", None) is not None:
        parts = parts_at(Path(str(dataset._filepath)))
    else:
        return None
    return {
        part: digests.of(held) if isinstance(held, Path) else held for part, held in parts.items()
    }


def parts_at(path: Path) -> dict[str, Path | str]:
    """Parts of a file or a folder; none where there is neither."""
    if path.is_file():
        return {"": path}
    return {
        found.relative_to(path).as_posix(): found
        for found in sorted(path.rglob("*"))
        if found.is_file() and PARTIAL_SUFFIX not in found.name
    }
