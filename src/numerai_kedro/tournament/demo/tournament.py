"""The demo tournament itself: rounds, uploads, submissions and scores, without any HTTP."""

from __future__ import annotations

import io
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath

import pandas as pd

from numerai_kedro.tournament.demo.archive import DATA_VERSION, FILES, Archive
from numerai_kedro.tournament.demo.clock import Clock
from numerai_kedro.tournament.demo.rounds import (
    FIRST_ROUND,
    DemoRound,
    demo_round,
    latest_round,
    one_minute_into,
)
from numerai_kedro.tournament.demo.scores import Scores, score_submission
from numerai_kedro.tournament.demo.store import Model, Store, Submission, selected
from numerai_kedro.tournament.demo.tokens import TOKEN_SECONDS, Signer

# Keys of the demo, no secret: they open nothing but a server on this machine.
DEMO_PUBLIC_ID = "DEMOTOURNAMENTPUBLICID"
DEMO_SECRET_KEY = "DEMOTOURNAMENTSECRETKEYOPENSNOTHINGELSE"
NOT_OPEN = "Current round not open for submissions"
UNKNOWN_MODEL = "Model not found"
HOLDS_PICKLE = (
    "Model has an uploaded pickle: disable or remove the model upload to submit predictions"
)
FOLDER = "tournament"


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
        Demo seconds a real second; 0: the clock stands still.
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
        now = self.clock.now()
        newest = self.latest(now)
        number = round_number or newest.number
        version, _, bare = name.partition("/")
        known = version in self.versions and bare in FILES
        if not known or not FIRST_ROUND <= number <= newest.number:
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

    def open_upload(self, filename: str, model_id: str | None) -> str:
        """Name under which a file may be uploaded: the client's own, made unique.

        Raises
        ------
        Refusal
            Unknown model, or one that holds a pickle.
        """
        model = self.model(model_id)
        if model.has_pickle:
            raise Refusal(HOLDS_PICKLE)
        stem = PurePosixPath(filename.replace("\\", "/")).name.removesuffix(".csv") or "predictions"
        unique = f"{stem}-{secrets.token_hex(6)}.csv"
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
        content = self.store.upload(filename, model.id)
        if content is None:
            raise Refusal("file not uploaded")
        return self.store.add_submission(
            model.id,
            demo.number,
            filename,
            content,
            now,
            late=now >= demo.close_staking_time,
            extras=dict(extras),
            error_info=error_info or self._error_of(content, demo),
        )

    def scores(self, submission: Submission, now: datetime) -> Scores:
        """All scores that the submission has by now; each is computed once."""
        demo = demo_round(submission.round_number, self.seed)
        n_days = demo.days_scored(now)
        known = self.store.scores(submission.id)
        missing = [day for day in range(1, n_days + 1) if (day, "corr60") not in known]
        if missing:
            content = self.store.content_of(submission.id)
            assert content is not None, "submissions are never deleted"
            era = self.archive.live_era(demo)
            world = self.archive.world(demo)
            fresh = score_submission(content, world, era, demo.number, missing)
            self.store.keep_scores(submission.id, fresh)
            known |= fresh
        return {key: value for key, value in known.items() if key[0] <= n_days}

    def scored_submissions(self, model_id: str) -> list[Submission]:
        """Selected submissions of a model, newest round first."""
        submissions = self.store.submissions(model_id)
        chosen = set(selected(submissions).values())
        counted = [one for one in submissions if one.id in chosen]
        return sorted(counted, key=lambda one: one.round_number, reverse=True)

    def _error_of(self, content: bytes, demo: DemoRound) -> str | None:
        """Why a submission is invalid, in numerai-tools' words; None where it is valid."""
        from numerai_tools.submissions import validate_submission_numerai

        era = self.archive.live_era(demo)
        live_ids = pd.Series(self.archive.world(demo).ids(era, salt=str(demo.number)))
        try:
            frame = pd.read_csv(io.BytesIO(content))
            validate_submission_numerai(live_ids, frame)
        except (AssertionError, TypeError, ValueError) as invalid:
            return str(invalid) or "invalid_submission_values: not a csv"
        return None
