"""What is known of a downloaded file: its version at the server, and its bytes when verified.

It stands beside the file, in ``<name>.source.json``. Without it a flipped byte is taken for new
data, from which everything that follows is made again.
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
SMALL_BYTES = 64 << 20  # read in less time than the server is asked
FIELDS = {"version", "size", "modified_ns", "digest", "compared"}


def note_verified(path: Path, version: str | None, digest: str) -> None:
    """Note what a file is that has just been verified, or compared with its digest."""
    stat = path.stat()
    noted = {"version": version, "size": stat.st_size, "modified_ns": stat.st_mtime_ns}
    write_note(path, noted | {"digest": digest, "compared": time.time()})


def is_as_verified(path: Path, recheck_days: float) -> bool:
    """Whether a file still is what was verified; one that is not serves no longer.

    Parameters
    ----------
    path
        Of a file that `note_verified` may have noted.
    recheck_days
        Size and time of change are compared always. Bytes are read and compared where the time
        differs, or where they were compared last so many days ago; 0 is each time, as it is for
        files that are small.
    """
    noted = read_note(path)
    if not noted.keys() >= FIELDS or not path.exists():
        return False
    stat, age_s = path.stat(), time.time() - noted["compared"]
    untouched = noted["modified_ns"] == stat.st_mtime_ns
    if noted["size"] == stat.st_size:
        fresh = 0 <= age_s < recheck_days * DAY_S and stat.st_size > SMALL_BYTES
        if untouched and fresh:
            return True
        if digest_file(path) == noted["digest"]:
            if not untouched or stat.st_size > SMALL_BYTES:
                note_verified(path, noted["version"], noted["digest"])
            return True
    logger.warning(
        "%s: its bytes are not those that were verified (a fault of the disk, or changed by "
        "hand); it serves no longer and is downloaded again",
        path,
    )
    forget(path)
    return False


def known_digest(path: Path) -> str | None:
    """Digest of a large file by its note, while size and time are the noted ones; else None.

    Its bytes are compared when the run begins that brings data in (`is_as_verified`).
    """
    noted = read_note(path)
    if not noted.keys() >= FIELDS or not path.exists():
        return None
    stat = path.stat()
    same = [noted["size"], noted["modified_ns"]] == [stat.st_size, stat.st_mtime_ns]
    return str(noted["digest"]) if same and stat.st_size > SMALL_BYTES else None


def read_note(path: Path) -> dict[str, Any]:
    """What is noted of a file; empty where nothing is, or it cannot be read."""
    try:
        value = json.loads(_beside(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_note(path: Path, noted: dict[str, Any]) -> None:
    """Replace what is noted of a file."""
    with atomic_write(_beside(path)) as handle:
        handle.write(json.dumps(noted).encode())


def forget(path: Path) -> None:
    """Remove what is noted of a file."""
    _beside(path).unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".source.json")
