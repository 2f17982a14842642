"""What one week's tuning hands to later weeks: studies, and the decisions drawn from them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numerai_kedro.errors import StoreError
from numerai_kedro.files import atomic_write, digest_json


class StudyStore:
    """A folder of studies and decisions, each under the digest of what it was made for.

    Parameters
    ----------
    folder
        Created when the first study begins.
    storage_url
        A database that keeps the studies in place of the folder; a secret, because it may hold a
        password.
    """

    def __init__(self, folder: str | os.PathLike[str], storage_url: str | None = None) -> None:
        self.folder = Path(folder)
        self.storage_url = storage_url

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
        path = self._path(procedure)
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
        with atomic_write(self._path(procedure)) as handle:
            handle.write(json.dumps(kept, indent=1).encode())

    def note(self, asked: Mapping[str, Any], decisions: Sequence[Mapping[str, Any]]) -> None:
        """Let plans know what was decided, before they have any data."""
        with atomic_write(self._noted(asked)) as handle:
            handle.write(json.dumps(decisions, indent=1).encode())

    def noted(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What was decided when this was asked last; a hint, empty where there is none."""
        try:
            return list(json.loads(self._noted(asked).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return []

    def _noted(self, asked: Mapping[str, Any]) -> Path:
        return self.folder / "noted" / f"{digest_json(asked)}.json"

    def _path(self, procedure: Mapping[str, Any]) -> Path:
        return self.folder / "decisions" / f"{digest_json(procedure)}.json"
