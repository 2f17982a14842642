"""The tournament's client: numerapi, with a transport of ours under it.

One code path for demo and real: only address, keys and data version differ.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

import numerapi
import pandas as pd
from pydantic import SecretStr

from numerai_kedro.errors import (
    CredentialsError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.files import RemoteFile
from numerai_kedro.tournament import upload
from numerai_kedro.tournament.calendar import round_of_day
from numerai_kedro.tournament.round_info import ROUND_FIELDS, RoundInfo, clock_skew, read_round
from numerai_kedro.tournament.transport import (
    ATTEMPTS,
    DEADLINE_S,
    TIMEOUT_S,
    Keys,
    Reply,
    Transport,
    Wait,
    is_loopback,
)

logger = logging.getLogger(__name__)

BETWEEN_ROUNDS = "not open for submissions"
ROUNDS = f"""query($tournament: Int! $number: Int) {{
    rounds(tournament: $tournament number: $number) {{ {ROUND_FIELDS} }}}}"""
SCORES = """query($modelId: ID! $tournament: Int) {
    submissionScores(modelId: $modelId tournament: $tournament) {
        roundNumber submissionId displayName day date value percentile resolved
        roundResolveTime roundCloseStakingTime
    }}"""
SUBMISSIONS = """query($modelId: String) { submissions(modelId: $modelId) {
    id filename insertedAt triggerId selected round { number tournament } }}"""
SCORE_COLUMNS = (
    "roundNumber",
    "submissionId",
    "displayName",
    "day",
    "date",
    "value",
    "percentile",
    "resolved",
    "roundResolveTime",
    "roundCloseStakingTime",
)


class Client(numerapi.NumerAPI):
    """A `NumerAPI` that ends, says what went wrong, and sends nothing unlisted.

    Parameters
    ----------
    api_url
        Of the API; each client has its own, so demo and real can live in one process.
    data_version
        Such as ``"v5.3"``; names of files are given without it.
    public_id, secret_key
        Both or none; without keys, data and scores can still be read.
    timeout_s, deadline_s, wait
        See `Transport`.

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
        timeout_s: tuple[float, float] = TIMEOUT_S,
        deadline_s: float = DEADLINE_S,
        wait: Wait = time.sleep,
    ) -> None:
        self.data_version = data_version
        super().__init__(public_id, secret_key, show_progress_bars=False)  # type: ignore[no-untyped-call]
        self.transport = Transport(api_url, self.token, timeout_s, deadline_s, wait)
        self._model_names: dict[str, str] = {}

    def _login(self, public_id: str | None = None, secret_key: str | None = None) -> None:
        """Take the keys given; numerapi would look in the environment and in .env by itself."""
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
    ) -> Reply:
        return self.transport.send(query, variables, private=authorization, attempts=attempts)

    def current_round(self) -> RoundInfo | None:
        """Round that takes submissions now; None between rounds."""
        try:
            reply = self._send(ROUNDS, {"tournament": self.tournament_id, "number": 0})
        except TournamentRefused as refusal:
            if BETWEEN_ROUNDS in str(refusal):
                return None
            raise
        found = [read_round(raw, reply.server_time) for raw in reply.data["rounds"] or [] if raw]
        return next((one for one in found if one is not None and one.is_open), None)

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
        # The server's clock is in any answer; it says which numbers can have opened.
        reply = self._send("query { rounds(tournament: 8 limit: 1) { number }}")
        latest = round_of_day(reply.server_time.date())
        for number in (latest, latest - 1):
            reply = self._send(ROUNDS, variables | {"number": number})
            found = [
                read_round(raw, reply.server_time) for raw in reply.data["rounds"] or [] if raw
            ]
            for one in found:
                if one is not None and one.number == number and one.open_time <= one.server_time:
                    return one
        raise TournamentUnreachable(
            f"The tournament at {self.transport.url} knows neither round {latest} nor "
            f"{latest - 1}; try again later."
        )

    def round_info(self) -> dict[str, Any]:
        """The newest round as JSON, with the data version."""
        newest = self.newest_round()
        skew = clock_skew(newest.server_time, datetime.now(UTC))
        if skew is not None and not is_loopback(self.transport.url):  # the demo has its own time
            logger.warning("%s", skew)
        return newest.as_json() | {"data_version": self.data_version}

    def data_files(self) -> list[str]:
        """Names of the files of our data version, without it.

        Raises
        ------
        TournamentRefused
            The version is not listed any more; names those that are.
        """
        listed = self.list_datasets()
        versions = sorted({name.partition("/")[0] for name in listed if "/" in name})
        if self.data_version not in versions:
            raise TournamentRefused(
                f"data version {self.data_version} is not listed by the tournament any more; it "
                f"has: {', '.join(versions) or 'none'} (data_version in conf/base/globals.yml)."
            )
        prefix = f"{self.data_version}/"
        return [name.removeprefix(prefix) for name in listed if name.startswith(prefix)]

    def remote_file(self, name: str) -> RemoteFile:
        """A file of our version, such as ``"live.parquet"``; asked for its address each time."""
        full = f"{self.data_version}/{name}"
        query = """query($filename: String! $tournament: Int) {
            dataset(filename: $filename tournament: $tournament) }"""

        def signed_address() -> str:
            variables = {"filename": full, "tournament": self.tournament_id}
            return str(self._send(query, variables).data["dataset"])

        return RemoteFile(full, signed_address)

    def models(self) -> dict[str, str]:
        """Model ids of the account by name, in the account's order."""
        found: dict[str, str] = self.get_models()
        self._model_names = {model_id: name for name, model_id in found.items()}
        return found

    def model_name(self, model_id: str) -> str:
        """Name of a model of the account; its id where the account does not have it."""
        if model_id not in self._model_names:
            self.models()
        return self._model_names.get(model_id, model_id)

    def submissions(self, model_id: str) -> list[dict[str, Any]]:
        """All submissions of a model: id, filename, insertedAt, triggerId, selected, round."""
        reply = self._send(SUBMISSIONS, {"modelId": model_id}, authorization=True)
        return list(reply.data["submissions"] or [])

    def scores(self, model_id: str) -> pd.DataFrame:
        """Every score of a model so far: one row for each round, score and day."""
        variables = {"modelId": model_id, "tournament": self.tournament_id}
        rows = self._send(SCORES, variables).data["submissionScores"] or []
        return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))

    def submit(
        self, content: bytes, model_id: str, round_number: int | None = None
    ) -> dict[str, Any]:
        """Upload a submission and look it up; see `upload.submit`."""
        return upload.submit(self, content, model_id, round_number)
