"""Studies and their decisions, kept from week to week."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numerai_kedro.errors import StoreError
from numerai_kedro.files import digest_json
from numerai_kedro.files.kept_json import find_kept, read_kept, write_kept

REMEDY = "Restore it, or delete it and its copy to tune anew."


class StudyStore:
    """A folder of studies and decisions, each under the digest of its procedure or key.

    Parameters
    ----------
    folder
        Created by the first study.
    storage_url
        A database that keeps the studies in place of the folder; a secret, because it may hold a
        password.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        storage_url: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.storage_url = storage_url

    def journal(self, study: str) -> Path:
        """The journal file of a study."""
        return self.folder / "studies" / f"{study}.journal"

    def decisions(self, procedure: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Decisions of a procedure so far, oldest first.

        Raises
        ------
        StoreError
            File and copy are damaged: a past choice would be made again with data from later weeks.
        """
        path = self._path("decisions", procedure)
        try:
            return list(read_kept(path, copied=True)["decisions"])
        except FileNotFoundError:
            return []
        except StoreError as damaged:
            raise StoreError(f"{damaged} {REMEDY}") from None

    def decide(self, procedure: Mapping[str, Any], decision: Mapping[str, Any]) -> None:
        """Append a decision."""
        document = {"procedure": procedure, "decisions": [*self.decisions(procedure), decision]}
        write_kept(self._path("decisions", procedure), document, copied=True)

    def note(self, asked: Mapping[str, Any], decisions: Sequence[Mapping[str, Any]]) -> None:
        """Note decisions for plans, which are made before any data is loaded."""
        write_kept(self._path("noted", asked), list(decisions))

    def noted(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The last decisions noted under a key; a hint, empty if there are none."""
        return list(find_kept(self._path("noted", asked)) or [])

    def _path(self, kind: str, key: Mapping[str, Any]) -> Path:
        return self.folder / kind / f"{digest_json(key)}.json"
