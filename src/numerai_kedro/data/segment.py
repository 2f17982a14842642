"""One segment of a panel: an uncompressed Arrow IPC file with one record batch per era.

The panel's index has the place of each batch. Features are stored column after column, each padded
to 8 bytes: an era's matrix is a strided view of the memory map, and is hashed in one pass.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from numerai_kedro.files import DirectWriter, atomic_path, digest_bytes

# Segments are written in many small buffers; a system call for each would cost more than a copy.
WRITE_BUFFER_BYTES = 4 << 20

FILE_HEAD = b"ARROW1\0\0"
Place: TypeAlias = list[str | int]  # file, offset, length


@dataclass(frozen=True)
class FeatureBlock:
    """Features of one era in the layout of a segment.

    Parameters
    ----------
    names : sequence of str
    n_rows : int
    columns : int8[n_features, n_rows + padding]
        Contiguous; the padding is zero.
    """

    names: Sequence[str]
    n_rows: int
    columns: npt.NDArray[np.int8]

    @classmethod
    def empty(cls, names: Sequence[str], n_rows: int) -> FeatureBlock:
        """An uninitialised block with zero padding."""
        columns = np.empty((len(names), padded(n_rows)), dtype=np.int8)
        columns[:, n_rows:] = 0
        return cls(names, n_rows, columns)

    @classmethod
    def of(cls, names: Sequence[str], matrix: npt.NDArray[np.int8]) -> FeatureBlock:
        """Copy int8[n_rows, n_features]."""
        block = cls.empty(names, len(matrix))
        block.columns[:, : len(matrix)] = matrix.T
        return block

    @property
    def matrix(self) -> npt.NDArray[np.int8]:
        """int8[n_rows, n_features], a view that cannot be written to."""
        view = self.columns[:, : self.n_rows].T
        view.flags.writeable = False
        return view

    @property
    def digest(self) -> str:
        """Digest of all columns, including padding."""
        return digest_bytes(self.columns.data)

    def batch(self, chosen: Sequence[int] | None = None) -> pa.RecordBatch:
        """All columns, or those at `chosen` positions, as Arrow without a copy."""
        positions = range(len(self.names)) if chosen is None else chosen
        body, stride = pa.py_buffer(self.columns), self.columns.shape[1]
        arrays = [
            pa.Array.from_buffers(
                pa.int8(), self.n_rows, [None, body.slice(k * stride, stride)], null_count=0
            )
            for k in positions
        ]
        schema = feature_schema(tuple(self.names[k] for k in positions))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def padded(n_rows: int) -> int:
    """Bytes of an int8 column in an Arrow message."""
    return -(-n_rows // 8) * 8


@functools.lru_cache(maxsize=8)
def feature_schema(names: tuple[str, ...]) -> pa.Schema:
    """int8 columns without nulls."""
    return pa.schema([pa.field(name, pa.int8(), nullable=False) for name in names])


def rows_schema(targets: Sequence[str]) -> pa.Schema:
    """Ids and float32 targets."""
    return pa.schema([("id", pa.string()), *[(name, pa.float32()) for name in targets]])


def int8_columns(message: pa.Message, n_columns: int, n_rows: int) -> npt.NDArray[np.int8] | None:
    """View a message of int8 columns as int8[n_columns, padded rows]; None if it has nulls."""
    if message.body.size != n_columns * padded(n_rows):
        return None
    return np.frombuffer(message.body, dtype=np.int8).reshape(n_columns, padded(n_rows))


def read_message(folder: Path, place: Place) -> pa.Message | None:
    """The message at `place`, as views of the file.

    None if the file is missing, or has no complete message there.

    Raises
    ------
    OSError
        The system refuses to read it; the file itself may be intact.
    """
    name, offset, length = str(place[0]), int(place[1]), int(place[2])
    try:
        return pa.ipc.read_message(_map(folder / name).slice(offset, length))
    except (FileNotFoundError, pa.ArrowInvalid, pa.ArrowIndexError, EOFError):
        return None
    except OSError as error:
        if error.errno is not None:
            raise
        return None


@functools.lru_cache(maxsize=64)
def _map(path: Path) -> pa.Buffer:
    """Map a segment once per process: its file never changes."""
    with pa.memory_map(str(path)) as mapped:
        return mapped.read_buffer()


class SegmentWriter:
    """Appends batches; the file appears when the block of `new_segment` ends."""

    def __init__(self, name: str, schema: pa.Schema, sink: pa.BufferedOutputStream) -> None:
        self._name, self._sink = name, sink
        self._writer = pa.ipc.new_file(sink, schema)
        self._end = len(FILE_HEAD) + schema.serialize().size  # written with the first batch

    def append(self, batch: pa.RecordBatch) -> Place:
        """Write one batch; returns its place."""
        self._writer.write_batch(batch)
        offset, self._end = self._end, self._sink.tell()
        return [self._name, offset, self._end - offset]

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


@contextmanager
def new_segment(path: str | os.PathLike[str], schema: pa.Schema) -> Iterator[SegmentWriter]:
    """Write a segment under a temporary name; a kill leaves no file under `path`."""
    with (
        atomic_path(path) as partial,
        closing(DirectWriter(partial)) as file,
        pa.BufferedOutputStream(pa.PythonFile(file, "w"), WRITE_BUFFER_BYTES) as sink,
        closing(SegmentWriter(Path(path).name, schema, sink)) as writer,
    ):
        yield writer
