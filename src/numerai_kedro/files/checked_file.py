"""A file with its digest beside it, for formats whose readers end the process on a damaged one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from numerai_kedro.files.atomic import atomic_folder
from numerai_kedro.files.digests import digest_file

CONTENT, DIGEST = "content", "digest"


def build_checked(folder: str | os.PathLike[str], build: Callable[[Path], None]) -> Path:
    """Replace `folder` by what `build` writes at the path it gets, and the digest of that."""
    with atomic_folder(folder) as partial:
        build(partial / CONTENT)
        (partial / DIGEST).write_text(digest_file(partial / CONTENT), encoding="ascii")
    return Path(folder) / CONTENT


def checked_content(folder: str | os.PathLike[str]) -> Path | None:
    """The file that `build_checked` kept; None where there is none, or it is damaged."""
    content, noted = Path(folder) / CONTENT, Path(folder) / DIGEST
    try:
        whole = digest_file(content) == noted.read_text(encoding="ascii")
    except OSError:
        return None
    return content if whole else None
