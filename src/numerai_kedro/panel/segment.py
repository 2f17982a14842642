"""One segment of a panel: an uncompressed Arrow IPC file with one record batch an era.

Inside a batch of non-nullable int8 columns the buffers lie one after another at a fixed stride, so
an era's matrix is a strided view of the memory map, and one pass over its body hashes it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from numerai_kedro.errors import PanelError
from numerai_kedro.files import atomic_write

# Segments grow by many small buffers; one system call for each would take longer than the copy.
WRITE_BUFFER_BYTES = 32 << 20


class Segment:
    """A segment opened for reading; batches are views of the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with pa.memory_map(str(path)) as mapped:
                self._bytes = mapped.read_buffer()
            self._reader = pa.ipc.open_file(self._bytes)
        except (OSError, pa.ArrowInvalid):
            raise PanelError(
                f"{path}: missing or torn; delete {path.parent} and run "
                "kedro run --pipeline=ingestion to build it again."
            ) from None

    def batch(self, number: int) -> pa.RecordBatch:
        """Return record batch `number`; no copy."""
        try:
            return self._reader.get_batch(number)
        except (pa.ArrowInvalid, pa.ArrowIndexError, OSError):
            raise PanelError(
                f"{self.path}: batch {number} cannot be read; delete {self.path.parent} and run "
                "kedro run --pipeline=ingestion to build it again."
            ) from None


@functools.lru_cache(maxsize=64)
def open_segment(path: Path) -> Segment:
    """Open a segment once a process: a segment's file never changes under its name."""
    return Segment(path)


def matrix_of(batch: pa.RecordBatch) -> npt.NDArray[np.int8]:
    """View a batch of int8 columns as int8[n_rows, n_columns]; a copy where strides differ."""
    body = body_of(batch)
    if body is None:
        return np.column_stack([column.to_numpy() for column in batch.columns])
    stride = len(body) // batch.num_columns
    view = body.reshape(batch.num_columns, stride)[:, : batch.num_rows].T
    view.flags.writeable = False
    return view


def body_of(batch: pa.RecordBatch) -> npt.NDArray[np.int8] | None:
    """The bytes of all columns, padding included, as one view; None where they are not regular."""
    buffers = [column.buffers()[1] for column in batch.columns]
    if not buffers or any(column.offset for column in batch.columns):
        return None
    addresses = np.array([buffer.address for buffer in buffers], dtype=np.int64)
    strides = np.unique(np.diff(addresses))
    if len(strides) > 1 or (len(strides) == 1 and strides[0] < batch.num_rows):
        return None
    stride = int(strides[0]) if len(strides) else batch.num_rows
    first = buffers[0]
    whole = pa.foreign_buffer(first.address, stride * len(buffers), base=batch)
    return np.frombuffer(whole, dtype=np.int8)


def serialised(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Lay a batch out in memory exactly as a segment holds it: regular, padding zeroed."""
    return pa.ipc.read_record_batch(batch.serialize(), batch.schema)


class SegmentWriter:
    """Appends batches; what it wrote becomes a file when the block of `new_segment` ends."""

    def __init__(self, writer: pa.RecordBatchFileWriter) -> None:
        self._writer = writer
        self.n_batches = 0

    def append(self, batch: pa.RecordBatch) -> int:
        """Write one batch; returns its number."""
        self._writer.write_batch(batch)
        self.n_batches += 1
        return self.n_batches - 1


@contextmanager
def new_segment(path: str | os.PathLike[str], schema: pa.Schema) -> Iterator[SegmentWriter]:
    """Write a segment under a temporary name; a kill leaves no file under `path`."""
    with (
        atomic_write(path) as handle,
        pa.BufferedOutputStream(pa.PythonFile(handle, "w"), WRITE_BUFFER_BYTES) as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        yield SegmentWriter(writer)
