"""Records of one kind, one file each, such as receipts by round and slot."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import parse_dataset_definition

from numerai_kedro.errors import ConfigurationError, NumeraiKedroError

logger = logging.getLogger(__name__)

# A key becomes a file name: nothing that could leave the folder.
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class RecordsDataset(AbstractDataset[dict[str, Any], dict[str, Any]]):
    """A folder; saving adds or replaces the given records, and keeps all others.

    A record that has the field `keeps` is never replaced by one without it: it gets the newer one
    as its field ``later``.

    Parameters
    ----------
    filepath
        The folder.
    suffix
        Of every file, such as ``".json"``.
    dataset
        Type of one record, without its `filepath`.
    keeps
        A field of records that are mappings, such as the id of a submission that was accepted.
    replaces
        Whether saving deletes records that are not given.
    """

    def __init__(
        self,
        *,
        filepath: str,
        suffix: str,
        dataset: dict[str, Any],
        keeps: str | None = None,
        replaces: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._folder, self._suffix = Path(filepath), suffix
        self._keeps, self._replaces = keeps, replaces
        self._type, self._settings = parse_dataset_definition(dict(dataset))
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Every readable record by its key; the others are reported and left out."""
        records = {key: self._load_or_none(self._at(path)) for key, path in self._records().items()}
        return {key: record for key, record in records.items() if record is not None}

    def save(self, data: dict[str, Any]) -> None:
        """Add or replace records."""
        for key in data:
            if not KEY.fullmatch(key):
                raise ConfigurationError(
                    f'"{key}" cannot name a file: letters, digits, "_" and "-" only; choose '
                    "another name for the slot (submission.slots)."
                )
        self._folder.mkdir(parents=True, exist_ok=True)
        for key, record in data.items():
            entry = self._at(self._folder / f"{key}{self._suffix}")
            entry.save(self._merged(entry, record))
        dropped = [p for key, p in self._records().items() if self._replaces and key not in data]
        for path in dropped:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def contents(self) -> dict[str, Path | str]:
        """Every record, by its key; the folder is a part too, because saving none is a result."""
        parts: dict[str, Path | str] = {"": "records"} if self._exists() else {}
        for key, path in self._records().items():
            for part, content in self._at(path).contents().items():  # type: ignore[attr-defined]
                parts[f"{key}/{part}" if part else key] = content
        return parts

    def _records(self) -> dict[str, Path]:
        paths = sorted(self._folder.glob(f"*{self._suffix}"))
        paths_by_key = {path.name.removesuffix(self._suffix): path for path in paths}
        # A record that a killed run has only begun does not count.
        return {
            k: path
            for k, path in paths_by_key.items()
            if KEY.fullmatch(k) and self._at(path).exists()
        }

    def _merged(self, entry: AbstractDataset[Any, Any], record: Any) -> Any:
        if self._keeps is None or self._keeps in record or not entry.exists():
            return record
        existing = self._load_or_none(entry) or {}
        return existing | {"later": record} if self._keeps in existing else record

    @staticmethod
    def _load_or_none(entry: AbstractDataset[Any, Any]) -> Any | None:
        try:
            return entry.load()
        except (DatasetError, NumeraiKedroError) as error:
            cause = error.__cause__ or error  # Kedro wraps what a dataset raises
            if not isinstance(cause, NumeraiKedroError):
                raise
            logger.warning("%s It is ignored.", cause)
            return None

    def _at(self, path: Path) -> AbstractDataset[Any, Any]:
        kind: Any = self._type  # each kind of entry has parameters of its own
        entry: AbstractDataset[Any, Any] = kind(filepath=str(path), **self._settings)
        return entry

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder), "suffix": self._suffix}
