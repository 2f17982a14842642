"""Small JSON values that last, each with its digest: a flipped bit is no other value.

A value that must not be lost is written twice: what is damaged is then mended from its copy.
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
    """Replace a value; with a copy beside it where it could not be made again."""
    plain = json.loads(json.dumps(value))  # as it will be read: keys are texts, tuples are lists
    content = json.dumps({"digest": digest_of(plain), "value": plain}, indent=1).encode()
    for target in (path, _copy(path)) if copied else (path,):
        _write(target, content)


def read_kept(path: Path, copied: bool = False) -> Any:
    """The value that `write_kept` wrote.

    Raises
    ------
    FileNotFoundError
        There is none.
    StoreError
        It is damaged, and so is its copy, where there should be one.
    """
    if not copied:
        return _read(path)
    found = [_content(one) for one in (path, _copy(path))]
    whole = next((one for one in found if isinstance(one, bytes)), None)
    if whole is None:
        return _read(path)  # which raises
    for target, content in zip((path, _copy(path)), found, strict=True):
        # A run that was killed between the two has left the copy of before, or none.
        if content != whole:
            if isinstance(content, StoreError):
                logger.warning("%s It is mended from its copy.", content)
            with suppress(OSError, DiskFull):  # the value is there all the same
                _write(target, whole)
    return json.loads(whole)["value"]


def find_kept(path: Path) -> Any | None:
    """The value; None where there is none, or it is damaged, which is said."""
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except StoreError as damaged:
        logger.warning("%s It is passed over.", damaged)
        return None


def forget_kept(path: Path) -> None:
    """Remove a value, and its copy."""
    path.unlink(missing_ok=True)
    _copy(path).unlink(missing_ok=True)


def _write(target: Path, content: bytes) -> None:
    with atomic_write(target) as handle:
        handle.write(content)


def _content(path: Path) -> bytes | Exception:
    """The bytes of a whole file, or what is the matter with it."""
    try:
        _read(path)
        return path.read_bytes()
    except (FileNotFoundError, StoreError) as missing:
        return missing


def _read(path: Path) -> Any:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["digest"] == digest_of(kept["value"]):
            return kept["value"]
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise StoreError(f"{path}: damaged (a flipped bit, or changed by hand).")


def digest_of(value: Any) -> str:
    """Digest of a JSON value, which may hold NaN."""
    return digest_bytes(json.dumps(value, sort_keys=True).encode())


def _copy(path: Path) -> Path:
    return path.with_name(path.name + COPY)
