"""Entries that hand a node what it opens itself: the fold store, the machine, the tournament."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from numerai_kedro.files.trusted_pickle import MANIFEST, read_trusted, write_trusted
from numerai_kedro.incremental import FoldStore
from numerai_kedro.incremental.content import parts_at
from numerai_kedro.resilience.machine import Machine, read_machine
from numerai_kedro.training.tuning.store import StudyStore


class FoldStoreDataset(AbstractDataset[None, FoldStore]):
    """The content-addressed store of folds; what weeks hand to later weeks lives here."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> FoldStore:
        """Open the store; it need not exist."""
        return FoldStore(self._path)

    def save(self, data: None) -> None:
        """Refuse: the store is filled through `FoldStore`."""
        raise DatasetError("the fold store is filled by the nodes that open it")

    def contents(self) -> dict[str, Path | str]:
        """Constant: filling the store makes nothing stale."""
        return {"": "fold store"}

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class StudyStoreDataset(AbstractDataset[None, StudyStore]):
    """Studies of tuning, and what was decided from them; append-only.

    Parameters
    ----------
    credentials
        ``url``: of a database that keeps the studies, for trials on several machines; or null.
    """

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, str | None] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._path = Path(filepath)
        self._url = (credentials or {}).get("url")
        self.metadata = metadata

    def load(self) -> StudyStore:
        """Open the store; it need not exist."""
        return StudyStore(self._path, self._url)

    def save(self, data: None) -> None:
        """Refuse: the store is filled through `StudyStore`."""
        raise DatasetError("the study store is filled by the nodes that open it")

    def contents(self) -> dict[str, Path | str]:
        """Constant: filling the store makes nothing stale."""
        return {"": "study store"}

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class MachineDataset(AbstractDataset[None, Machine]):
    """What this machine has; the disk asked is the one that holds `filepath`."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Machine:
        """Read totals and what is free now."""
        return read_machine(self._path)

    def save(self, data: None) -> None:
        """Refuse: a machine is only read."""
        raise DatasetError("a machine is only read")

    def contents(self) -> dict[str, Path | str]:
        """Constant: who reads a machine always runs."""
        return {"": "machine"}

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class ModelDataset(AbstractDataset[Any, Any]):
    """A fitted model: a pickle that only this project reads, behind a manifest of its digest."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Any:
        """Read the model after its digest was checked."""
        if not self._exists():
            raise DatasetError(f"{self._path} does not exist yet")
        return read_trusted(self._path)

    def save(self, data: Any) -> None:
        """Replace the model and its manifest together."""
        write_trusted(self._path, data)

    def contents(self) -> dict[str, Path | str]:
        """The model and its manifest."""
        return parts_at(self._path)

    def _exists(self) -> bool:
        return (self._path / MANIFEST).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
