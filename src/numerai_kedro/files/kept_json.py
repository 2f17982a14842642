"""Small JSON values on disk, each with its digest, so that a flipped bit is never read as a value.

A value that must not be lost is written twice: a damaged file is then restored from its copy.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from numerai_kedro.errors import DiskFull, StoreError
from numerai_kedro.files.atomic import atomic_write
from numerai_kedro.files.digests import digest_bytes

logger = logging.getLogger(__name__)

COPY = ".copy"


def write_kept(path: Path, value: Any, copied: bool = False) -> None:
    """Replace a value; `copied` adds a copy next to it, for values that cannot be made again."""
    plain = json.loads(json.dumps(value))  # as it will be read: keys are texts, tuples are lists
    content = json.dumps({"digest": digest_of(plain), "value": plain}, indent=1).encode()
    for target in (path, _copy(path)) if copied else (path,):
        _write(target, content)


def read_kept(path: Path, copied: bool = False) -> Any:
    """The value that `write_kept` wrote.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    StoreError
        It is damaged, and so is its copy if it should have one.
    """
    if not copied:
        return _read(path)
    contents = [_content(candidate) for candidate in (path, _copy(path))]
    intact = next((candidate for candidate in contents if isinstance(candidate, bytes)), None)
    if intact is None:
        return _read(path)  # which raises
    for target, content in zip((path, _copy(path)), contents, strict=True):
        # A run that was killed between the two writes left an old copy, or none.
        if content != intact:
            if isinstance(content, StoreError):
                logger.warning("%s It is restored from its copy.", content)
            with suppress(OSError, DiskFull):  # the value was read all the same
                _write(target, intact)
    return json.loads(intact)["value"]


def find_kept(path: Path) -> Any | None:
    """The value; None if there is none, or (with a warning) if it is damaged."""
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except StoreError as damaged:
        logger.warning("%s It is ignored.", damaged)
        return None


def forget_kept(path: Path) -> None:
    """Remove a value, and its copy."""
    path.unlink(missing_ok=True)
    _copy(path).unlink(missing_ok=True)


def _write(target: Path, content: bytes) -> None:
    with atomic_write(target) as handle:
        handle.write(content)


def _content(path: Path) -> bytes | Exception:
    """The bytes of an intact file, or what is wrong with it."""
    try:
        _read(path)
        return path.read_bytes()
    except (FileNotFoundError, StoreError) as problem:
        return problem


def _read(path: Path) -> Any:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["digest"] == digest_of(stored["value"]):
            return stored["value"]
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise StoreError(f"{path}: damaged (a flipped bit, or changed by hand).")


def digest_of(value: Any) -> str:
    """Digest of a JSON value, which may hold NaN."""
    return digest_bytes(json.dumps(value, sort_keys=True).encode())


def _copy(path: Path) -> Path:
    return path.with_name(path.name + COPY)
