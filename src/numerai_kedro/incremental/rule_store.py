"""How rounds paid, as far as it was understood: what weighs on where a round's rule is not."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path

from numerai_kedro.errors import StoreError
from numerai_kedro.files.kept_json import read_kept, write_kept
from numerai_kedro.statistics.payout import PayoutRule

logger = logging.getLogger(__name__)


class RuleStore:
    """A folder by the horizon that is paid: one file for each round that changed the rule."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def keep(self, days: int, number: int, rule: PayoutRule) -> None:
        """Note a round's rule, where it differs from the one before it."""
        before = self.newest(days, number)
        if before is None or before[1] != rule:
            write_kept(self._path(days, number), asdict(rule), copied=True)

    def newest(self, days: int, number: int) -> tuple[int, PayoutRule] | None:
        """The rule that was in force in a round, and since which round; None where none is known.

        A damaged file is passed over, and said: the rule before it is the better guess than none.
        """
        rounds = (int(path.stem) for path in self.folder.glob(f"{days}/*.json"))
        for since in sorted((one for one in rounds if one <= number), reverse=True):
            path = self._path(days, since)
            try:
                kept = read_kept(path, copied=True)
                return since, PayoutRule(**{part: float(kept[part]) for part in kept})
            except (OSError, StoreError, ValueError, TypeError):
                logger.warning("%s: holds no payout rule; it is passed over", path)
        return None

    def _path(self, days: int, number: int) -> Path:
        return self.folder / str(days) / f"{number}.json"
