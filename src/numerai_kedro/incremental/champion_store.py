"""What last passed the gate for each slot: its configuration, its record, and its models.

A challenger is compared with it, and where the challenger is worse, it predicts in its place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numerai_kedro.errors import StoreError
from numerai_kedro.files.kept_json import forget_kept, read_kept, write_kept
from numerai_kedro.files.trusted_pickle import read_trusted, write_trusted

FIRST_SEEN = ("number", "seconds", "peak_gb")
ROUNDS_A_WEEK = 5
ROUNDS_KEPT = 2  # the current one, and the one that it is judged against


@dataclass(frozen=True)
class Champion:
    """A configuration that passed the gate and was validated by the tournament.

    Parameters
    ----------
    procedure
        Fingerprint of what a person chose, of the members that finished.
    configuration
        Digest of what its models and its record were made by.
    entry
        What fed the slot: ``ensemble`` or a model.
    round
        In which it was submitted.
    record : list of dict
        Its rows of `era_scores`: what they pay changes with the rounds, and they are judged again
        before it stands in.
    weights : dict
        Of its members.
    proportion, neutral
        What share of what is linear in these features was taken out; without features, in the
        benchmark.
    promised : dict
        What its record let expect.
    data_version
        Of the history that its models learned from; empty where that is not known.
    """

    procedure: str
    configuration: str
    entry: str
    round: int
    record: list[dict[str, Any]]
    weights: dict[str, float]
    proportion: float
    neutral: list[str]
    promised: dict[str, Any]
    data_version: str = ""


class ChampionStore:
    """A folder by slot and round; models behind a manifest of their digest.

    A round is judged against the champion of rounds before it, so that running it again, or with
    other parameters, finds the same one.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def find(self, slot: str, before: int) -> Champion | None:
        """The newest champion of a slot from a round before `before`; None where there is none.

        Raises
        ------
        StoreError
            The file is torn.
        """
        rounds = [number for number in self._rounds(slot) if number < before]
        if not rounds:
            return None
        path = self._path(slot, max(rounds)) / "champion.json"
        try:
            return Champion(**read_kept(path, copied=True))
        except (OSError, StoreError, TypeError):
            raise StoreError(
                f"{path}: holds no champion; restore it, or delete the folder to begin anew."
            ) from None

    def models(self, slot: str, champion: Champion) -> dict[str, list[Any]]:
        """Its fitted models, by member."""
        folder = self._path(slot, champion.round) / "models"
        return {name: read_trusted(folder / name) for name in champion.weights}

    def promote(self, slot: str, champion: Champion, models: Mapping[str, Any]) -> None:
        """Keep a slot's champion of a round, and the one before; the record is written last."""
        folder = self._path(slot, champion.round)
        forget_kept(folder / "champion.json")
        for name in champion.weights:
            write_trusted(folder / "models" / name, models[name])
        write_kept(folder / "champion.json", asdict(champion), copied=True)
        for number in self._rounds(slot)[:-ROUNDS_KEPT]:
            shutil.rmtree(self._path(slot, number))

    def _rounds(self, slot: str) -> list[int]:
        """Rounds with a whole champion, oldest first."""
        return sorted(int(one.parent.name) for one in self.folder.glob(f"{slot}/*/champion.json"))

    def _path(self, slot: str, number: int) -> Path:
        return self.folder / slot / str(number)


class ProcedureStore:
    """One file a configuration that was ever judged; the count deflates what the best is worth."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def register(self, procedure: str, described: Mapping[str, Any]) -> None:
        """Note a configuration, once."""
        path = self.folder / f"{procedure}.json"
        if not path.exists():
            _write(path, described)

    def count(self) -> int:
        """Configurations ever judged."""
        return len(list(self.folder.glob("*.json")))

    def judged(self, slot: str, procedure: str, round_number: int) -> None:
        """Note that a slot judged a configuration in a round; what cannot be read begins anew."""
        kept = _noted(self._of_slot(slot, procedure))
        rounds = sorted({*kept["rounds"], round_number})
        _write(self._of_slot(slot, procedure), kept | {"rounds": rounds})

    def count_since(self, slot: str, round_number: int, weeks: int = 52) -> int:
        """How many configurations a slot judged in so many weeks up to a round."""
        first = round_number - ROUNDS_A_WEEK * weeks
        kept = (_noted(path)["rounds"] for path in self._of_slot(slot, "").parent.glob("*.json"))
        return sum(any(first < one <= round_number for one in rounds) for rounds in kept)

    def passed_with(self, slot: str, procedure: str) -> int | None:
        """Among how many a configuration passed; None where it never did."""
        found: int | None = _noted(self._of_slot(slot, procedure))["passed_with"]
        return found

    def note_passed(self, slot: str, procedure: str, n: int) -> None:
        """Note among how many a configuration passed; the fewest count."""
        kept = _noted(self._of_slot(slot, procedure))
        fewest = n if kept["passed_with"] is None else min(n, kept["passed_with"])
        _write(self._of_slot(slot, procedure), kept | {"passed_with": fewest})

    def _of_slot(self, slot: str, procedure: str) -> Path:
        return self.folder / "slots" / slot / f"{procedure}.json"


class VersionStore:
    """One file a code version and configuration: what they scored and took, for the trend."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def keep(self, code: str, procedure: str, record: Mapping[str, Any]) -> None:
        """Note a version's scores; what it took stays what it took when it was first complete.

        Later runs find most of it done.
        """
        path = self._path(code, procedure)
        before = _read(path) or {}
        number = 1 + max((one["number"] for one in self.all()), default=0)
        names = {"code": code, "procedure": procedure, "number": number}
        first = {name: before[name] for name in FIRST_SEEN if name in before}
        _write(path, {**record, **names, **first})

    def all(self) -> list[dict[str, Any]]:
        """Every version, in the order in which they came; what cannot be read is left out."""
        found = [_read(path) for path in self.folder.glob("*.json")]
        known = [one for one in found if one is not None]
        return sorted(known, key=lambda one: int(one["number"]))

    def _path(self, code: str, procedure: str) -> Path:
        return self.folder / f"{code}-{procedure[:12]}.json"


def _noted(path: Path) -> dict[str, Any]:
    """What a slot knows of a configuration; nothing where the file is missing or damaged."""
    nothing: dict[str, Any] = {"rounds": [], "passed_with": None}
    found = _read(path) or {}
    return found if _is_note(found) else nothing


def _is_note(found: Mapping[str, Any]) -> bool:
    rounds, passed_with = found.get("rounds"), found.get("passed_with", "")
    whole = isinstance(rounds, list) and all(isinstance(one, int) for one in rounds)
    return whole and (passed_with is None or isinstance(passed_with, int))


def _write(path: Path, record: Mapping[str, Any]) -> None:
    write_kept(path, dict(record), copied=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(read_kept(path, copied=True))
    except (OSError, StoreError, ValueError, TypeError):
        return None
