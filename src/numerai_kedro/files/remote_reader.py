"""Read single ranges of a remote file, such as a parquet footer before the download."""

from __future__ import annotations

import io

from numerai_kedro.errors import DownloadError
from numerai_kedro.files.download import (
    Interrupted,
    RemoteFile,
    ask,
    in_attempts,
    size_of,
    version_of,
)

REMEDY = "check the network and run the same command again."


class RemoteReader(io.RawIOBase):
    """A remote file that can be read and sought; each read is one request, retried on failure.

    Raises
    ------
    DownloadError
        The server is unreachable, does not tell the size of the file, does not serve ranges, or has
        another version of it by now.
    """

    def __init__(self, remote: RemoteFile) -> None:
        super().__init__()
        self._remote, self._position = remote, 0
        # One byte, not HEAD: addresses are signed for GET alone.
        self.size, self.version, _ = self._range(0, 1)

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
        """Fetch the next bytes, as many as fit into the buffer."""
        stop = min(self._position + len(buffer), self.size)
        if stop <= self._position:
            return 0
        size, version, content = self._range(self._position, stop)
        if (size, version) != (self.size, self.version):
            raise DownloadError(
                f"{self._remote.name}: the server has another version of it since it was opened; "
                "run the same command again."
            )
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _range(self, start: int, stop: int) -> tuple[int, str | None, bytes]:
        """Size and version of the whole file, and the bytes from `start` up to `stop`."""
        return in_attempts(self._remote.name, lambda: self._range_once(start, stop), REMEDY)

    def _range_once(self, start: int, stop: int) -> tuple[int, str | None, bytes]:
        with ask(self._remote, {"Range": f"bytes={start}-{stop - 1}"}) as answer:
            # Anything but a range may be the whole file, so it is not read.
            if answer.status_code != 206:
                raise Interrupted("the server does not serve ranges of the file")
            size, version, content = size_of(answer), version_of(answer), answer.content
        if size is None:
            raise Interrupted("the server does not say how large it is")
        if len(content) != stop - start:
            raise Interrupted(f"{len(content):,} of {stop - start:,} bytes arrived")
        return size, version, content
