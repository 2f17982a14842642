"""Entries that give nodes a store, a model, or the resources of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from kedro.io import AbstractDataset, DatasetError

from numerai_kedro.cache import FoldStore
from numerai_kedro.cache.content import parts_at
from numerai_kedro.cache.live_id_store import LiveIdStore
from numerai_kedro.cache.rule_store import RuleStore
from numerai_kedro.compute.machine import Machine, read_machine
from numerai_kedro.files.trusted_pickle import (
    MANIFEST,
    read_trusted,
    version_of,
    write_trusted,
)
from numerai_kedro.gate.champion_store import ChampionStore, ProcedureStore, VersionStore
from numerai_kedro.training.tuning.store import StudyStore


class StoreDataset(AbstractDataset[None, Any]):
    """A store that nodes open and fill themselves, for later nodes and weeks."""

    kind: ClassVar[type]

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Any:
        """Open the store; it need not exist."""
        return self.kind(self._path)

    def save(self, data: None) -> None:
        """Refuse: a store is filled through its own class."""
        raise DatasetError(f"{self._path.name} is filled by the nodes that open it")

    def contents(self) -> dict[str, Path | str]:
        """Constant: filling a store makes nothing stale."""
        return {"": self._path.name}

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class CodedStoreDataset(StoreDataset):
    """A store of results that depend on the code.

    Attributes
    ----------
    keeps_other_code
        Whether this run uses results of other code (`incremental.keep_fits_of_other_code`); its
        nodes then have a different input than in a run that does not.
    """

    keeps_other_code = False

    def contents(self) -> dict[str, Path | str]:
        """Constant, except for whether results of other code are used."""
        extra = {"of other code": "kept"} if self.keeps_other_code else {}
        return {**super().contents(), **extra}


class FoldStoreDataset(CodedStoreDataset):
    """Models and predictions of folds, by what they were made from."""

    kind = FoldStore


class ChampionStoreDataset(StoreDataset):
    """Champions of each slot, by round."""

    kind = ChampionStore


class LiveIdStoreDataset(StoreDataset):
    """Which stocks were live in the last rounds."""

    kind = LiveIdStore


class ProcedureStoreDataset(StoreDataset):
    """Every configuration ever tried."""

    kind = ProcedureStore


class VersionStoreDataset(StoreDataset):
    """What every code version and configuration scored."""

    kind = VersionStore


class RuleStoreDataset(StoreDataset):
    """Payout rules of past rounds."""

    kind = RuleStore


class StudyStoreDataset(CodedStoreDataset):
    """Studies of tuning, and what was decided from them.

    Parameters
    ----------
    credentials
        ``url`` of a database for the studies, for trials on several machines; or null.
    """

    kind = StudyStore

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, str | None] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._url = (credentials or {}).get("url")

    def load(self) -> StudyStore:
        """Open the store; it need not exist."""
        return StudyStore(self._path, self._url)


class LearnedVersionsDataset(AbstractDataset[None, dict[str, str]]):
    """Data version of every stored live fit, by model, read from the manifests alone.

    Parameters
    ----------
    filepath
        Folder of the models.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, str]:
        """Data version by model, without models whose version is unknown."""
        versions = {
            p.parts[-3]: version_of(p) for p in sorted(self._path.glob(f"*/model/{MANIFEST}"))
        }
        return {name: version for name, version in versions.items() if version}

    def save(self, data: None) -> None:
        """Refuse: the versions are saved with the fits."""
        raise DatasetError("what fits have learned from is only read")

    def contents(self) -> dict[str, Path | str]:
        """The versions themselves."""
        return dict(self.load())

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class MachineDataset(AbstractDataset[None, Machine]):
    """Resources of this machine; the disk is the one that holds `filepath`."""

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
        """Constant: nodes that read the machine always run."""
        return {"": "machine"}

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class ModelDataset(AbstractDataset[Any, Any]):
    """A fitted model: a pickle, read only if its manifest holds its digest."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Any:
        """Check the digest, then read the model."""
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
