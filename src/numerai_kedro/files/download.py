"""Downloads that arrive whole or not at all.

numerapi's own `download_file` corrupts silently in three ways: it appends a 200 answer to a part
that asked for a range, appends the body of an error, and continues a part of another version. Here
a part is continued only when the server confirms range and version (``If-Range``), and a file takes
its place only when its length is right and `verify` accepts it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import tenacity
from requests.auth import AuthBase

from numerai_kedro.errors import DownloadError
from numerai_kedro.files.atomic import PARTIAL_SUFFIX, atomic_write

logger = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 16  # a broken transfer loses less than one block
TIMEOUT_S = (10, 60)  # connect, and between two blocks: a trickle is not a time-out, silence is
ATTEMPTS = 5
# Waits 1, 2, 4, 8 s between attempts; tests replace it by no wait at all.
WAIT = tenacity.wait_exponential(multiplier=1, max=30)

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
        Asked again before each attempt: signed addresses expire.
    """

    name: str
    url: Callable[[], str]


class _NoAuth(AuthBase):
    """Keeps requests from reading ``~/.netrc``, which would replace our own header."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def http_session(url: str) -> requests.Session:
    """Make a session for `url`: no netrc anywhere, no proxy for loopback."""
    session = requests.Session()
    session.auth = _NoAuth()
    session.trust_env = urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"}
    return session


def fetch(
    remote: RemoteFile,
    target: str | os.PathLike[str],
    verify: Verify = lambda path: None,
    progress: Progress = lambda done, total: None,
) -> bool:
    """Bring `target` up to date with `remote`.

    Parameters
    ----------
    remote : RemoteFile
        What to fetch.
    target : path
        Where it goes; what is there stays until the new file is whole and verified.
    verify : callable
        Gets the path of the whole download and raises one of our errors if it is not sound.
    progress : callable
        Gets (bytes so far, bytes in all).

    Returns
    -------
    bool
        False when `target` was current already: same version and size by the server's word, not
        by size alone.

    Raises
    ------
    DownloadError
        After five attempts, or at once where trying again is useless.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    attempt = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Interrupted),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=WAIT,
        before_sleep=lambda state: logger.warning(
            "%s: %s; attempt %d of %d follows",
            remote.name,
            state.outcome.exception() if state.outcome else "",
            state.attempt_number + 1,
            ATTEMPTS,
        ),
        reraise=True,
    )
    try:
        return attempt(_fetch_once, remote, target, verify, progress)
    except _Interrupted as last:
        raise DownloadError(
            f"{remote.name}: {last}, {ATTEMPTS} times in a row; what arrived is kept, "
            "run the same command again to continue."
        ) from None


class _Interrupted(Exception):
    """An attempt that may go better the next time."""


def _fetch_once(remote: RemoteFile, target: Path, verify: Verify, progress: Progress) -> bool:
    url = remote.url()
    part = target.with_name(target.name + PARTIAL_SUFFIX)
    with http_session(url) as session:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        part_version = _read_json(_sidecar(part)).get("version")
        if have and part_version:
            headers |= {"Range": f"bytes={have}-", "If-Range": part_version}
        try:
            with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
                if answer.status_code == 416:  # the part is longer than the file: not a part of it
                    _drop(part)
                    raise _Interrupted("the part on disk does not belong to the file offered")
                if answer.status_code >= 500 or answer.status_code in {403, 408, 429}:
                    raise _Interrupted(f"the server answered {answer.status_code}")
                if answer.status_code not in {200, 206}:
                    raise DownloadError(
                        f"{remote.name}: the server answered {answer.status_code} "
                        f"({answer.reason}); nothing was overwritten."
                    )
                version, size = _version(answer), _size(answer)
                if _is_current(target, version, size):
                    _drop(part)
                    return False
                start = _start_of(answer)
                if start not in {0, have}:
                    _drop(part)
                    raise _Interrupted("the server sent another range than the one asked for")
                _write_json(_sidecar(part), {"version": version})
                _append(answer, part, start, size, progress)
        except requests.RequestException as error:
            raise _Interrupted(f"the connection broke ({type(error).__name__})") from None
    if size is not None and part.stat().st_size != size:
        raise _Interrupted(f"{part.stat().st_size:,} of {size:,} bytes arrived")
    try:
        verify(part)
    except Exception:
        _drop(part)  # whole, yet wrong: continuing it would be wrong for ever
        raise
    os.replace(part, target)
    _sidecar(part).unlink(missing_ok=True)
    _write_json(_sidecar(target), {"version": version, "size": size})
    return True


def _append(
    answer: requests.Response, part: Path, start: int, size: int | None, progress: Progress
) -> None:
    with part.open("r+b" if start else "wb") as handle:
        handle.seek(start)
        handle.truncate()
        done = start
        for block in answer.iter_content(BLOCK_BYTES):
            handle.write(block)
            done += len(block)
            progress(done, size or done)
        handle.flush()
        os.fsync(handle.fileno())


def _version(answer: requests.Response) -> str | None:
    """Return the strong ETag; without one a part cannot be continued nor a file called current."""
    etag = answer.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else None


def _size(answer: requests.Response) -> int | None:
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


def _is_current(target: Path, version: str | None, size: int | None) -> bool:
    known = _read_json(_sidecar(target))
    return (
        version is not None
        and target.exists()
        and known.get("version") == version
        and target.stat().st_size == size
    )


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".source.json")


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    _sidecar(part).unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    with atomic_write(path) as handle:
        handle.write(json.dumps(value).encode())
