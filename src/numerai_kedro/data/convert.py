"""Stream Numerai's parquet files era by era, checking every value on the way.

Memory use is a few eras, whatever the size of a row group: pages are decoded batch by batch from a
memory map.
"""

from __future__ import annotations

import difflib
import itertools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from numerai_kedro.data.prefetch import ahead
from numerai_kedro.data.segment import FeatureBlock, int8_columns
from numerai_kedro.data.store import EraRows
from numerai_kedro.errors import SchemaError

logger = logging.getLogger(__name__)

BATCH_ROWS = 8_192
# Each thread decodes its own columns and frees its own memory: Arrow's threads pass buffers to each
# other, so that memory is returned to the system and requested again.
N_DECODERS = min(4, os.cpu_count() or 1)
LEAST_COLUMNS = 100
MISSING = 2  # Numerai's own stand-in for a missing feature: the middle bin
LARGEST = 4
TEXTS = ("era", "id", "data_type")
TEXT_TYPES = (pa.string(), pa.large_string(), pa.string_view())
REMEDY = "delete the file and run kedro run --pipeline=ingestion to download it again"


class ParquetEras:
    """Iterate over the eras of parquet files.

    Parameters
    ----------
    paths
        In order of eras: train, then validation; or live alone.
    features, targets
        Columns to read, in this order.
    parse_era
        Converts the file's string to an int; raises for a string that is no era.
    version
        The data version of the files; empty if it does not matter.

    Raises
    ------
    SchemaError
        At once for a missing column or a wrong type; while iterating for a value out of range, a
        doubled id, or eras out of order. One sentence with file, column, value and remedy.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        features: Sequence[str],
        targets: Sequence[str],
        parse_era: Callable[[str], int],
        version: str = "",
    ) -> None:
        self.version = version
        self.paths = [Path(path) for path in paths]
        self.features, self.targets = list(features), list(targets)
        self.parse_era = parse_era
        for path in self.paths:
            check_columns(path, self.features, self.targets)

    def __iter__(self) -> Iterator[EraRows]:
        previous = 0
        for path in self.paths:
            missing = _Missing()
            for pieces in self._eras_of(path):
                rows = self._rows(path, pieces, previous)
                previous = rows.era
                missing.add(pieces)
                yield rows
            missing.tell(path)

    def _eras_of(self, path: Path) -> Iterator[list[_Piece]]:
        """Yield the pieces of one era after another."""
        pending: list[_Piece] = []
        for piece in self._pieces_of(path):
            if pending and pending[0].era != piece.era:
                yield pending
                pending = []
            pending.append(piece)
        if pending:
            yield pending

    def _pieces_of(self, path: Path) -> Iterator[_Piece]:
        """Split decoded batches where the era changes."""
        with ExitStack() as stack:
            rest = stack.enter_context(ahead(self._rest_of(path)))
            parts = [
                stack.enter_context(ahead(_features_of(path, names))) for names in self._parts()
            ]
            for batch, *columns in zip(rest, *parts, strict=True):
                eras = batch.column("era").to_numpy(zero_copy_only=False)
                borders = np.flatnonzero(eras[1:] != eras[:-1]) + 1
                for begin, end in zip([0, *borders], [*borders, len(eras)], strict=True):
                    yield _Piece(
                        eras[begin],
                        batch.slice(begin, end - begin),
                        [part.rows(begin, end) for part in columns],
                    )

    def _parts(self) -> list[list[str]]:
        """Features, divided among the decoding threads."""
        n_parts = max(1, min(N_DECODERS, len(self.features) // LEAST_COLUMNS))
        borders = np.linspace(0, len(self.features), n_parts + 1).astype(int)
        return [self.features[a:b] for a, b in itertools.pairwise(borders)]

    def _rest_of(self, path: Path) -> Iterator[pa.RecordBatch]:
        file = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
        texts = [name for name in TEXTS if name in file.schema_arrow.names]
        return _even(_plain(batch) for batch in _batches(path, file, [*texts, *self.targets]))

    def _rows(self, path: Path, pieces: list[_Piece], previous: int) -> EraRows:
        text = pieces[0].era
        era = self._parse(path, text)
        if era <= previous:
            raise SchemaError(
                f'{path}: era "{text}" comes after era {previous:04d}; eras must be in order and '
                f"in one piece each; {REMEDY}."
            )
        batch = pa.concat_batches([piece.rest for piece in pieces])
        ids = batch.column("id")
        distinct = pc.count_distinct(ids, mode="all").as_py()
        if ids.null_count or distinct != len(ids):
            raise SchemaError(
                f'{path}: column "id" repeats itself in era "{text}" '
                f"({len(ids) - distinct} rows); {REMEDY}."
            )
        features = self._features(path, text, pieces, len(ids))
        targets = batch.select(self.targets)
        for name in self.targets:
            self._check_target(path, text, name, targets.column(name))
        names = batch.schema.names
        data_type = batch.column("data_type")[0].as_py() if "data_type" in names else "live"
        return EraRows(era, data_type, ids, features, targets)

    def _parse(self, path: Path, text: str) -> int:
        try:
            return self.parse_era(text)
        except SchemaError as error:
            raise SchemaError(f"{path}: {error.message}") from None

    def _features(self, path: Path, era: str, pieces: list[_Piece], n_rows: int) -> FeatureBlock:
        block = FeatureBlock.empty(self.features, n_rows)
        row = 0
        for piece in pieces:
            column = 0
            for part in piece.features:
                n_columns, n_more = part.values.shape
                block.columns[column : column + n_columns, row : row + n_more] = part.values
                column += n_columns
            row += piece.rest.num_rows
        # As unsigned bytes, negative values are large: one pass checks both bounds.
        if block.columns.view(np.uint8).max(initial=0) > LARGEST:
            self._name_wrong_feature(path, era, block)
        return block

    def _name_wrong_feature(self, path: Path, era: str, block: FeatureBlock) -> None:
        for name, values in zip(block.names, block.columns, strict=True):
            wrong = values[(values < 0) | (values > LARGEST)]
            if len(wrong):
                raise SchemaError(
                    f'{path}: column "{name}" holds {wrong[0]} in era "{era}" ({len(wrong)} rows); '
                    f"features lie in 0..{LARGEST}; {REMEDY}."
                )

    def _check_target(self, path: Path, era: str, name: str, column: pa.Array) -> None:
        values = column.to_numpy(zero_copy_only=False)
        wrong = values[(values < 0) | (values > 1)]
        if len(wrong):
            raise SchemaError(
                f'{path}: column "{name}" holds {wrong[0]} in era "{era}" ({len(wrong)} rows); '
                f"targets lie in [0, 1]; {REMEDY}."
            )


@dataclass(frozen=True)
class _Features:
    """Some columns of a batch: values as int8[n_columns, n_rows], and a mask of missing ones.

    `missing` is bool[n_columns, n_rows], None if no value is missing.
    """

    names: list[str]
    values: npt.NDArray[np.int8]
    missing: npt.NDArray[np.bool_] | None

    def rows(self, begin: int, end: int) -> _Features:
        missing = None if self.missing is None else self.missing[:, begin:end]
        return _Features(self.names, self.values[:, begin:end], missing)


@dataclass(frozen=True)
class _Piece:
    """Rows of one era from one batch; features by part."""

    era: str
    rest: pa.RecordBatch
    features: list[_Features]


class _Missing:
    """Counts missing feature values of a file, for one log line."""

    def __init__(self) -> None:
        self._by_era: Counter[str] = Counter()
        self._by_column: Counter[str] = Counter()

    def add(self, pieces: list[_Piece]) -> None:
        for piece in pieces:
            for part in piece.features:
                if part.missing is None:
                    continue
                counts = part.missing.sum(axis=1)
                for number in np.flatnonzero(counts):
                    self._by_era[piece.era] += int(counts[number])
                    self._by_column[part.names[number]] += int(counts[number])

    def tell(self, path: Path) -> None:
        if not self._by_era:
            return
        logger.warning(
            "%s: %d missing feature values became %d, in %d columns and %d eras; the first in "
            'column "%s", era "%s"',
            path,
            self._by_era.total(),
            MISSING,
            len(self._by_column),
            len(self._by_era),
            next(iter(self._by_column)),
            next(iter(self._by_era)),
        )


def _features_of(path: Path, names: list[str]) -> Iterator[_Features]:
    """Decode some features batch by batch."""
    for batch in _batches(path, pq.ParquetFile(path, memory_map=True, pre_buffer=False), names):
        columns, missing = _columns(batch), None
        if columns is None:
            filled = [column.fill_null(MISSING) for column in batch.columns]
            columns = np.stack([column.to_numpy() for column in filled])
            missing = np.stack([column.is_null().to_numpy(False) for column in batch.columns])
        yield _Features(names, columns[:, : batch.num_rows], missing)


def _columns(batch: pa.RecordBatch) -> npt.NDArray[np.int8] | None:
    message = pa.ipc.read_message(batch.serialize())
    return int8_columns(message, batch.num_columns, batch.num_rows)


def _batches(path: Path, file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Decode in the calling thread; a page that cannot be decoded raises a `SchemaError`."""
    try:
        yield from file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        first = str(error).splitlines()[0]
        raise SchemaError(f"{path}: cannot be decoded ({first}); {REMEDY}.") from None


def check_columns(path: Path, features: Sequence[str], targets: Sequence[str]) -> None:
    """Check columns and their types by the footer alone.

    Raises
    ------
    SchemaError
        The file is missing or no parquet; a column is missing or of another type.
    """
    try:
        schema = pq.read_schema(path, memory_map=True)
    except FileNotFoundError:
        raise SchemaError(
            f"{path}: missing; run kedro run --pipeline=ingestion to download it."
        ) from None
    except (pa.ArrowInvalid, OSError):
        raise SchemaError(f"{path}: is no parquet file; {REMEDY}.") from None
    required = [("era", pa.string()), ("id", pa.string())]
    required += [(name, pa.int8()) for name in features] + [
        (name, pa.float32()) for name in targets
    ]
    types = dict(zip(schema.names, schema.types, strict=True))
    for name, expected in required:
        if name not in types:
            close = difflib.get_close_matches(name, schema.names, n=2)
            hint = f" (it has {', '.join(close)})" if close else ""
            raise SchemaError(f'{path}: column "{name}" is missing{hint}; {REMEDY}.')
        actual = types[name]
        if actual != expected and not (expected == pa.string() and _is_text(actual)):
            raise SchemaError(f'{path}: column "{name}" is {actual}, not {expected}; {REMEDY}.')


def _is_text(kind: pa.DataType) -> bool:
    return (kind.value_type if pa.types.is_dictionary(kind) else kind) in TEXT_TYPES


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Decode text columns that the writer has dictionary-encoded."""
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        columns.append(column.cast(pa.string()) if name in TEXTS else column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _even(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Re-batch to `BATCH_ROWS`: decoding ends a batch early if a dictionary changes."""
    buffered = None
    for batch in batches:
        buffered = pa.concat_batches([buffered, batch]) if buffered else batch
        while len(buffered) >= BATCH_ROWS:
            yield buffered.slice(0, BATCH_ROWS)
            buffered = buffered.slice(BATCH_ROWS)
    if buffered:
        yield buffered
