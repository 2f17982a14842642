"""Write a large file past the page cache.

A panel may be larger than memory. Written the usual way, it evicts everything else from the page
cache, and a fresh page costs more CPU time than the bytes it holds.
"""

from __future__ import annotations

import errno
import fcntl
import io
import mmap
import os
from typing import Any

BLOCK_BYTES = 8 << 20  # written at once; a multiple of any disk's sector
O_DIRECT = getattr(os, "O_DIRECT", 0)  # Linux only


class DirectWriter(io.RawIOBase):
    """A new file for sequential writing; whole blocks go straight to the disk.

    The last partial block, and everything where the file system does not support it, is written the
    usual way. The file is not durable before it is synced.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._block = mmap.mmap(-1, BLOCK_BYTES)  # aligned to a page, as O_DIRECT needs
        self._filled = 0
        self._written = 0
        self._direct(O_DIRECT)

    def writable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes so far."""
        return self._written + self._filled

    def write(self, content: Any) -> int:
        """Append bytes; returns how many."""
        view = memoryview(content).cast("B")
        written = 0
        while written < len(view):
            more = min(BLOCK_BYTES - self._filled, len(view) - written)
            self._block[self._filled : self._filled + more] = view[written : written + more]
            self._filled += more
            written += more
            if self._filled == BLOCK_BYTES:
                self._write_block()
        return written

    def close(self) -> None:
        """Write what is left."""
        if self.closed:
            return
        try:
            self._direct(0)
            self._write_block()
        finally:
            os.close(self._handle)
            super().close()

    def _write_block(self) -> None:
        with memoryview(self._block) as block:
            at = 0
            while at < self._filled:
                at += self._write_some(block[at : self._filled])
        self._written += self._filled
        self._filled = 0

    def _write_some(self, piece: memoryview) -> int:
        try:
            return os.write(self._handle, piece)
        except OSError as error:
            if error.errno != errno.EINVAL or not self._is_direct:
                raise
            self._direct(0)  # not supported here, or a short write that ended unaligned
            return os.write(self._handle, piece)

    def _direct(self, flag: int) -> None:
        flags = fcntl.fcntl(self._handle, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._handle, fcntl.F_SETFL, (flags & ~O_DIRECT) | flag)
            self._is_direct = bool(flag)
        except OSError:
            self._is_direct = False
