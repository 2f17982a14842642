"""Local files that are requested as if from a server: whole, or a range."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from requests.adapters import BaseAdapter

PREFIX = "file:"


def path_of(url: str) -> Path:
    """The file, or folder, of a ``file:`` address.

    Raises
    ------
    ValueError
        The address is that of another machine, or has no path.
    """
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path or "%00" in url:
        raise ValueError(f"{url}: should be file:///folder/of/this/machine")
    return Path(url2pathname(parts.path))


class FileAdapter(BaseAdapter):
    """Answers `requests` with the file at a ``file://`` address.

    The ETag consists of size and time, as that of many web servers: a changed file has another one.
    """

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Answer 200, 206 for a range, 404 where there is no file; nothing is written."""
        answer = requests.Response()
        answer.request, answer.url = request, request.url or ""
        answer.raw = io.BytesIO()
        if request.method != "GET":
            answer.status_code, answer.reason = 405, "Method Not Allowed"
            return answer
        path = path_of(answer.url)
        if not path.is_file():
            answer.status_code, answer.reason = 404, "No such file"
            return answer
        handle = path.open("rb")
        stat = os.fstat(handle.fileno())
        etag = f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
        answer.headers["ETag"] = etag
        start, stop, answer.status_code = 0, stat.st_size, 200
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", str(request.headers.get("Range", "")))
        if span and request.headers.get("If-Range", etag) == etag:
            start, answer.status_code = int(span[1]), 206
            stop = min(stop, int(span[2]) + 1) if span[2] else stop
            answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stat.st_size}"
        if start >= max(stat.st_size, 1):
            answer.status_code, stop = 416, start
        answer.headers["Content-Length"] = str(stop - start)
        handle.seek(start)
        answer.raw = _Part(handle, stop - start)
        return answer

    def close(self) -> None:
        """Nothing is kept open."""


class _Part(io.BufferedIOBase):
    """The next `n_bytes` of an open file.

    Raises
    ------
    requests.ConnectionError
        At the end, if the file was modified while it was read.
    """

    def __init__(self, handle: io.BufferedReader, n_bytes: int) -> None:
        self._handle, self._left = handle, n_bytes
        self._written_ns = os.fstat(handle.fileno()).st_mtime_ns

    def read(self, n_bytes: int | None = -1, **_: Any) -> bytes:
        """The next bytes; by default, all that are left."""
        size = self._left if n_bytes is None or n_bytes < 0 else min(n_bytes, self._left)
        content = self._handle.read(size)
        self._left -= len(content)
        if not content and os.fstat(self._handle.fileno()).st_mtime_ns != self._written_ns:
            raise requests.ConnectionError("the file changed while it was read")
        return content

    read1 = read

    def release_conn(self) -> None:
        """Close the file; requests calls this at the end."""
        self._handle.close()

    def close(self) -> None:
        """Close the file."""
        self._handle.close()
        super().close()
