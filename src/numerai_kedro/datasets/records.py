"""Named records of one kind, a file each: by round and slot."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import parse_dataset_definition

from numerai_kedro.errors import ConfigurationError, NumeraiKedroError
from numerai_kedro.files import digest_json

logger = logging.getLogger(__name__)

# A key becomes a file name: nothing that could leave the folder.
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class RecordsDataset(AbstractDataset[dict[str, Any], dict[str, Any]]):
    """A folder; saving adds or replaces the records given, and keeps all others.

    A record that has the field `keeps` is never replaced by one without it: what came after goes
    into its field ``later``.

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
        Records that are not given go.
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
        """Every record that can be read, by its key; of others it is said that they cannot."""
        found = {key: self._whole(self._at(path)) for key, path in self._records().items()}
        return {key: record for key, record in found.items() if record is not None}

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
            entry.save(self._kept(entry, record))
        gone = [p for key, p in self._records().items() if self._replaces and key not in data]
        for path in gone:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def contents(self) -> dict[str, Path | str]:
        """Every record, by its key; the folder is a part, because saving none is a result, too."""
        parts: dict[str, Path | str] = {"": "records"} if self._exists() else {}
        for key, path in self._records().items():
            held = self._at(path).contents()  # type: ignore[attr-defined]
            # A file is a part by itself; of a panel its eras' digests, in one.
            parts[key] = held[""] if list(held) == [""] else digest_json(held)
        return parts

    def _records(self) -> dict[str, Path]:
        paths = sorted(self._folder.glob(f"*{self._suffix}"))
        found = {path.name.removesuffix(self._suffix): path for path in paths}
        # What a killed run has only begun is none.
        return {
            k: path for k, path in found.items() if KEY.fullmatch(k) and self._at(path).exists()
        }

    def _kept(self, entry: AbstractDataset[Any, Any], record: Any) -> Any:
        if self._keeps is None or self._keeps in record or not entry.exists():
            return record
        before = self._whole(entry) or {}
        return before | {"later": record} if self._keeps in before else record

    @staticmethod
    def _whole(entry: AbstractDataset[Any, Any]) -> Any | None:
        try:
            return entry.load()
        except (DatasetError, NumeraiKedroError) as error:
            cause = error.__cause__ or error
            if not isinstance(cause, NumeraiKedroError):
                raise
            logger.warning("%s It is passed over.", cause)
            return None

    def _at(self, path: Path) -> AbstractDataset[Any, Any]:
        made: AbstractDataset[Any, Any] = self._type(filepath=str(path), **self._settings)
        return made

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder), "suffix": self._suffix}
