"""Downloads that arrive whole or not at all.

numerapi's own `download_file` corrupts silently in three ways: it appends a 200 answer to a part
that asked for a range, appends the body of an error, and continues a part of another version. Here
a part is continued only when the answer is the range of the version that was asked for
(``If-Range``), and a file takes its place only when its length is right and `verify` accepts it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import requests
import urllib3

from numerai_kedro.errors import DownloadError, NumeraiKedroError
from numerai_kedro.files.atomic import PARTIAL_SUFFIX
from numerai_kedro.files.bounded_session import BoundedSession
from numerai_kedro.files.digests import digest_file
from numerai_kedro.files.failpoint import passed
from numerai_kedro.files.space import disk_full, free_bytes, is_full, refused_a_connection
from numerai_kedro.files.verified import (
    forget,
    is_as_verified,
    note_verified,
    read_note,
    write_note,
)

logger = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 16  # a broken transfer loses less than one block
TIMEOUT_S = (10, 60)  # connect, and between two blocks
HEADERS_S = 120.0  # until an answer begins
# A trickle is no transfer: at least this many bytes have to arrive in this many seconds.
PACE_BYTES, PACE_S = BLOCK_BYTES, 60.0
ATTEMPTS = 5
# Called with the seconds to wait between attempts (1, 2, 4, 8); tests replace it.
WAIT: Callable[[float], object] = time.sleep

T = TypeVar("T")
Progress = Callable[[int, int], None]
Verify = Callable[[Path], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file of the tournament that has not been fetched yet.

    Parameters
    ----------
    name
        As the tournament lists it, such as ``"v5.3/train.parquet"``.
    url
        Called again before each attempt, because signed addresses expire.
    recheck_days
        The file on disk is compared with its digest again after this many days; 0 compares it every
        time.
    """

    name: str
    url: Callable[[], str]
    recheck_days: float = 0.0


class Interrupted(Exception):
    """An attempt failed, and the next one may succeed."""


def in_attempts(
    name: str, once: Callable[[], T], remedy: str, bytes_so_far: Callable[[], int] = lambda: 0
) -> T:
    """Try until it succeeds, or has failed five times in a row without progress.

    Parameters
    ----------
    name
        Name of the file, for messages.
    once
        One attempt; raises `Interrupted` where another one may succeed.
    remedy
        What the user can do; ends the message of the last error.
    bytes_so_far
        Bytes received. A failed attempt that got at least one block further is not counted.

    Raises
    ------
    DownloadError
        After the last attempt.
    """
    furthest, n_failed = bytes_so_far(), 0
    while True:
        try:
            return once()
        except Interrupted as reason:
            n_bytes = bytes_so_far()
            n_failed = 0 if n_bytes >= furthest + BLOCK_BYTES else n_failed + 1
            furthest = max(furthest, n_bytes)
            if n_failed == ATTEMPTS:
                raise DownloadError(
                    f"{name}: {reason}, {ATTEMPTS} times in a row; {remedy}"
                ) from None
            logger.warning("%s: %s; attempt %d of %d follows", name, reason, n_failed + 1, ATTEMPTS)
            WAIT(2.0 ** max(n_failed - 1, 0))


@contextmanager
def ask(remote: RemoteFile, headers: dict[str, str]) -> Iterator[requests.Response]:
    """Request a file, or a range of it; yields an answer 200, 206 or 416, not read yet.

    Raises
    ------
    Interrupted
        The connection broke, also while reading, or the answer may be different next time.
    DownloadError
        Trying again would not help.
    """
    url = remote.url()
    headers = {"Accept-Encoding": "identity"} | headers
    try:
        with (
            BoundedSession(url, HEADERS_S) as session,
            session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer,
        ):
            session.without_end()
            # 403 is what an expired address gets; the next attempt asks for a fresh one.
            if answer.status_code >= 500 or answer.status_code in {403, 408, 429}:
                raise Interrupted(f"the server answered {answer.status_code}")
            if answer.status_code not in {200, 206, 416}:
                raise DownloadError(
                    f"{remote.name}: the server answered {answer.status_code} "
                    f"({answer.reason}); nothing was overwritten."
                )
            yield answer
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        if (local_error := refused_a_connection(error)) is not None:
            raise local_error from None
        raise Interrupted(f"the connection broke ({type(error).__name__})") from None


def fetch(
    remote: RemoteFile,
    target: str | os.PathLike[str],
    verify: Verify = lambda path: None,
    progress: Progress = lambda done, total: None,
    verify_joined: Verify = lambda path: None,
) -> bool:
    """Bring `target` up to date with `remote`.

    Parameters
    ----------
    remote : RemoteFile
        What to fetch.
    target : path
        Where it goes; the file that is there stays until the new one is complete and verified.
    verify : callable
        Gets the path of the complete download; raises one of our errors if it is damaged.
    progress : callable
        Gets the bytes so far, and the bytes of the whole file.
    verify_joined : callable
        Called after `verify` where the file was assembled from more than one answer.

    Returns
    -------
    bool
        False if `target` was already current: the server reports the same version and size (size
        alone is not enough), and the bytes are those that were verified.

    Raises
    ------
    DownloadError
        After five attempts without progress, or at once if trying again would not help.
    DiskFull
        There is not enough space for it.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + PARTIAL_SUFFIX)
    return in_attempts(
        remote.name,
        lambda: _fetch_once(remote, target, part, (verify, verify_joined), progress),
        "what arrived is kept, run the same command again to continue.",
        bytes_so_far=lambda: _bytes_of(part),
    )


def _fetch_once(
    remote: RemoteFile, target: Path, part: Path, checks: tuple[Verify, Verify], progress: Progress
) -> bool:
    n_bytes, part_version = _bytes_of(part), read_note(part).get("version")
    range_headers = {}
    if n_bytes and part_version:
        range_headers = {"Range": f"bytes={n_bytes}-", "If-Range": part_version}
    with ask(remote, range_headers) as answer:
        if answer.status_code == 416:  # the part is longer than the file: not a part of it
            _drop(part)
            raise Interrupted("the part on disk does not belong to the file offered")
        version, size, start = version_of(answer), size_of(answer), _start_of(answer)
        if _is_current(target, remote, version, size):
            _drop(part)
            return False
        if start and not (range_headers and (start, version) == (n_bytes, part_version)):
            _drop(part)
            raise Interrupted("the server sent another range or version than the one asked for")
        if not start:
            _begin(part, version)
        _append(answer, part, start, size, progress)
    if size is not None and _bytes_of(part) != size:
        raise Interrupted(f"{_bytes_of(part):,} of {size:,} bytes arrived")
    try:
        for check in checks if start else checks[:1]:
            check(part)
    except Exception as unsound:
        _drop(part)  # complete but wrong: continuing it would never help
        if start and isinstance(unsound, NumeraiKedroError):
            raise Interrupted(f"what arrived in pieces is not sound: {unsound}") from None
        raise
    digest = digest_file(part)
    passed("before", target)
    os.replace(part, target)
    passed("after", target)
    forget(part)
    note_verified(target, remote.name, version, digest)
    return True


def _begin(part: Path, version: str | None) -> None:
    """Empty the part before noting its new version: a kill in between must not mix versions."""
    forget(part)
    part.write_bytes(b"")
    write_note(part, {"version": version})


def _append(
    answer: requests.Response, part: Path, start: int, size: int | None, progress: Progress
) -> None:
    if size is not None and size - start > free_bytes(part):
        raise disk_full(part, f"{size - start:,}")
    done = seen = start
    begin = time.monotonic()
    try:
        with part.open("ab") as handle:
            # read1 returns what has arrived; a trickle may never fill a whole block.
            while block := answer.raw.read1(BLOCK_BYTES):
                handle.write(block)
                done += len(block)
                progress(done, size or done)
                if time.monotonic() > begin + PACE_S:
                    if done < seen + PACE_BYTES:
                        raise Interrupted(f"{done - seen:,} bytes in {PACE_S:.0f} s")
                    begin, seen = time.monotonic(), done
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        if not is_full(error):
            raise
        needed = "more" if size is None else f"{size - _bytes_of(part):,}"
        raise disk_full(part, needed) from None


def version_of(answer: requests.Response) -> str | None:
    """The strong ETag, or None: then no part can be continued, and no file is ever current."""
    etag = answer.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else None


def size_of(answer: requests.Response) -> int | None:
    """Bytes of the whole file, whatever range of it was sent."""
    if answer.status_code == 206:
        total = answer.headers.get("Content-Range", "").rpartition("/")[2]
        return int(total) if total.isdigit() else None
    length = answer.headers.get("Content-Length")
    return int(length) if length else None


def _start_of(answer: requests.Response) -> int:
    if answer.status_code != 206:
        return 0
    _, _, span = answer.headers.get("Content-Range", "").partition(" ")
    start = span.partition("-")[0]
    return int(start) if start.isdigit() else -1


def _is_current(target: Path, remote: RemoteFile, version: str | None, size: int | None) -> bool:
    note = read_note(target)
    same = (note.get("version"), note.get("size")) == (version, size)
    return version is not None and same and is_as_verified(target, remote.name, remote.recheck_days)


def _bytes_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    forget(part)
