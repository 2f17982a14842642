"""One run at a time owns a data folder; the lock dies with its process.

`flock` is released at once after a SIGKILL; a lock file would have to be removed by hand.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from numerai_kedro.errors import ConfigurationError

logger = logging.getLogger(__name__)

POLL_S = 1.0  # `flock` itself waits without end, or not at all


@contextmanager
def folder_lock(
    folder: str | os.PathLike[str],
    parts: Sequence[str] = ("prepare", "submit"),
    wait_s: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the folder's lock for the length of the block.

    Parameters
    ----------
    parts
        Which parts of the folder: runs that write different parts do not block each other.
    wait_s
        How long to wait for another process, for each part.
    sleep
        Called with the seconds to sleep.

    Raises
    ------
    ConfigurationError
        Another process holds it; the message names its process id.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(_lock(folder, folder / f".lock-{part}", wait_s, sleep))
        yield


@contextmanager
def _lock(
    folder: Path, path: Path, wait_s: float, sleep: Callable[[float], None]
) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        waited_s = 0.0
        while not _try_lock(handle):
            holder = os.pread(handle, 32, 0).decode().strip() or "unknown"
            if waited_s >= wait_s:
                raise ConfigurationError(
                    f"{folder}: another run (process {holder}) is using this data folder; "
                    "wait for it to end, or stop it."
                )
            if not waited_s:
                logger.warning(
                    "%s: waiting for another run (process %s) to end, at most %.0f s",
                    folder,
                    holder,
                    wait_s,
                )
            sleep(POLL_S)
            waited_s += POLL_S
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        # The file stays: if it were deleted, two processes could lock two files of that name.
        os.close(handle)


def _try_lock(handle: int) -> bool:
    """Take the lock if it is free; returns whether it is ours now."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
