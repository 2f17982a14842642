"""A value, or the reason why there is none, kept in the same place."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import parse_dataset_definition

from numerai_kedro.errors import Failed, NumeraiKedroError
from numerai_kedro.files import atomic_write

logger = logging.getLogger(__name__)

# A damaged or missing file, or a library that is gone, takes its own model with it, not the week.
DAMAGE = (NumeraiKedroError, ImportError, OSError, pa.ArrowException, ValueError, EOFError)


class OutcomeDataset(AbstractDataset[Any, Any]):
    """Wraps another dataset so that a `Failed` can stand in the place of its value.

    An entry that was never made loads as ``Failed(kind="not run")``: the ensemble runs alone
    before any model ever did.

    Parameters
    ----------
    dataset
        The definition of the wrapped dataset, with a `filepath`.
    keeps
        A value that was made before stays in force while a reason stands beside it.
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
        self.metadata = metadata
        if hasattr(self._dataset, "preview"):
            self.preview = self._dataset.preview

    def save(self, data: Any) -> None:
        """Keep the value, or the reason; the last one saved counts."""
        if isinstance(data, Failed):
            level = logging.INFO if data.kind in ("off", "postponed") else logging.WARNING
            logger.log(level, "%s: %s", self._name, data.symptom)
            with atomic_write(self._reason_path) as handle:
                handle.write(json.dumps(data.as_json(), indent=1).encode())
            return
        self._dataset.save(data)
        self._reason_path.unlink(missing_ok=True)

    def load(self) -> Any:
        """Return the value, or a `Failed`."""
        kept = self._keeps and self._dataset.exists()
        if kept and self._reason_path.exists():
            logger.warning("%s: the last fit failed, so the one before it stays", self._name)
        elif self._reason_path.exists():
            reason = json.loads(self._reason_path.read_text(encoding="utf-8"))
            return Failed(**{**reason, "remedies": tuple(reason["remedies"])})
        if not self._dataset.exists():
            return Failed(self._path.stem, f"{self._path.name} was never made", kind="not run")
        try:
            return self._dataset.load()
        except (DatasetError, NumeraiKedroError) as error:
            cause = error.__cause__ or error
            if not isinstance(cause, DAMAGE):
                raise
            symptom = " ".join(str(cause).split()) or type(cause).__name__
            logger.warning("%s: cannot be read: %s", self._name, symptom)
            return Failed(self._path.stem, f"{self._path.name} cannot be read: {symptom}")

    def contents(self) -> dict[str, Path | str]:
        """Parts of the value, or of the reason."""
        if self._reason_path.exists() and not (self._keeps and self._dataset.exists()):
            return {"reason": self._reason_path}
        parts: dict[str, Path | str] = self._dataset.contents()
        return parts

    def unfinished(self) -> str | None:
        """Why what is kept here should be tried again; None where it is a value."""
        if not self._reason_path.exists():
            return None
        off = json.loads(self._reason_path.read_text(encoding="utf-8"))["kind"] == "off"
        return None if off else "ended without a value last time"

    def _exists(self) -> bool:
        return self._reason_path.exists() or self._dataset.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path), "dataset": type(self._dataset).__name__}
