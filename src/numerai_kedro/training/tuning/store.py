"""What one week's tuning hands to later weeks: studies, and the decisions drawn from them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numerai_kedro.errors import StoreError
from numerai_kedro.files import atomic_write
from numerai_kedro.incremental.keys import path_of, path_of_other_code


class StudyStore:
    """A folder of studies and decisions, each under the digest of what it was made for.

    Parameters
    ----------
    folder
        Created when the first study begins.
    storage_url
        A database that keeps the studies in place of the folder; a secret, because it may hold a
        password.
    keeps_other_code
        What was decided by other code stays in force.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        storage_url: str | None = None,
        keeps_other_code: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.storage_url = storage_url
        self._keeps_other_code = keeps_other_code

    def journal(self, study: str) -> Path:
        """The file of a study."""
        return self.folder / "studies" / f"{study}.journal"

    def decisions(self, procedure: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What was decided for a procedure so far, oldest first.

        Raises
        ------
        StoreError
            The file is no list of decisions: without it a past choice would be made anew, on data
            that it did not have.
        """
        path = self._found(self.folder / "decisions", procedure)
        if not path.exists():
            return []
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return list(kept["decisions"])
        except (ValueError, KeyError, TypeError):
            raise StoreError(
                f"{path}: holds no decisions of tuning; restore it, or delete it to tune anew."
            ) from None

    def decide(self, procedure: Mapping[str, Any], decision: Mapping[str, Any]) -> None:
        """Add a decision; those before it stay."""
        kept = {"procedure": procedure, "decisions": [*self.decisions(procedure), decision]}
        with atomic_write(path_of(self.folder / "decisions", procedure, ".json")) as handle:
            handle.write(json.dumps(kept, indent=1).encode())

    def note(self, asked: Mapping[str, Any], decisions: Sequence[Mapping[str, Any]]) -> None:
        """Let plans know what was decided, before they have any data."""
        with atomic_write(path_of(self.folder / "noted", asked, ".json")) as handle:
            handle.write(json.dumps(decisions, indent=1).encode())

    def noted(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What was decided when this was asked last; a hint, empty where there is none."""
        try:
            path = self._found(self.folder / "noted", asked)
            return list(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return []

    def _found(self, folder: Path, key: Mapping[str, Any]) -> Path:
        own = path_of(folder, key, ".json")
        if own.exists() or not self._keeps_other_code:
            return own
        return path_of_other_code(folder, key, ".json") or own
