"""The demo tournament itself: rounds, uploads, submissions and scores, without any HTTP."""

from __future__ import annotations

import io
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath

import pandas as pd

from numerai_kedro.demo.archive import (
    DATA_VERSION,
    FILES,
    OLD_VERSIONS,
    Archive,
)
from numerai_kedro.demo.clock import Clock
from numerai_kedro.demo.rounds import (
    FIRST_ROUND,
    DemoRound,
    demo_round,
    latest_round,
    one_minute_into,
)
from numerai_kedro.demo.scores import Scores, score_submission
from numerai_kedro.demo.store import Model, Store, Submission, selected
from numerai_kedro.demo.tokens import TOKEN_SECONDS, Signer

# Keys of the demo, no secret: they open nothing but a server on this machine.
DEMO_PUBLIC_ID = "DEMOTOURNAMENTPUBLICID"
DEMO_SECRET_KEY = "DEMOTOURNAMENTSECRETKEYOPENSNOTHINGELSE"
NOT_OPEN = "Current round not open for submissions"
UNKNOWN_MODEL = "Model not found"
NO_CSV = "invalid_submission: the file cannot be read as a csv"
HOLDS_PICKLE = (
    "Model has an uploaded pickle: disable or remove the model upload to submit predictions"
)
FOLDER = "tournament"
# Names of live files of old versions.
LIVE_OF_ROUND = re.compile(r"live_(\d+)\.parquet")


class Refusal(Exception):
    """The tournament says no; the text goes to the client as a GraphQL error."""


class DemoTournament:
    """State and rules of one demo.

    Parameters
    ----------
    data_folder
        Of the demo; all of this lives in its subfolder ``tournament``.
    size, seed
        Of the demo's world.
    speed
        Demo seconds per real second; 0: the clock stands still.
    keys
        (public id, secret key) of the one account.
    token_seconds
        How long signed addresses are good.

    Attributes
    ----------
    versions : tuple of str
        Data versions that are listed; each has the same files. Tests add some.
    """

    def __init__(
        self,
        data_folder: Path,
        size: str,
        seed: int,
        *,
        speed: float = 0.0,
        keys: tuple[str, str] = (DEMO_PUBLIC_ID, DEMO_SECRET_KEY),
        token_seconds: float = TOKEN_SECONDS,
    ) -> None:
        self.folder = Path(data_folder) / FOLDER
        self.size, self.seed, self.keys = size, seed, keys
        self.store = Store(self.folder, size, seed, one_minute_into(demo_round(FIRST_ROUND, seed)))
        self.clock = Clock(self.store, seed, speed)
        self.archive = Archive(self.folder, size, seed)
        self.signer = Signer(self.store.fact("signing_key"), token_seconds)
        self.versions: tuple[str, ...] = (DATA_VERSION,)
        self._lock = threading.Lock()
        # Submissions and diagnoses that nobody has asked about yet: the first request hears that
        # they are pending, because the real service takes some seconds to look at them.
        self._pending: frozenset[str] = frozenset()

    @property
    def pending(self) -> frozenset[str]:
        """Ids of submissions and diagnoses whose result is not given yet."""
        return self._pending

    def validated(self, ids: Iterable[str]) -> None:
        """Give the results of these ids from now on."""
        with self._lock:
            self._pending -= frozenset(ids)

    def _mark_pending(self, new_id: str) -> str:
        with self._lock:
            self._pending |= {new_id}
        return new_id

    def prepare(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Build world and files of the newest round, which may take a while."""
        self.archive.files(self.latest(self.clock.now()), progress)

    def note(self, operation: str) -> None:
        """Append an operation's name to the log; names only, so it holds no secret."""
        with self._lock:
            handle = os.open(
                self.folder / "operations.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644
            )
            os.write(handle, f"{operation}\n".encode())
            os.close(handle)

    def latest(self, now: datetime) -> DemoRound:
        """Newest round that has opened."""
        return latest_round(now, self.seed)

    def rounds(self, now: datetime) -> list[DemoRound]:
        """Rounds of the demo so far and the next one, newest first."""
        newest = self.latest(now).number + 1
        return [demo_round(number, self.seed) for number in range(newest, FIRST_ROUND - 1, -1)]

    def current_round(self, now: datetime) -> DemoRound:
        """Round that is open for submissions that count.

        Raises
        ------
        Refusal
            Between rounds.
        """
        demo = self.latest(now)
        if demo.status(now) != "OPEN":
            raise Refusal(NOT_OPEN)
        return demo

    def file(self, name: str, round_number: int | None) -> tuple[DemoRound, str]:
        """Round and bare name of a listed file.

        Raises
        ------
        Refusal
            No such file, or round.
        """
        newest = self.latest(self.clock.now())
        version, _, bare = name.partition("/")
        number = round_number or newest.number
        if version not in self.versions:
            # For rounds from before the demo there is only the newest history, and nothing live.
            of_round = LIVE_OF_ROUND.fullmatch(bare)
            if of_round:
                bare, number = "live.parquet", int(of_round[1])
            if not bare.startswith("live") and number < FIRST_ROUND:
                number = newest.number
        is_listed = bare in (FILES if version in self.versions else OLD_VERSIONS.get(version, ()))
        if not is_listed or not FIRST_ROUND <= number <= newest.number:
            raise Refusal("dataset not found")
        return demo_round(number, self.seed), bare

    def model(self, model_id: str | None) -> Model:
        """One of the account's models; without an id, its first.

        Raises
        ------
        Refusal
            No such model.
        """
        models = self.store.models()
        for model in models:
            if model_id is None or model.id == model_id:
                return model
        raise Refusal(UNKNOWN_MODEL)

    def open_upload(self, filename: str, model_id: str | None, *, of_pickles: bool = False) -> str:
        """Name under which a file may be uploaded: the client's own, made unique.

        Parameters
        ----------
        of_pickles
            Also for models that hold a pickle, because it is no submission.

        Raises
        ------
        Refusal
            Unknown model, or one that holds a pickle.
        """
        model = self.model(model_id)
        if model.has_pickle and not of_pickles:
            raise Refusal(HOLDS_PICKLE)
        name = PurePosixPath(filename.replace("\\", "/")).name
        suffix = ".pkl" if name.endswith(".pkl") else ".csv"
        stem = name.removesuffix(suffix) or "predictions"
        unique = f"{stem}-{secrets.token_hex(6)}{suffix}"
        self.store.announce_upload(unique, model.id)
        return unique

    def create_submission(
        self,
        filename: str,
        model_id: str | None,
        extras: Mapping[str, str | int | None],
        error_info: str | None = None,
    ) -> str:
        """Make what was uploaded a submission, which is then validated; returns its id.

        Parameters
        ----------
        error_info
            What validation says; by default what numerai-tools does.

        Raises
        ------
        Refusal
            No round takes it, or nothing was uploaded.
        """
        model = self.model(model_id)
        if model.has_pickle:
            raise Refusal(HOLDS_PICKLE)
        now = self.clock.now()
        demo = self.latest(now)
        if now >= demo.close_time:
            raise Refusal(NOT_OPEN)
        content = self._uploaded(filename, model)
        return self._mark_pending(
            self.store.add_submission(
                model.id,
                demo.number,
                filename,
                content,
                now,
                late=now >= demo.close_staking_time,
                extras=dict(extras),
                error_info=error_info or self._error_of(content, demo),
            )
        )

    def create_pickle(self, filename: str, model: Model, data_version: str | None) -> None:
        """Assign what was uploaded to a model, which then takes no predictions; nothing is run.

        Raises
        ------
        Refusal
            Nothing was uploaded.
        """
        self._uploaded(filename, model)
        self.store.add_pickle(model.id, filename, self.clock.now(), data_version)

    def create_diagnostics(self, filename: str, model_id: str | None) -> str:
        """Have what was uploaded scored on the validation eras; returns an id.

        Raises
        ------
        Refusal
            Nothing was uploaded.
        """
        model = self.model(model_id)
        content = self._uploaded(filename, model)
        return self._mark_pending(
            self.store.add_diagnosis(model.id, filename, content, self.clock.now())
        )

    def _uploaded(self, filename: str, model: Model) -> bytes:
        content = self.store.upload(filename, model.id)
        if content is None:
            raise Refusal("file not uploaded")
        return content

    def scores(self, submission: Submission, now: datetime) -> Scores:
        """All scores that the submission has by now; each is computed once."""
        demo = demo_round(submission.round_number, self.seed)
        n_days = demo.days_scored(now)
        by_day = self.store.scores(submission.id)
        missing = [day for day in range(1, n_days + 1) if (day, "corr60") not in by_day]
        if missing:
            content = self.store.content_of(submission.id)
            assert content is not None, "submissions are never deleted"
            era = self.archive.live_era(demo)
            world = self.archive.world(demo)
            fresh = score_submission(content, world, era, demo.number, missing)
            self.store.keep_scores(submission.id, fresh)
            by_day |= fresh
        return {key: value for key, value in by_day.items() if key[0] <= n_days}

    def scored_submissions(self, model_id: str) -> list[Submission]:
        """Selected submissions of a model, newest round first."""
        submissions = self.store.submissions(model_id)
        chosen = set(selected(submissions).values())
        counted = [submission for submission in submissions if submission.id in chosen]
        return sorted(counted, key=lambda submission: submission.round_number, reverse=True)

    def _error_of(self, content: bytes, demo: DemoRound) -> str | None:
        """Why a submission is invalid, in numerai-tools' words; None if it is valid."""
        from numerai_tools.submissions import validate_submission_numerai

        era = self.archive.live_era(demo)
        live_ids = pd.Series(self.archive.world(demo).ids(era, salt=str(demo.number)))
        try:
            frame = pd.read_csv(io.BytesIO(content))
        except ValueError:  # pandas' own errors, and bytes that are no text
            return NO_CSV
        try:
            validate_submission_numerai(live_ids, frame)
        except (AssertionError, TypeError, ValueError) as invalid:
            return str(invalid) or NO_CSV
        return None
