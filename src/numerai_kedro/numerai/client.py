"""The tournament's client: numerapi on top of our own transport.

One code path for demo and real: only address, keys and data version differ.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

import numerapi
import pandas as pd
from pydantic import SecretStr

from numerai_kedro.errors import (
    CredentialsError,
    TournamentError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.files import RemoteFile
from numerai_kedro.numerai import confirmation, upload
from numerai_kedro.numerai.calendar import round_of_day
from numerai_kedro.numerai.payout_rule import FIELDS, scores_that_pay, stable_configs
from numerai_kedro.numerai.round_info import ROUND_FIELDS, RoundInfo, clock_skew, read_round
from numerai_kedro.numerai.transport import (
    ATTEMPTS,
    DEADLINE_S,
    NO_SENSE,
    TIMEOUT_S,
    Keys,
    Reply,
    Transport,
    Wait,
    is_loopback,
    web_address,
)

logger = logging.getLogger(__name__)

ROUNDS = f"""query($tournament: Int! $number: Int) {{
    rounds(tournament: $tournament number: $number) {{ {ROUND_FIELDS} }}}}"""
SCORES = """query($modelId: ID! $tournament: Int) {
    submissionScores(modelId: $modelId tournament: $tournament) {
        roundNumber submissionId displayName version day date value percentile resolved
        roundResolveTime roundCloseStakingTime
    }}"""
CLOSE_TIME = """query($tournament: Int! $number: Int) {
    rounds(tournament: $tournament number: $number) { number closeTime }}"""
MODELS = "query { account { models { id name tournament }}}"
DATASET = """query($filename: String! $tournament: Int) {
    dataset(filename: $filename tournament: $tournament) }"""
DATASET_OF_ROUND = """query($filename: String! $tournament: Int $round: Int) {
    dataset(filename: $filename tournament: $tournament round: $round) }"""
SUBMISSIONS = """query($modelId: String) { submissions(modelId: $modelId) {
    id filename insertedAt triggerId selected status errorInfo
    round { number tournament closeStakingTime } }}"""
# Of a score: what is text, and what a number.
SCORE_TEXTS = (
    "submissionId",
    "displayName",
    "version",
    "date",
    "roundResolveTime",
    "roundCloseStakingTime",
)
SCORE_NUMBERS = ("day", "value", "percentile")
SCORE_COLUMNS = ("roundNumber", *SCORE_TEXTS, *SCORE_NUMBERS, "resolved")


class Client(numerapi.NumerAPI):
    """A `NumerAPI` with deadlines and clear errors, which sends only allow-listed operations.

    Parameters
    ----------
    api_url
        Of the API; each client has its own, so demo and real can live in one process.
    data_version
        Such as ``"v5.3"``; names of files are given without it.
    public_id, secret_key
        Both or none; without keys, data and scores can still be read.
    name
        What the settings call the tournament, ``demo`` or ``numerai``.
    timeout_s, deadline_s, wait
        See `Transport`.

    Attributes
    ----------
    server_time : datetime
        What the tournament's clock showed in its newest answer.

    Raises
    ------
    CredentialsError
        Only one of the two keys is there.
    """

    def __init__(
        self,
        api_url: str,
        data_version: str,
        public_id: str | None = None,
        secret_key: str | None = None,
        *,
        name: str = "numerai",
        timeout_s: tuple[float, float] = TIMEOUT_S,
        deadline_s: float = DEADLINE_S,
        wait: Wait = time.sleep,
    ) -> None:
        self.data_version, self.name = data_version, name
        super().__init__(public_id, secret_key, show_progress_bars=False)  # type: ignore[no-untyped-call]
        self.transport = Transport(api_url, self.token, timeout_s, deadline_s, wait)
        self._model_names: dict[str, str] = {}
        self.server_time = datetime.now(UTC)

    @property
    def is_real(self) -> bool:
        """Whether actions here may cost money: True for every address that is not loopback."""
        return not is_loopback(self.transport.url)

    def _login(self, public_id: str | None = None, secret_key: str | None = None) -> None:
        """Take the given keys; numerapi by itself would look in the environment and in .env."""
        # numerapi keeps a pair of plain strings here; a `Keys` shows no part of itself.
        self.token: Keys | None = None  # type: ignore[assignment]
        if bool(public_id) != bool(secret_key):
            missing = "NUMERAI_SECRET_KEY" if public_id else "NUMERAI_PUBLIC_ID"
            raise CredentialsError(
                f"No {missing} in the environment or conf/local/credentials.yml, although its "
                "other half is there; a key has both parts."
            )
        if public_id and secret_key:
            self.token = Keys(SecretStr(public_id), SecretStr(secret_key))

    def raw_query(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        authorization: bool = False,
        *,
        retries: int = ATTEMPTS,
        delay: int = 0,
        backoff: int = 0,
    ) -> dict[str, Any]:
        """Send one operation; every method of numerapi comes through here.

        `retries` counts attempts; `delay` and `backoff` are the transport's own.
        """
        return {"data": self._send(query, variables, authorization, retries).data}

    def _send(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        authorization: bool = False,
        attempts: int = ATTEMPTS,
        lists: Collection[str] = (),
    ) -> Reply:
        reply = self.transport.send(
            query, variables, private=authorization, attempts=attempts, lists=lists
        )
        self.server_time = reply.server_time
        return reply

    def current_round(self) -> RoundInfo | None:
        """Round that takes submissions now; None between rounds."""
        try:
            variables = {"tournament": self.tournament_id, "number": 0}
            reply = self._send(ROUNDS, variables, lists=["rounds"])
        except TournamentRefused as refusal:
            if upload.BETWEEN_ROUNDS in str(refusal):
                return None
            raise
        listed = _objects(reply.data["rounds"])
        rounds = [read_round(raw, reply.server_time) for raw in listed]
        if rounds and not any(rounds):
            raise TournamentUnreachable(NO_SENSE.format(what="rounds without number or times"))
        return next(
            (candidate for candidate in rounds if candidate is not None and candidate.is_open), None
        )

    def newest_round(self) -> RoundInfo:
        """Open round, or between rounds the one that closed last.

        Raises
        ------
        TournamentUnreachable
            The tournament knows neither.
        """
        current = self.current_round()
        if current is not None:
            return current
        variables = {"tournament": self.tournament_id, "number": 0}
        # Any answer carries the server's clock, which tells which rounds can have opened.
        reply = self._send("query { rounds(tournament: 8 limit: 1) { number }}")
        latest = round_of_day(reply.server_time.date())
        for number in (latest, latest - 1):
            reply = self._send(ROUNDS, variables | {"number": number}, lists=["rounds"])
            rounds = [read_round(raw, reply.server_time) for raw in _objects(reply.data["rounds"])]
            for candidate in rounds:
                if (
                    candidate is not None
                    and candidate.number == number
                    and candidate.open_time <= candidate.server_time
                ):
                    return candidate
        raise TournamentUnreachable(
            f"The tournament at {self.transport.url} knows neither round {latest} nor "
            f"{latest - 1}; try again later."
        )

    def close_time(self, round_number: int) -> datetime | None:
        """Deadline for late submissions to a round; None if the tournament does not say."""
        variables = {"tournament": self.tournament_id, "number": round_number}
        rounds = _objects(self._send(CLOSE_TIME, variables, lists=["rounds"]).data["rounds"])
        times = [entry.get("closeTime") for entry in rounds if entry.get("number") == round_number]
        return confirmation.moment_of(times[0]) if times else None

    def round_info(self) -> dict[str, Any]:
        """The newest round as JSON, with the data version."""
        newest = self.newest_round()
        skew = clock_skew(newest.server_time, datetime.now(UTC))
        if skew is not None and self.is_real:  # the demo has its own time
            logger.warning("%s", skew)
        return newest.as_json() | {"data_version": self.data_version}

    def data_files(self) -> list[str]:
        """Names of the files of our data version, without the version.

        Raises
        ------
        TournamentRefused
            The version is no longer listed; names those that are.
        """
        listed = self._listed()
        versions = sorted(_versions(listed))
        if self.data_version not in versions:
            raise TournamentRefused(
                f"data version {self.data_version} is not listed by the tournament any more; it "
                f"has: {', '.join(versions) or 'none'} (data_version in conf/base/globals.yml)."
            )
        prefix = f"{self.data_version}/"
        return [name.removeprefix(prefix) for name in listed if name.startswith(prefix)]

    def listed_versions(self) -> set[str]:
        """Data versions that the tournament has files of."""
        return _versions(self._listed())

    def _listed(self) -> list[str]:
        listed = self.list_datasets()
        if not isinstance(listed, list):
            raise TournamentUnreachable(NO_SENSE.format(what="no list of files"))
        return [str(name) for name in listed]

    def remote_file(
        self, name: str, round_number: int | None = None, version: str | None = None
    ) -> RemoteFile:
        """A file of the tournament; its address is requested again for each download.

        Parameters
        ----------
        name
            Without its version, such as ``"live.parquet"``.
        round_number
            The file of that round; if the tournament does not accept that, the newest.
        version
            Another data version than our own.
        """
        full = f"{version or self.data_version}/{name}"

        def signed_address() -> str:
            if round_number is None:
                return self._address(full)
            try:
                return self._address(full, round_number)
            except TournamentRefused as refusal:
                address = self._address(full)
                logger.warning(
                    "%s: not given by round (%s); taking the newest", full, str(refusal).rstrip(".")
                )
                return address

        return RemoteFile(full, signed_address)

    def _address(self, full: str, round_number: int | None = None) -> str:
        variables: dict[str, Any] = {"filename": full, "tournament": self.tournament_id}
        by_round = {} if round_number is None else {"round": round_number}
        query = DATASET_OF_ROUND if by_round else DATASET
        address = self._send(query, variables | by_round).data["dataset"]
        if not address:
            raise TournamentRefused(f"The tournament refused: it offers no {full}.")
        return web_address(address, full)

    def models(self) -> dict[str, str]:
        """Model ids of the account by name, in the account's order.

        Raises
        ------
        TournamentRefused
            The tournament shows no account to this key.
        """
        account = self._send(MODELS, authorization=True).data.get("account")
        if not isinstance(account, dict):
            raise TournamentRefused(
                "The tournament refused: it shows no account to this key; a key needs the scope "
                '"View user info" for names of models.'
            )
        id_by_name = {
            str(model["name"]): str(model["id"])
            for model in _objects(account.get("models"))
            if model.get("name")
            and model.get("id")
            and model.get("tournament") == self.tournament_id
        }
        self._model_names = {model_id: name for name, model_id in id_by_name.items()}
        return id_by_name

    def model_name(self, model_id: str) -> str:
        """Name of a model of the account; its id where the account does not show it."""
        if model_id not in self._model_names:
            try:
                self.models()
            except (TournamentError, CredentialsError) as error:
                logger.warning("model %s: its name is unavailable: %s", model_id, error)
            self._model_names.setdefault(model_id, model_id)  # and is not asked for again
        return self._model_names[model_id]

    def submissions(self, model_id: str) -> list[dict[str, Any]]:
        """All submissions of a model: id, filename, insertedAt, selected, status, round and more.

        Any of them but the id may be missing.
        """
        reply = self._send(
            SUBMISSIONS, {"modelId": model_id}, authorization=True, lists=["submissions"]
        )
        return [entry for entry in _objects(reply.data["submissions"]) if entry.get("id")]

    def scores(self, model_id: str) -> pd.DataFrame:
        """Every score of a model so far: one row for each round, score and day.

        `SCORE_COLUMNS`; a row without round or name is left out, other missing values are None or
        NaN.
        """
        variables = {"modelId": model_id, "tournament": self.tournament_id}
        reply = self._send(SCORES, variables, lists=["submissionScores"])
        entries = _objects(reply.data["submissionScores"])
        rows = [_score_row(entry) for entry in entries]
        return pd.DataFrame([row for row in rows if row], columns=list(SCORE_COLUMNS))

    def paid_scores(self, round_numbers: Iterable[int]) -> set[str]:
        """Names of every score that any of these rounds pays, in one request."""
        selections = [
            f"r{number}: rounds(tournament: {self.tournament_id} number: {number}) "
            f"{{ roundScoreConfigs {{ {' '.join(FIELDS)} }} }}"
            for number in round_numbers
        ]
        answers = (
            self._send(f"query {{ {' '.join(selections)} }}").data.values() if selections else []
        )
        configs = [
            entry.get("roundScoreConfigs") for rounds in answers for entry in _objects(rounds)
        ]
        return {score.name for raw in configs for score in scores_that_pay(stable_configs(raw))}

    def submit(
        self,
        content: bytes,
        model_id: str,
        round_number: int | None = None,
        *,
        late: upload.Late = "refuse",
        known: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Upload a submission and look it up; see `upload.submit`."""
        return upload.submit(self, content, model_id, round_number, late=late, known=known)

    def confirm(self, receipt: dict[str, Any]) -> dict[str, Any]:
        """Ask again what became of a submission; see `confirmation.confirm`."""
        return confirmation.confirm(self, receipt)


def _objects(raw: Any) -> list[dict[str, Any]]:
    """The objects in a list of an answer, if there are any."""
    return [item for item in raw if isinstance(item, dict)] if isinstance(raw, list) else []


def _score_row(raw: dict[str, Any]) -> dict[str, Any] | None:
    number, name = _finite(raw.get("roundNumber")), raw.get("displayName")
    if not number > 0 or not name:
        return None
    texts = {key: None if raw.get(key) is None else str(raw[key]) for key in SCORE_TEXTS}
    numbers = {key: _finite(raw.get(key)) for key in SCORE_NUMBERS}
    resolved = {"resolved": raw.get("resolved") is True}
    return {"roundNumber": int(number)} | texts | numbers | resolved


def _finite(value: Any) -> float:
    """The value as a number; NaN if it is not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _versions(listed: list[str]) -> set[str]:
    return {name.partition("/")[0] for name in listed if "/" in name}
