"""Notes on downloaded files: version on the server, and digest of the bytes that were verified.

A note lies next to its file, in ``<name>.source.json``. Without it, a flipped byte would look like
new data, and everything downstream would run again.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from numerai_kedro.files.atomic import atomic_write
from numerai_kedro.files.digests import digest_file

logger = logging.getLogger(__name__)

DAY_S = 86_400
SMALL_BYTES = 64 << 20  # faster to read than a request to the server
FIELDS = {"name", "version", "size", "modified_ns", "digest", "compared"}


def note_verified(path: Path, name: str, version: str | None, digest: str) -> None:
    """Note a file that has just been verified, or compared with its digest.

    Parameters
    ----------
    name, version
        As the server lists it, data version first; and its ETag.
    """
    stat = path.stat()
    note = {
        "name": name,
        "version": version,
        "size": stat.st_size,
        "modified_ns": stat.st_mtime_ns,
    }
    write_note(path, note | {"digest": digest, "compared": time.time()})


def is_as_verified(path: Path, name: str, recheck_days: float) -> bool:
    """Whether a file is unchanged since it was verified; if its bytes differ, its note is removed.

    A note under another name (of another data version) is about another file, and stays.

    Parameters
    ----------
    path
        Of a file that `note_verified` may have noted.
    name
        As the server lists it, data version first.
    recheck_days
        Size and modification time are always compared. Bytes are read and compared if the time
        differs, or if the last comparison is this many days old; 0 means every time, as for small
        files.
    """
    note = read_note(path)
    if not note.keys() >= FIELDS or note["name"] != name or not path.exists():
        return False
    stat, age_s = path.stat(), time.time() - note["compared"]
    untouched = note["modified_ns"] == stat.st_mtime_ns
    if note["size"] == stat.st_size:
        fresh = 0 <= age_s < recheck_days * DAY_S and stat.st_size > SMALL_BYTES
        if untouched and fresh:
            return True
        if digest_file(path) == note["digest"]:
            if not untouched or stat.st_size > SMALL_BYTES:
                note_verified(path, name, note["version"], note["digest"])
            return True
    logger.warning(
        "%s: its bytes are not those that were verified (a fault of the disk, or changed by "
        "hand); it is discarded and downloaded again",
        path,
    )
    forget(path)
    return False


def data_version_of(path: Path) -> str:
    """The data version under which the server listed the file; empty if there is no note."""
    return str(read_note(path).get("name", "")).partition("/")[0]


def known_digest(path: Path) -> str | None:
    """Noted digest of a large file, as long as size and time match the note; else None.

    Its bytes are compared at the start of a run that downloads data (`is_as_verified`).
    """
    note = read_note(path)
    if not note.keys() >= FIELDS or not path.exists():
        return None
    stat = path.stat()
    same = [note["size"], note["modified_ns"]] == [stat.st_size, stat.st_mtime_ns]
    return str(note["digest"]) if same and stat.st_size > SMALL_BYTES else None


def read_note(path: Path) -> dict[str, Any]:
    """The note of a file; empty if there is none, or it cannot be read."""
    try:
        value = json.loads(_note_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_note(path: Path, note: dict[str, Any]) -> None:
    """Replace the note of a file."""
    with atomic_write(_note_path(path)) as handle:
        handle.write(json.dumps(note).encode())


def forget(path: Path) -> None:
    """Remove the note of a file."""
    _note_path(path).unlink(missing_ok=True)


def _note_path(path: Path) -> Path:
    return path.with_name(path.name + ".source.json")
