"""Stream Numerai's parquet files era by era, checking every value on the way.

Memory stays at a few eras whatever the size of a row group: pages are decoded batch by batch from
a memory map.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from numerai_kedro.errors import SchemaError
from numerai_kedro.panel.segment import body_of, serialised
from numerai_kedro.panel.store import EraRows

logger = logging.getLogger(__name__)

BATCH_ROWS = 8_192
MISSING = 2  # Numerai's own stand-in for a missing feature: the middle bin
LARGEST = 4
MEND = "delete the file and run kedro run --pipeline=ingestion to download it again"


class ParquetEras:
    """Iterate over the eras of parquet files.

    Parameters
    ----------
    paths
        In order of eras: train, then validation; or live alone.
    features, targets
        Columns to read, in this order.
    parse_era
        From the file's string to an int; raises for what is no era.

    Raises
    ------
    SchemaError
        At once for a missing column or a wrong type; while iterating for a value out of range, a
        doubled id, or eras out of order. One sentence with file, column, value and mend.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        features: Sequence[str],
        targets: Sequence[str],
        parse_era: Callable[[str], int],
    ) -> None:
        self.paths = [Path(path) for path in paths]
        self.features, self.targets = list(features), list(targets)
        self.parse_era = parse_era
        for path in self.paths:
            check_columns(path, self.features, self.targets)

    def __iter__(self) -> Iterator[EraRows]:
        previous = 0
        for path in self.paths:
            for pieces in self._eras_of(path):
                rows = self._rows(path, pieces, previous)
                previous = rows.era
                yield rows

    def _eras_of(self, path: Path) -> Iterator[list[pa.RecordBatch]]:
        """Yield the slices of one era after another."""
        file = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
        columns = ["era", "id", *self._data_type(file), *self.features, *self.targets]
        pending: list[pa.RecordBatch] = []
        for batch in _decoded(path, file.iter_batches(BATCH_ROWS, columns=columns)):
            eras = batch.column("era").to_numpy(zero_copy_only=False)
            borders = np.flatnonzero(eras[1:] != eras[:-1]) + 1
            for begin, end in zip([0, *borders], [*borders, len(eras)], strict=True):
                if pending and pending[0].column("era")[0].as_py() != eras[begin]:
                    yield pending
                    pending = []
                pending.append(batch.slice(begin, end - begin))
        if pending:
            yield pending

    def _rows(self, path: Path, pieces: list[pa.RecordBatch], previous: int) -> EraRows:
        text = pieces[0].column("era")[0].as_py()
        era = self._parse(path, text)
        if era <= previous:
            raise SchemaError(
                f'{path}: era "{text}" comes after era {previous:04d}; eras must be in order and '
                f"in one piece each; {MEND}."
            )
        batch = pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)
        ids = batch.column("id")
        distinct = pc.count_distinct(ids, mode="all").as_py()
        if ids.null_count or distinct != len(ids):
            raise SchemaError(
                f'{path}: column "id" repeats itself in era "{text}" '
                f"({len(ids) - distinct} rows); {MEND}."
            )
        features = self._checked_features(path, text, batch)
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

    def _checked_features(self, path: Path, era: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        features = batch.select(self.features)
        if any(column.null_count for column in features.columns):
            n_missing = sum(column.null_count for column in features.columns)
            logger.warning("%s: era %s: %d missing feature values become 2", path, era, n_missing)
            filled = [column.fill_null(MISSING) for column in features.columns]
            features = pa.RecordBatch.from_arrays(filled, names=self.features)
        plain = serialised(features)
        body = body_of(plain)
        # As unsigned bytes, a negative value is large: one pass finds both ends.
        if body is not None and body.view(np.uint8).max(initial=0) > LARGEST:
            self._name_wrong_feature(path, era, plain)
        return plain

    def _name_wrong_feature(self, path: Path, era: str, batch: pa.RecordBatch) -> None:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            values = column.to_numpy(zero_copy_only=False)
            wrong = values[(values < 0) | (values > LARGEST)]
            if len(wrong):
                raise SchemaError(
                    f'{path}: column "{name}" holds {wrong[0]} in era "{era}" ({len(wrong)} rows); '
                    f"features lie in 0..{LARGEST}; {MEND}."
                )

    def _check_target(self, path: Path, era: str, name: str, column: pa.Array) -> None:
        values = column.to_numpy(zero_copy_only=False)
        wrong = values[(values < 0) | (values > 1)]
        if len(wrong):
            raise SchemaError(
                f'{path}: column "{name}" holds {wrong[0]} in era "{era}" ({len(wrong)} rows); '
                f"targets lie in [0, 1]; {MEND}."
            )

    @staticmethod
    def _data_type(file: pq.ParquetFile) -> list[str]:
        return ["data_type"] if "data_type" in file.schema_arrow.names else []


def _decoded(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Pass batches on; a page that cannot be decoded becomes a sentence."""
    try:
        yield from batches
    except (pa.ArrowInvalid, OSError) as error:
        first = str(error).splitlines()[0]
        raise SchemaError(f"{path}: cannot be decoded ({first}); {MEND}.") from None


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
        raise SchemaError(f"{path}: is no parquet file; {MEND}.") from None
    wanted = [("era", pa.string()), ("id", pa.string())]
    wanted += [(name, pa.int8()) for name in features] + [(name, pa.float32()) for name in targets]
    types = dict(zip(schema.names, schema.types, strict=True))
    for name, expected in wanted:
        if name not in types:
            close = difflib.get_close_matches(name, schema.names, n=2)
            hint = f" (it has {', '.join(close)})" if close else ""
            raise SchemaError(f'{path}: column "{name}" is missing{hint}; {MEND}.')
        found = types[name]
        if found != expected and not (pa.types.is_string(expected) and _is_text(found)):
            raise SchemaError(f'{path}: column "{name}" is {found}, not {expected}; {MEND}.')


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
