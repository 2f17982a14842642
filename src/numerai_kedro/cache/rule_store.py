"""Payout rules of past rounds: the fallback if a round's own rule is not understood."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path

from numerai_kedro.errors import StoreError
from numerai_kedro.files.kept_json import read_kept, write_kept
from numerai_kedro.metrics.payout import PayoutRule

logger = logging.getLogger(__name__)


class RuleStore:
    """A folder per paid horizon, with one file for each round that changed the rule."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def keep(self, days: int, number: int, rule: PayoutRule) -> None:
        """Note a round's rule if it differs from the one before it."""
        previous = self.newest(days, number)
        if previous is None or previous[1] != rule:
            write_kept(self._path(days, number), asdict(rule), copied=True)

    def newest(self, days: int, number: int) -> tuple[int, PayoutRule] | None:
        """The first round of the rule in force in a round, and the rule; None if none is known.

        A damaged file is skipped with a warning: the rule before it is a better guess than none.
        """
        rounds = (int(path.stem) for path in self.folder.glob(f"{days}/*.json"))
        for since in sorted(
            (first_round for first_round in rounds if first_round <= number), reverse=True
        ):
            path = self._path(days, since)
            try:
                fields = read_kept(path, copied=True)
                return since, PayoutRule(**{part: float(fields[part]) for part in fields})
            except (OSError, StoreError, ValueError, TypeError):
                logger.warning("%s: holds no payout rule; it is ignored", path)
        return None

    def _path(self, days: int, number: int) -> Path:
        return self.folder / str(days) / f"{number}.json"
