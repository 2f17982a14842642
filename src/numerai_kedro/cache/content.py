"""What a catalog entry holds, as digests by part: a file, the files of a folder, eras of a panel.

Our own entries list their parts (`HasContents`); for those of a library, the file or folder counts.
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
# A file changed twice within one tick of the file system's clock keeps its time stamp.
TRUSTED_AFTER_NS = 20_000_000


class UnknownContentError(Exception):
    """Something that a node depends on cannot be compared; the node always runs."""


@runtime_checkable
class HasContents(Protocol):
    """An entry that names its parts."""

    def contents(self) -> Mapping[str, Path | str]:
        """Part -> the file that holds it, or its digest; empty if nothing was saved yet."""


class Digests:
    """Digests of files, each read once per run.

    Never kept from one run to the next: a flipped bit changes neither size, time nor inode.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def of(self, path: Path) -> str:
        """Digest of a file's bytes; it is read again only if its size, time or inode differ."""
        stat = path.stat()
        stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        cached = self._known.get(path)
        if cached is not None and cached[0] == stamp:
            return cached[1]
        age = time.time_ns() - stat.st_mtime_ns
        digest = digest_file(path)
        if age > TRUSTED_AFTER_NS:
            self._known[path] = stamp, digest
        return digest


def contents_of(dataset: Any, digests: Digests) -> Contents | None:
    """Digest of every part of an entry; None if nothing is known of its content."""
    if isinstance(dataset, HasContents):
        parts = dataset.contents()
    elif getattr(dataset, "_filepath", None) is not None:
        parts = parts_at(Path(str(dataset._filepath)))
    else:
        return None
    return {
        part: digests.of(value) if isinstance(value, Path) else value
        for part, value in parts.items()
    }


def parts_at(path: Path) -> dict[str, Path | str]:
    """Parts of a file or a folder; none where there is neither."""
    if path.is_file():
        return {"": path}
    return {
        file.relative_to(path).as_posix(): file
        for file in sorted(path.rglob("*"))
        if file.is_file() and PARTIAL_SUFFIX not in file.name
    }
