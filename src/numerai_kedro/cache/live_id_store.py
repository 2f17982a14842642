"""Ids of live stocks by round: ids are new in every round, so old live data are recognised."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from numerai_kedro.files.kept_json import find_kept, write_kept

# Ids are random, so the smallest are a random sample, and the same stocks give the same one.
SAMPLE = 256
ROUNDS_KEPT = 10


class LiveIdStore:
    """One small file per round.

    Parameters
    ----------
    folder
        Need not exist.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def note(self, round_number: int, ids: Sequence[str]) -> None:
        """Keep a sample of a round's ids, and delete those of much older rounds."""
        write_kept(self._path(round_number), sample(ids))
        for number in self._rounds()[:-ROUNDS_KEPT]:
            self._path(number).unlink(missing_ok=True)

    def known_from(self, round_number: int, ids: Sequence[str]) -> tuple[int | None, float]:
        """The earlier round that shares most ids, and what share of its sample is live now.

        Unreadable files are ignored.
        """
        ours = set(sample(ids))
        best: tuple[int | None, float] = (None, 0.0)
        for number in self._rounds():
            if number < round_number and (theirs := self._read(number)):
                best = max(
                    best,
                    (number, len(ours & theirs) / len(theirs)),
                    key=lambda candidate: candidate[1],
                )
        return best

    def _read(self, number: int) -> set[str]:
        return set(map(str, find_kept(self._path(number)) or ()))

    def _rounds(self) -> list[int]:
        names = (path.stem for path in self.folder.glob("*.json"))
        return sorted(int(name) for name in names if name.isdigit())

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.json"


def sample(ids: Sequence[str]) -> list[str]:
    """The `SAMPLE` smallest ids."""
    return sorted(map(str, ids))[:SAMPLE]
