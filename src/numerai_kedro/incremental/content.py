"""What a catalog entry holds, as digests by part: a file, the files of a folder, eras of a panel.

An entry of ours says so itself (`HasContents`); one of a library is asked for its file or folder.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numerai_kedro.files import atomic_write, digest_file
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
    """Digests of files, found again by size and time of change.

    Parameters
    ----------
    kept
        A JSON file; without it every file is read again.
    """

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        self._known: dict[str, list[Any]] = _read(kept)

    def of(self, path: Path) -> str:
        """Digest of a file's bytes; it is read only where its size or time differ."""
        stat = path.stat()
        key = os.path.relpath(path, self._kept.parent)
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        if key in self._known and self._known[key][:3] == stamp:
            return str(self._known[key][3])
        age = time.time_ns() - stat.st_mtime_ns
        digest = digest_file(path)
        if age > TRUSTED_AFTER_NS:
            self._known[key] = [*stamp, digest]
        return digest

    def save(self) -> None:
        """Keep what was asked for, beside what earlier runs did and is still there."""
        kept = {
            name: stamp
            for name, stamp in self._known.items()
            if (self._kept.parent / name).exists()
        }
        with atomic_write(self._kept) as handle:
            handle.write(json.dumps(kept).encode())


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


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): [*stamp[:3], str(stamp[3])] for name, stamp in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError, IndexError):
        return {}
