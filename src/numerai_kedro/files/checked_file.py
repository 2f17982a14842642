"""A file and its digest, for formats whose readers crash the process on a damaged file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from numerai_kedro.files.atomic import atomic_folder
from numerai_kedro.files.digests import digest_file

CONTENT, DIGEST = "content", "digest"


def build_checked(folder: str | os.PathLike[str], build: Callable[[Path], None]) -> Path:
    """Replace `folder` by the file that `build` writes to the path it gets, and its digest."""
    with atomic_folder(folder) as partial:
        build(partial / CONTENT)
        (partial / DIGEST).write_text(digest_file(partial / CONTENT), encoding="ascii")
    return Path(folder) / CONTENT


def checked_content(folder: str | os.PathLike[str]) -> Path | None:
    """The file that `build_checked` wrote; None if there is none, or it is damaged."""
    content, digest_path = Path(folder) / CONTENT, Path(folder) / DIGEST
    try:
        is_intact = digest_file(content).encode() == digest_path.read_bytes()
    except OSError:
        return None
    return content if is_intact else None
