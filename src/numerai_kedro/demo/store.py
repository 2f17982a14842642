"""What the demo's server remembers, in SQLite: account, models, uploads, submissions, clock.

Several processes may have it open: a server in the foreground, and commands next to it.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numerai_kedro.errors import ConfigurationError

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS models (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, has_pickle INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS uploads (
    filename TEXT PRIMARY KEY, model_id TEXT NOT NULL, content BLOB);
CREATE TABLE IF NOT EXISTS submissions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, model_id TEXT NOT NULL,
    round_number INTEGER NOT NULL, filename TEXT NOT NULL, inserted_at REAL NOT NULL,
    late INTEGER NOT NULL, trigger_id TEXT, source TEXT, data_datestamp INTEGER,
    content BLOB NOT NULL, error_info TEXT);
CREATE TABLE IF NOT EXISTS scores (
    submission_id TEXT NOT NULL, day INTEGER NOT NULL, name TEXT NOT NULL,
    value REAL, percentile REAL, PRIMARY KEY (submission_id, day, name));
CREATE TABLE IF NOT EXISTS settings (
    model_id TEXT NOT NULL, name TEXT NOT NULL, value TEXT, PRIMARY KEY (model_id, name));
CREATE TABLE IF NOT EXISTS pickles (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, model_id TEXT NOT NULL,
    filename TEXT NOT NULL, inserted_at REAL NOT NULL, data_version TEXT);
CREATE TABLE IF NOT EXISTS diagnostics (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, model_id TEXT NOT NULL,
    filename TEXT NOT NULL, inserted_at REAL NOT NULL, content BLOB NOT NULL);
"""
# The first is the demo pipeline's own; the last refuses submissions, as Numerai does.
MODELS = (("demo", False), ("demo_second", False), ("demo_pickle", True))
BUSY_TIMEOUT_S = 30


@dataclass(frozen=True)
class Model:
    """A slot of the account."""

    id: str
    name: str
    has_pickle: bool


@dataclass(frozen=True)
class Pickle:
    """A model that was uploaded to be run by the tournament."""

    id: str
    filename: str
    inserted_at: datetime
    data_version: str | None


@dataclass(frozen=True)
class Diagnosis:
    """Predictions of validation eras that were uploaded to be scored."""

    id: str
    filename: str
    inserted_at: datetime
    content: bytes


@dataclass(frozen=True)
class Submission:
    """A submission that was created, late or not.

    Parameters
    ----------
    error_info
        Why it is invalid; None for one that is valid.
    """

    id: str
    model_id: str
    round_number: int
    filename: str
    inserted_at: datetime
    late: bool
    trigger_id: str | None
    sequence: int
    error_info: str | None = None
    data_datestamp: int | None = None


class Store:
    """The file ``tournament.sqlite`` of one demo.

    Raises
    ------
    ConfigurationError
        The file belongs to a demo of another size or seed, cannot be written, or is damaged.
    """

    def __init__(self, folder: Path, size: str, seed: int, start: datetime) -> None:
        self._path = folder / "tournament.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._create(size, seed, start)
        except (OSError, sqlite3.DatabaseError) as error:
            raise ConfigurationError(
                f"{self._path}: cannot be used ({error}); make the folder writable, or delete it "
                "to begin this demo again."
            ) from None
        existing = (self.fact("size"), self.fact("seed"))
        if existing != (size, str(seed)):
            raise ConfigurationError(
                f"{folder}: holds the demo tournament of size {existing[0]} and seed "
                f"{existing[1]}, not of {size} and {seed}; choose with kedro tournament use demo, "
                "which gives each its own data_folder."
            )

    def _create(self, size: str, seed: int, start: datetime) -> None:
        with self._open() as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(SCHEMA)
            columns = [row["name"] for row in db.execute("PRAGMA table_info(submissions)")]
            if "error_info" not in columns:  # made before submissions could fail
                db.execute("ALTER TABLE submissions ADD COLUMN error_info TEXT")
            facts = {
                "size": size,
                "seed": str(seed),
                "instant": str(start.timestamp()),
                "instance": uuid.uuid4().hex,
                "signing_key": secrets.token_hex(32),
            }
            db.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", facts.items())
            db.executemany(
                "INSERT OR IGNORE INTO models VALUES (?, ?, ?)",
                [(_model_id(seed, name), name, pickled) for name, pickled in MODELS],
            )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One connection a call: threads and processes share the file, never a connection."""
        db = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S)
        db.row_factory = sqlite3.Row
        try:
            with db:
                yield db
        finally:
            db.close()

    def fact(self, name: str) -> str:
        """A single value of the demo."""
        with self._open() as db:
            row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row["value"])

    def instant(self) -> datetime:
        """What the demo's clock shows."""
        return datetime.fromtimestamp(float(self.fact("instant")), UTC)

    def set_instant(self, instant: datetime) -> None:
        """Set the demo's clock."""
        with self._open() as db:
            db.execute(
                "UPDATE facts SET value = ? WHERE name = 'instant'", (str(instant.timestamp()),)
            )

    def models(self) -> list[Model]:
        """Models of the account, in the order in which they were made."""
        with self._open() as db:
            rows = db.execute("SELECT * FROM models ORDER BY rowid").fetchall()
        return [Model(row["id"], row["name"], bool(row["has_pickle"])) for row in rows]

    def settings(self, model_id: str) -> dict[str, str | None]:
        """What its owner set for a model: bio, link, webhook."""
        with self._open() as db:
            rows = db.execute("SELECT * FROM settings WHERE model_id = ?", (model_id,)).fetchall()
        return {row["name"]: row["value"] for row in rows}

    def keep_setting(self, model_id: str, name: str, value: str | None) -> None:
        """Set one of a model's settings."""
        with self._open() as db:
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", (model_id, name, value))

    def add_pickle(
        self, model_id: str, filename: str, inserted_at: datetime, data_version: str | None
    ) -> None:
        """Assign an uploaded pickle to a model, which then takes no predictions."""
        with self._open() as db:
            db.execute(
                "INSERT INTO pickles (id, model_id, filename, inserted_at, data_version)"
                " VALUES (?,?,?,?,?)",
                (str(uuid.uuid4()), model_id, filename, inserted_at.timestamp(), data_version),
            )
            db.execute("UPDATE models SET has_pickle = 1 WHERE id = ?", (model_id,))

    def pickles(self, model_id: str) -> list[Pickle]:
        """Pickles of a model, newest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT * FROM pickles WHERE model_id = ? ORDER BY sequence DESC", (model_id,)
            ).fetchall()
        return [
            Pickle(
                row["id"],
                row["filename"],
                datetime.fromtimestamp(row["inserted_at"], UTC),
                row["data_version"],
            )
            for row in rows
        ]

    def add_diagnosis(
        self, model_id: str, filename: str, content: bytes, inserted_at: datetime
    ) -> str:
        """Keep predictions that are to be scored; returns the id of the diagnosis."""
        diagnosis_id = str(uuid.uuid4())
        with self._open() as db:
            db.execute(
                "INSERT INTO diagnostics (id, model_id, filename, inserted_at, content)"
                " VALUES (?,?,?,?,?)",
                (diagnosis_id, model_id, filename, inserted_at.timestamp(), content),
            )
        return diagnosis_id

    def diagnoses(self, model_id: str) -> list[Diagnosis]:
        """Diagnoses of a model, newest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT * FROM diagnostics WHERE model_id = ? ORDER BY sequence DESC", (model_id,)
            ).fetchall()
        return [
            Diagnosis(
                row["id"],
                row["filename"],
                datetime.fromtimestamp(row["inserted_at"], UTC),
                row["content"],
            )
            for row in rows
        ]

    def announce_upload(self, filename: str, model_id: str) -> None:
        """Remember that a file of this name may be uploaded."""
        with self._open() as db:
            db.execute("INSERT INTO uploads VALUES (?, ?, NULL)", (filename, model_id))

    def keep_upload(self, filename: str, content: bytes) -> None:
        """Keep what was uploaded; a second upload replaces the first."""
        with self._open() as db:
            db.execute("UPDATE uploads SET content = ? WHERE filename = ?", (content, filename))

    def upload(self, filename: str, model_id: str) -> bytes | None:
        """What was uploaded for the model; None if nothing arrived."""
        with self._open() as db:
            row = db.execute(
                "SELECT content FROM uploads WHERE filename = ? AND model_id = ?",
                (filename, model_id),
            ).fetchone()
        return None if row is None else row["content"]

    def add_submission(
        self,
        model_id: str,
        round_number: int,
        filename: str,
        content: bytes,
        inserted_at: datetime,
        *,
        late: bool,
        extras: dict[str, Any],
        error_info: str | None = None,
    ) -> str:
        """Keep a submission, valid or not; returns its id. No idempotency key, as at Numerai."""
        submission_id = str(uuid.uuid4())
        with self._open() as db:
            db.execute(
                "INSERT INTO submissions (id, model_id, round_number, filename, inserted_at, late,"
                " trigger_id, source, data_datestamp, content, error_info)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                (
                    submission_id,
                    model_id,
                    round_number,
                    filename,
                    inserted_at.timestamp(),
                    late,
                    extras.get("trigger_id"),
                    extras.get("source"),
                    extras.get("data_datestamp"),
                    content,
                    error_info,
                ),
            )
        return submission_id

    def submissions(self, model_id: str | None = None) -> list[Submission]:
        """Submissions, valid or not, newest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT * FROM submissions WHERE ?1 IS NULL OR model_id = ?1"
                " ORDER BY sequence DESC",
                (model_id,),
            ).fetchall()
        return [
            Submission(
                id=row["id"],
                model_id=row["model_id"],
                round_number=row["round_number"],
                filename=row["filename"],
                inserted_at=datetime.fromtimestamp(row["inserted_at"], UTC),
                late=bool(row["late"]),
                trigger_id=row["trigger_id"],
                sequence=row["sequence"],
                error_info=row["error_info"],
                data_datestamp=row["data_datestamp"],
            )
            for row in rows
        ]

    def content_of(self, submission_id: str) -> bytes | None:
        """The csv of a submission; None if there is no such submission."""
        with self._open() as db:
            row = db.execute(
                "SELECT content FROM submissions WHERE id = ?", (submission_id,)
            ).fetchone()
        return None if row is None else row["content"]

    def scores(self, submission_id: str) -> dict[tuple[int, str], tuple[float, float]]:
        """Scores computed so far: (day, name) to (value, percentile)."""
        with self._open() as db:
            rows = db.execute(
                "SELECT * FROM scores WHERE submission_id = ?", (submission_id,)
            ).fetchall()
        return {(r["day"], r["name"]): (r["value"], r["percentile"]) for r in rows}

    def keep_scores(
        self, submission_id: str, scores: dict[tuple[int, str], tuple[float, float]]
    ) -> None:
        """Keep scores; they never change."""
        with self._open() as db:
            db.executemany(
                "INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?, ?)",
                [(submission_id, *key, *value) for key, value in scores.items()],
            )


def selected(submissions: list[Submission]) -> dict[tuple[str, int], str]:
    """Which submission counts, by model and round: the latest valid one that was in time.

    If none was, the latest valid one that came late.

    Parameters
    ----------
    submissions
        In any order.
    """
    best: dict[tuple[str, int], Submission] = {}
    for submission in (submission for submission in submissions if submission.error_info is None):
        key = (submission.model_id, submission.round_number)
        rank = (not submission.late, submission.sequence)
        if key not in best or rank > (not best[key].late, best[key].sequence):
            best[key] = submission
    return {key: submission.id for key, submission in best.items()}


def _model_id(seed: int, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{seed}.{name}.demo"))
