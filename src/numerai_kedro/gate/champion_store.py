"""What last passed the gate for each slot: its configuration, its record, and its models.

A challenger is compared with it; if the challenger is worse, the champion predicts instead.
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

# Fields of a version that stay those of its first run.
FIRST_SEEN = ("number", "seconds", "peak_gb")
ROUNDS_A_WEEK = 5
ROUNDS_KEPT = 2  # the current one, and the one that it is compared with


@dataclass(frozen=True)
class Champion:
    """A configuration that passed the gate and was validated by the tournament.

    Parameters
    ----------
    procedure
        Fingerprint of the settings that the user chose; see `provenance.procedure_of`.
    configuration
        Digest of what its models and its record were made with.
    entry
        What fed the slot: ``ensemble`` or a model.
    round
        The round in which it was submitted.
    record : list of dict
        Its rows of `era_scores`; they are scored again before it stands in, because what they pay
        changes with the rounds.
    weights : dict
        Of its members.
    proportion, neutral
        Proportion of neutralisation, and what was neutralised: names of features, or the dotted
        path of the user's own function; empty for the benchmark.
    promised : dict
        Scores expected from its record.
    data_version
        Of the history that its models learned from; empty if unknown.
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
    """One folder per slot and round; each model has a manifest with its digest.

    A round is compared with the champion of an earlier round, so that running it again, even with
    other parameters, finds the same champion.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def find(self, slot: str, before: int) -> Champion | None:
        """The newest champion of a slot from a round before `before`; None if there is none.

        Raises
        ------
        StoreError
            The file is damaged.
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
        # A folder without this file is incomplete: a kill between two models leaves no champion.
        forget_kept(folder / "champion.json")
        for name in champion.weights:
            write_trusted(folder / "models" / name, models[name])
        write_kept(folder / "champion.json", asdict(champion), copied=True)
        for number in self._rounds(slot)[:-ROUNDS_KEPT]:
            shutil.rmtree(self._path(slot, number))

    def _rounds(self, slot: str) -> list[int]:
        """Rounds with a complete champion, oldest first."""
        return sorted(int(path.parent.name) for path in self.folder.glob(f"{slot}/*/champion.json"))

    def _path(self, slot: str, number: int) -> Path:
        return self.folder / slot / str(number)


class ProcedureStore:
    """One file per configuration ever tried; their count deflates the value of the best."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def register(self, procedure: str, described: Mapping[str, Any]) -> None:
        """Note a configuration, once."""
        path = self.folder / f"{procedure}.json"
        if not path.exists():
            _write(path, described)

    def count(self) -> int:
        """Configurations ever tried."""
        return len(list(self.folder.glob("*.json")))

    def note_tried(self, slot: str, procedure: str, round_number: int) -> None:
        """Note that a slot tried a configuration in a round; an unreadable note starts afresh."""
        note = _noted(self._of_slot(slot, procedure))
        rounds = sorted({*note["rounds"], round_number})
        _write(self._of_slot(slot, procedure), note | {"rounds": rounds})

    def count_since(self, slot: str, round_number: int, weeks: int = 52) -> int:
        """How many configurations a slot tried in the `weeks` up to a round."""
        first = round_number - ROUNDS_A_WEEK * weeks
        rounds_by_configuration = (
            _noted(path)["rounds"] for path in self._of_slot(slot, "").parent.glob("*.json")
        )
        return sum(
            any(first < number <= round_number for number in rounds)
            for rounds in rounds_by_configuration
        )

    def passed_with(self, slot: str, procedure: str) -> int | None:
        """How many configurations had been tried when this one passed; None if it never did."""
        n: int | None = _noted(self._of_slot(slot, procedure))["passed_with"]
        return n

    def note_passed(self, slot: str, procedure: str, n: int) -> None:
        """Note that a configuration passed when `n` had been tried; the smallest `n` is kept."""
        note = _noted(self._of_slot(slot, procedure))
        fewest = n if note["passed_with"] is None else min(n, note["passed_with"])
        _write(self._of_slot(slot, procedure), note | {"passed_with": fewest})

    def _of_slot(self, slot: str, procedure: str) -> Path:
        return self.folder / "slots" / slot / f"{procedure}.json"


class VersionStore:
    """One file per code version and configuration: its scores and costs, for the trend."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def keep(self, code: str, procedure: str, record: Mapping[str, Any]) -> None:
        """Note a version's scores; its time and memory stay those of its first complete run.

        Later runs reuse most of the work, so that their time says nothing.
        """
        path = self._path(code, procedure)
        existing = _read(path) or {}
        number = 1 + max((version["number"] for version in self.all()), default=0)
        names = {"code": code, "procedure": procedure, "number": number}
        first = {name: existing[name] for name in FIRST_SEEN if name in existing}
        _write(path, {**record, **names, **first})

    def all(self) -> list[dict[str, Any]]:
        """Every version, in order of first appearance; unreadable ones are left out."""
        records = [_read(path) for path in self.folder.glob("*.json")]
        readable = [record for record in records if record is not None]
        return sorted(readable, key=lambda record: int(record["number"]))

    def _path(self, code: str, procedure: str) -> Path:
        return self.folder / f"{code}-{procedure[:12]}.json"


def _noted(path: Path) -> dict[str, Any]:
    """What a slot noted of a configuration; empty if the file is missing or damaged."""
    nothing: dict[str, Any] = {"rounds": [], "passed_with": None}
    note = _read(path) or {}
    return note if _is_note(note) else nothing


def _is_note(note: Mapping[str, Any]) -> bool:
    # A missing field is no None: the text makes such a note invalid.
    rounds, passed_with = note.get("rounds"), note.get("passed_with", "")
    has_rounds = isinstance(rounds, list) and all(isinstance(number, int) for number in rounds)
    return has_rounds and (passed_with is None or isinstance(passed_with, int))


def _write(path: Path, record: Mapping[str, Any]) -> None:
    write_kept(path, dict(record), copied=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(read_kept(path, copied=True))
    except (OSError, StoreError, ValueError, TypeError):
        return None
