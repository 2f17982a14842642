"""A file of the tournament: saved by downloading it, loaded as its content."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from numerai_kedro.cache.content import parts_at
from numerai_kedro.datasets.atomic_file import UNREADABLE, damaged
from numerai_kedro.errors import DownloadError, Failed, SchemaError, TournamentError
from numerai_kedro.files import RemoteFile, digest_json, fetch
from numerai_kedro.files.verified import data_version_of, is_as_verified, known_digest
from numerai_kedro.numerai.schema import FeatureMetadata
from numerai_kedro.progress import bytes_bar

logger = logging.getLogger(__name__)
PREVIEW_ROWS, PREVIEW_COLUMNS = 5, 12
JOINED_ROWS = 4096  # decoded at once, of all columns
UNTOUCHED = "the file that was here before is untouched; run the command again later."


class DownloadedFileDataset(AbstractDataset[RemoteFile, Any]):
    """A file that is kept exactly as downloaded.

    Parameters
    ----------
    filepath
        Where the file is kept.
    loads
        ``"path"`` for files that are read era by era, ``"frame"`` for small ones, ``"json"`` for
        features.json.
    optional
        If it cannot be downloaded, the run continues: it loads as the earlier file, or as `Failed`.
    checks_columns
        Whether a table of rows by era must have every feature that features.json names, and
        features and targets of the right types, before it replaces the old file. Without it, each
        reader checks the columns that it reads.
    before_serves
        If it cannot be downloaded, the run continues with the earlier file, if that is unchanged
        since it was verified. For history; never for live files, which are new in each round.
    """

    def __init__(
        self,
        *,
        filepath: str,
        loads: Literal["path", "frame", "json"],
        optional: bool = False,
        checks_columns: bool = True,
        before_serves: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._path = Path(filepath)
        self._loads, self._optional, self._before_serves = loads, optional, before_serves
        self._checks_columns = checks_columns
        self.metadata = metadata

    def save(self, data: RemoteFile) -> None:
        """Download unless the file is current; the old one stays until the new one is complete."""
        verify, joined = self._verify_parquet, self._verify_pages
        if self._loads == "json":
            verify = joined = self._verify_json
        before = self._feature_metadata()
        try:
            with bytes_bar(data.name) as progress:
                fresh = fetch(data, self._path, verify, progress, joined)
        except (DownloadError, TournamentError) as error:
            if self._optional:
                logger.warning("%s: continuing without it: %s", data.name, error)
            elif self._before_serves and is_as_verified(self._path, data.name, data.recheck_days):
                logger.warning(
                    "%s: continuing with the file verified earlier (%s bytes): %s",
                    data.name,
                    f"{self._path.stat().st_size:,}",
                    error,
                )
            else:
                raise
            return
        size = self._path.stat().st_size
        logger.info("%s: %s, %s bytes", data.name, "fetched" if fresh else "current", f"{size:,}")
        after = self._feature_metadata()
        if fresh and before and after:
            logger.info("%s: %s", data.name, after.change_since(before))

    def load(self) -> Any:
        """Read it in the form that `loads` names."""
        if not self._path.exists():
            if self._optional:
                return Failed(self._path.stem, f"{self._path.name} is not there", kind="not run")
            raise DatasetError(f"{self._path} does not exist yet")
        if self._loads == "path":
            return self._path
        try:
            if self._loads == "json":
                return json.loads(self._path.read_text(encoding="utf-8"))
            return pd.read_parquet(self._path)
        except UNREADABLE as error:
            if not self._optional:
                raise damaged(self._path, error) from None
            return Failed(self._path.stem, f"{self._path.name} cannot be read: {error}")

    def contents(self) -> dict[str, Path | str]:
        """The file, for fingerprints; of features.json the content, whatever its order."""
        metadata = self._feature_metadata()
        if metadata:
            return {"": digest_json(metadata.model_dump())}
        digest = known_digest(self._path)
        content: dict[str, Path | str] = {"": digest} if digest else {**parts_at(self._path)}
        if self._loads != "path" or not content:
            return content
        return content | {"data version": data_version_of(self._path)}

    def _feature_metadata(self) -> FeatureMetadata | None:
        """Content of features.json; None for another file, or one that cannot be read."""
        if self._loads != "json":
            return None
        try:
            return FeatureMetadata.read(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError, SchemaError):
            return None

    def _exists(self) -> bool:
        # An optional file always loads: if it is missing, as `Failed`.
        return self._optional or self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path), "loads": self._loads}

    def preview(self) -> TablePreview:
        """A corner of the table, for Kedro-Viz."""
        if self._loads == "json":
            names = self.load()["feature_sets"]
            rows = pd.DataFrame({"set": list(names), "features": [len(v) for v in names.values()]})
            return TablePreview(json.loads(rows.to_json(orient="split")))
        batch = next(pq.ParquetFile(self._path).iter_batches(PREVIEW_ROWS))
        corner = batch.to_pandas().iloc[:, :PREVIEW_COLUMNS].reset_index()
        return TablePreview(json.loads(corner.to_json(orient="split")))

    def _verify_parquet(self, path: Path) -> None:
        try:
            rows = pq.read_metadata(path).num_rows
        except (pa.ArrowInvalid, OSError):
            rows = 0
        if rows == 0:
            raise DownloadError(
                f"{self._path}: what arrived is no parquet file with rows; the file that was here "
                "before is untouched; run the command again."
            )
        if self._checks_columns:
            self._check_columns(pq.read_schema(path))

    def _verify_pages(self, path: Path) -> None:
        """Decode every page of every row group: pages may be damaged where two answers meet."""
        try:
            with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
                for _ in file.iter_batches(JOINED_ROWS, use_threads=False):
                    pass
        except (pa.ArrowException, OSError) as error:
            raise DownloadError(
                f"{self._path}: what arrived cannot be read through ({error}); {UNTOUCHED}"
            ) from None

    def _check_columns(self, schema: pa.Schema) -> None:
        """Refuse a table of rows by era with a missing column, or with one of the wrong type."""
        types = dict(zip(schema.names, schema.types, strict=True))
        if not any(name.startswith("feature_") for name in types):
            return
        for name in ("era", *self._feature_names()):
            if name not in types:
                raise SchemaError(f'{self._path.name}: column "{name}" is missing; {UNTOUCHED}')
        for prefix, column_type in (("feature_", pa.int8()), ("target_", pa.float32())):
            for name, actual in types.items():
                if name.startswith(prefix) and actual != column_type:
                    raise SchemaError(
                        f'{self._path.name}: column "{name}" is {actual}, not {column_type}; '
                        f"{UNTOUCHED}"
                    )

    def _feature_names(self) -> list[str]:
        """Every name of the feature sets, if features.json is already here."""
        try:
            sets = json.loads(self._path.with_name("features.json").read_text(encoding="utf-8"))
            return sorted({name for names in sets["feature_sets"].values() for name in names})
        except (OSError, ValueError, RecursionError, KeyError):
            return []

    def _verify_json(self, path: Path) -> None:
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            raise DownloadError(
                f"{self._path}: what arrived is no JSON; the file that was here before is "
                "untouched; run the command again."
            ) from None
