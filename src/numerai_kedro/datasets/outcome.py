"""A value, or the reason why there is none, in one catalog entry."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import parse_dataset_definition

from numerai_kedro.errors import Failed, NumeraiKedroError, StoreError
from numerai_kedro.files.kept_json import read_kept, write_kept

logger = logging.getLogger(__name__)

# A damaged or missing file, or a missing library, costs one model, not the whole week.
DAMAGE = (NumeraiKedroError, ImportError, OSError, pa.ArrowException, ValueError, EOFError)


class OutcomeDataset(AbstractDataset[Any, Any]):
    """Wraps another dataset so that a `Failed` can take the place of its value.

    An entry that was never saved loads as ``Failed(kind="not run")``: the ensemble can run before
    any model has.

    Parameters
    ----------
    dataset
        The definition of the wrapped dataset, with a `filepath`.
    keeps
        An earlier value stays the incumbent while a reason for failure is stored next to it.
    """

    def __init__(
        self,
        *,
        dataset: dict[str, Any],
        keeps: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._keeps = keeps
        kind, settings = parse_dataset_definition(dict(dataset))
        self._dataset = kind(**settings)
        self._path = Path(settings["filepath"])
        self._name = f"{self._path.parent.name}.{self._path.stem}"
        self._reason_path = self._path.with_name(self._path.name + ".failed.json")
        self._damage: str | None = None
        self.metadata = metadata
        # Kedro-Viz calls the method of every entry that has one.
        if hasattr(self._dataset, "preview"):
            self.preview = self._dataset.preview

    def save(self, data: Any) -> None:
        """Store the value, or the reason; the last one saved counts."""
        if isinstance(data, Failed):
            level = logging.INFO if data.kind in ("off", "postponed") else logging.WARNING
            logger.log(level, "%s: %s", self._name, data.symptom)
            write_kept(self._reason_path, data.as_json())
            return
        self._dataset.save(data)
        self._reason_path.unlink(missing_ok=True)

    def distrust(self, damage: str) -> None:
        """Load as a `Failed` from now on, because the content is not what was written."""
        self._damage = damage

    def load(self) -> Any:
        """Return the value, or a `Failed`."""
        if self._damage is not None:
            logger.warning("%s: %s", self._name, self._damage)
            return Failed(self._path.stem, self._damage)
        has_incumbent = self._keeps and self._dataset.exists()
        if has_incumbent and self._reason_path.exists():
            logger.warning("%s: the last fit failed, so the one before it stays", self._name)
        elif self._reason_path.exists():
            return self._reason()
        if not self._dataset.exists():
            return Failed(self._path.stem, f"{self._path.name} was never made", kind="not run")
        try:
            return self._dataset.load()
        except (DatasetError, NumeraiKedroError) as error:
            cause = error.__cause__ or error  # Kedro wraps what a dataset raises
            if not isinstance(cause, DAMAGE):
                raise
            symptom = " ".join(str(cause).split()) or type(cause).__name__
            logger.warning("%s: cannot be read: %s", self._name, symptom)
            return Failed(self._path.stem, f"{self._path.name} cannot be read: {symptom}")

    def contents(self) -> dict[str, Path | str]:
        """Parts of the value, or of the reason."""
        if self._reason_path.exists() and not (self._keeps and self._dataset.exists()):
            return {"reason": self._reason_path}
        entry: Any = self._dataset  # one of ours, which name their parts
        parts: dict[str, Path | str] = entry.contents()
        return parts

    def unfinished(self) -> str | None:
        """Why this entry should be made again; None if it holds a value, or is switched off."""
        if not self._reason_path.exists():
            return None
        is_off = self._reason().kind == "off"
        return None if is_off else "ended without a value last time"

    def _reason(self) -> Failed:
        """Why there is no value; of an unreadable file, only that there is none."""
        try:
            reason = read_kept(self._reason_path)
            return Failed(**{**reason, "remedies": tuple(reason["remedies"])})
        except (OSError, StoreError, KeyError, TypeError):
            name = self._reason_path.name
            return Failed(self._path.stem, f"it has no value, and {name} cannot be read")

    def _exists(self) -> bool:
        return self._reason_path.exists() or self._dataset.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path), "dataset": type(self._dataset).__name__}
