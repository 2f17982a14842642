"""One run at a time owns a data folder; the lock dies with its process.

`flock` is free at once after a SIGKILL, where a lock file would have to be cleared by hand.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from numerai_kedro.errors import ConfigurationError


@contextmanager
def folder_lock(
    folder: str | os.PathLike[str], parts: Sequence[str] = ("prepare", "submit")
) -> Iterator[None]:
    """Hold the folder's lock for the length of the block.

    Parameters
    ----------
    parts
        What of the folder: two runs that write different parts do not keep each other waiting.

    Raises
    ------
    ConfigurationError
        Another process holds it; the sentence names its process id.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        for part in parts:
            held.enter_context(_lock(folder, folder / f".lock-{part}"))
        yield


@contextmanager
def _lock(folder: Path, path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode().strip() or "unknown"
            raise ConfigurationError(
                f"{folder}: another run (process {holder}) is using this data folder; "
                "wait for it to end, or stop it."
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
