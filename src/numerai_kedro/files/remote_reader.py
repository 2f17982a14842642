"""Read a piece of a remote file: enough for a parquet footer, long before the download."""

from __future__ import annotations

import io

import requests

from numerai_kedro.errors import DownloadError
from numerai_kedro.files.download import TIMEOUT_S, RemoteFile, http_session


class RemoteReader(io.RawIOBase):
    """A seekable file of byte ranges, one request for each read.

    Raises
    ------
    DownloadError
        The server is away, does not say how long the file is, or does not serve ranges.
    """

    def __init__(self, remote: RemoteFile) -> None:
        super().__init__()
        self._name, self._url = remote.name, remote.url()
        self._session = http_session(self._url)
        answer = self._ask("HEAD")
        length = answer.headers.get("Content-Length")
        if answer.status_code != 200 or length is None:
            raise DownloadError(
                f"{self._name}: the server does not say how large it is "
                f"(answer {answer.status_code}); try again later."
            )
        self.size = int(length)
        self.version = answer.headers.get("ETag")
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fetch exactly the range that the buffer holds."""
        stop = min(self._position + len(buffer), self.size)
        if stop <= self._position:
            return 0
        span = f"bytes={self._position}-{stop - 1}"
        answer = self._ask("GET", Range=span)
        if answer.status_code != 206:
            raise DownloadError(f"{self._name}: the server does not serve ranges of the file.")
        buffer[: len(answer.content)] = answer.content
        self._position += len(answer.content)
        return len(answer.content)

    def _ask(self, method: str, **headers: str) -> requests.Response:
        try:
            return self._session.request(method, self._url, headers=headers, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise DownloadError(
                f"{self._name}: no answer from the server ({type(error).__name__}); check the "
                "network and run the same command again."
            ) from None

    def close(self) -> None:
        """Close the connection too."""
        self._session.close()
        super().close()
