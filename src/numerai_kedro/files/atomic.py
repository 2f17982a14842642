"""Write to a temporary name, flush, rename: a reader sees the old file or the new one.

A kill at any moment leaves at most a file whose name ends in ``.partial``, which the next write of
the same target removes.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from numerai_kedro.files.failpoint import passed
from numerai_kedro.files.space import disk_full, is_full

PARTIAL_SUFFIX = ".partial"


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to; it becomes `target` when the block ends without an error.

    For libraries that insist on opening the file themselves.

    Raises
    ------
    DiskFull
        The disk is full; `target` is untouched.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_stale(target)
    partial = target.with_name(f"{target.name}.{_writer()}{PARTIAL_SUFFIX}")
    try:
        yield partial
        with open(partial, "rb") as handle:
            os.fsync(handle.fileno())
        passed("before", target)
        os.replace(partial, target)
        _sync_folder(target.parent)
        passed("after", target)
    except OSError as error:
        if not is_full(error):
            raise
        written = partial.stat().st_size if partial.exists() else 0
        partial.unlink(missing_ok=True)  # first, so that the free space reported is without it
        raise disk_full(target, f"more than {written:,}") from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_write(target: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yield a binary file; its content becomes `target` when the block ends without an error."""
    with atomic_path(target) as partial, open(partial, "wb") as handle:
        yield handle  # `atomic_path` syncs it by name, so that a writer may also close it


@contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder; it replaces `target` when the block ends without an error.

    Two renames are needed where `target` exists: a kill between them leaves the old content next to
    it, under ``.partial``, and `target` absent, which every reader treats as "not made yet".
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_stale(target)
    partial = target.with_name(f"{target.name}.{_writer()}{PARTIAL_SUFFIX}")
    partial.mkdir()
    try:
        yield partial
        for path in partial.rglob("*"):
            if path.is_file():
                with open(path, "rb") as handle:
                    os.fsync(handle.fileno())
        passed("before", target)
        retired = target.with_name(f"{target.name}.{_writer()}.retired{PARTIAL_SUFFIX}")
        if target.exists():
            os.replace(target, retired)
            passed("between", target)
        os.replace(partial, target)
        _sync_folder(target.parent)
        passed("after", target)
        shutil.rmtree(retired, ignore_errors=True)
    except OSError as error:
        if not is_full(error):
            raise
        written = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
        shutil.rmtree(partial, ignore_errors=True)
        raise disk_full(target, f"more than {written:,}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _clear_stale(target: Path) -> None:
    """Remove what writers of the same target left when they were killed."""
    for stale in target.parent.glob(f"{target.name}.*{PARTIAL_SUFFIX}"):
        owner = stale.name.removeprefix(f"{target.name}.").partition(".")[0]
        process = owner.partition("-")[0]
        # A file of this thread is stale, too: no thread writes the same target twice at once.
        if not process.isdigit() or (owner != _writer() and _alive(int(process))):
            continue
        if stale.is_dir():
            shutil.rmtree(stale, ignore_errors=True)
        else:
            stale.unlink(missing_ok=True)


def _writer() -> str:
    """Process and thread: two processes, or two threads, may write the same target at once."""
    return f"{os.getpid()}-{threading.get_ident()}"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut: the directory entry must reach the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
