"""A GraphQL call over HTTP that always ends: with an answer, or an error that says what to do.

numerapi's own has no time-out, loses the body of an error, and turns everything that goes wrong
into ``KeyError: 'data'``.

    what comes back                       what it becomes
    no connection, time-out, 5xx, HTML    TournamentUnreachable; queries are tried again
    an internal error inside a 200        the same
    data that lacks what was asked for    the same
    429, a rate limit inside a 200        waits as Retry-After says, within bounds
    401, "session is invalid"             CredentialsError, at once
    other 4xx, GraphQL errors             TournamentRefused with the server's text, at once
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from pydantic import SecretStr

from numerai_kedro.errors import (
    ConfigurationError,
    CredentialsError,
    NumeraiKedroError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.files.bounded_session import BoundedSession
from numerai_kedro.files.space import refused_a_connection

logger = logging.getLogger(__name__)

# All that is ever sent. None of it touches a stake; the mutation is the submission itself.
ALLOWED_QUERIES = frozenset(
    {
        "rounds",
        "listDatasets",
        "dataset",
        "account",
        "model",
        "submissions",
        "submission_upload_auth",
        "submissionDownloadAuth",
        "submissionScores",
        "v2RoundModelPerformances",
        "pipelineStatus",
    }
)
ALLOWED_MUTATIONS = frozenset({"create_submission"})
ALLOWED_OPERATIONS = ALLOWED_QUERIES | ALLOWED_MUTATIONS

TIMEOUT_S = (10.0, 60.0)  # connect, and between two pieces of an answer
DEADLINE_S = 120.0  # for a whole answer: a byte a second never times out by itself
MAX_ANSWER_BYTES = 64 << 20
ATTEMPTS = 4
FIRST_WAIT_S, MAX_WAIT_S = 2.0, 60.0
MAX_QUOTED = 300

NO_KEYS = (
    "No NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY in the environment or conf/local/credentials.yml. "
    "Downloads work without; for submission create a key at numer.ai."
)
KEYS_REFUSED = (
    "The tournament does not accept the key: {text}. Check NUMERAI_PUBLIC_ID and "
    "NUMERAI_SECRET_KEY, or conf/local/credentials.yml; keys are made at numer.ai."
)
NO_SENSE = "The tournament's answer cannot be read: it has {what}; try again later."
# Wording of GraphQL errors that are not about the query; they come with status 200.
RATE_WORDS = ("rate limit", "too many requests", "throttled")
FAULT_WORDS = ("internal server error", "internal error", "temporarily unavailable")
SESSION_WORDS = ("session is invalid", "not authenticated", "must be authenticated")


class Wait(Protocol):
    """How to wait; tests replace it."""

    def __call__(self, seconds: float, /) -> None:
        """Let the seconds pass."""


@dataclass(frozen=True)
class Keys:
    """The account's API key; `repr` shows no part of it."""

    public_id: SecretStr
    secret_key: SecretStr

    def header(self) -> str:
        """Value of the Authorization header."""
        return f"Token {self.public_id.get_secret_value()}${self.secret_key.get_secret_value()}"

    def redact(self, text: str) -> str:
        """Redact both parts in a text that a server sent back."""
        for part in (self.public_id, self.secret_key):
            text = text.replace(part.get_secret_value(), "***")
        return text


@dataclass(frozen=True)
class Asked:
    """What a query asks for.

    Parameters
    ----------
    mutates
        Whether it changes something at the tournament.
    names
        Names of its fields, as the answer's data has to give them.
    lists
        Those that have to be lists of objects, or of nulls.
    """

    mutates: bool
    names: frozenset[str]
    lists: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reply:
    """An answer without errors, and what the server's clock showed."""

    data: dict[str, Any]
    server_time: datetime


class _TryAgain(Exception):
    """No usable answer; `wait_s` if the server said how long to wait."""

    def __init__(self, why: str, wait_s: float | None = None, *, not_executed: bool) -> None:
        super().__init__(why)
        self.wait_s, self.not_executed = wait_s, not_executed


class Transport:
    """Sends allow-listed operations to one address.

    Parameters
    ----------
    url
        Of the API.
    keys
        Sent with private operations only, and redacted from whatever the server says.
    timeout_s
        (connect, between two pieces).
    deadline_s
        For a whole call: connecting, sending, and the answer from its first header to its end.
    wait
        Called with seconds between attempts.
    """

    def __init__(
        self,
        url: str,
        keys: Keys | None = None,
        timeout_s: tuple[float, float] = TIMEOUT_S,
        deadline_s: float = DEADLINE_S,
        wait: Wait = time.sleep,
    ) -> None:
        self.url, self._keys, self.timeout_s = url, keys, timeout_s
        self.deadline_s, self.wait = deadline_s, wait

    def send(
        self,
        query: str,
        variables: dict[str, Any] | None,
        *,
        private: bool = False,
        attempts: int = ATTEMPTS,
        lists: Collection[str] = (),
    ) -> Reply:
        """Carry out one query or mutation.

        A mutation is sent again only if the server certainly did not carry it out; otherwise the
        caller has to look up whether it did. `lists` names the fields of the answer that have to
        be lists of objects: null, or anything else, is never taken for an empty list.

        Raises
        ------
        ConfigurationError
            The operation is not allow-listed; nothing was sent.
        CredentialsError, TournamentRefused
            The answer is no, or there is no key for a private operation.
        TournamentUnreachable
            No usable answer after all attempts.
        """
        operation = replace(check_allowed(query), lists=frozenset(lists))
        if private and self._keys is None:
            raise CredentialsError(NO_KEYS)
        body = {"query": query, "variables": variables}
        wait_s = FIRST_WAIT_S
        for attempts_left in reversed(range(attempts)):
            try:
                return self._send_once(body, private, operation)
            except _TryAgain as missed:
                pause = wait_s if missed.wait_s is None else missed.wait_s
                may_repeat = missed.not_executed or not operation.mutates
                if not attempts_left or not may_repeat or pause > MAX_WAIT_S:
                    raise self._unreachable(missed) from None
                logger.warning("%s: %s; trying again in %.0f s", self.url, missed, pause)
                self.wait(pause)
                wait_s = min(2 * wait_s, MAX_WAIT_S)
        raise AssertionError("the last attempt returns or raises")

    def _send_once(self, body: dict[str, Any], private: bool, operation: Asked) -> Reply:
        headers = {"Accept": "application/json"}
        if private and self._keys is not None:
            headers["Authorization"] = self._keys.header()
        try:
            # One session per call: threads share a client, and sessions are not thread-safe.
            with (
                BoundedSession(self.url, self.deadline_s) as session,
                session.post(
                    self.url,
                    json=body,
                    headers=headers,
                    timeout=self.timeout_s,
                    stream=True,
                    allow_redirects=False,
                ) as answer,
            ):
                content = self._read(answer)
                if session.expired:
                    raise self._too_slow()
        except requests.exceptions.ConnectTimeout:
            raise _TryAgain("no connection", not_executed=True) from None
        # Reading from `raw` lets urllib3's own errors through.
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if session.expired:
                raise self._too_slow() from None
            if (local_error := refused_a_connection(error)) is not None:
                raise local_error from None
            refused = "NewConnectionError" in repr(error)
            why = "nothing answers there" if refused else f"{type(error).__name__}"
            raise _TryAgain(why, not_executed=refused) from None
        redact = str if self._keys is None else self._keys.redact
        return _judge(answer, content, redact, operation)

    def _read(self, answer: requests.Response) -> bytes:
        """Read the whole body; each piece has the time-out of the socket."""
        content = bytearray()
        # read1 returns what has arrived; `content` would wait for all of it, however slow.
        while piece := answer.raw.read1(1 << 16, decode_content=True):
            content += piece
            if len(content) > MAX_ANSWER_BYTES:
                raise _TryAgain("the answer does not end", not_executed=False)
        expected = answer.headers.get("Content-Length", "")
        encoded = "Content-Encoding" in answer.headers
        if expected.isdigit() and not encoded and len(content) != int(expected):
            raise _TryAgain("the answer broke off", not_executed=False)
        return bytes(content)

    def _too_slow(self) -> _TryAgain:
        return _TryAgain(f"the answer took longer than {self.deadline_s:.0f} s", not_executed=False)

    def _unreachable(self, missed: _TryAgain) -> TournamentUnreachable:
        return TournamentUnreachable(
            f"The tournament at {self.url} did not answer ({missed}); try again later."
        )


def web_address(raw: Any, purpose: str) -> str:
    """An address from an answer, if it is a web address.

    Raises
    ------
    TournamentUnreachable
        It is not: a file of this machine, say, or something that cannot be parsed.
    """
    try:
        parts = urlsplit(raw if isinstance(raw, str) else "")
        if parts.scheme in ("http", "https") and parts.hostname:
            return str(raw)
    except ValueError:
        pass
    raise TournamentUnreachable(NO_SENSE.format(what=f"no web address for {purpose}"))


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


def check_allowed(query: str) -> Asked:
    """Refuse what is not allow-listed; returns what the query asks for.

    Raises
    ------
    ConfigurationError
        Names the operation; nothing was sent.
    """
    from graphql import FieldNode, GraphQLError, OperationDefinitionNode, OperationType, parse

    try:
        definitions = parse(query, no_location=True).definitions
    except GraphQLError as error:
        raise ConfigurationError(f"not sent: no GraphQL query: {error.message}") from None
    is_mutation, names = False, set()
    for definition in definitions:
        if not isinstance(definition, OperationDefinitionNode):
            continue  # a fragment is harmless: spread at the root, it is refused below
        mutates = definition.operation is not OperationType.QUERY
        is_mutation |= mutates
        allowed = ALLOWED_MUTATIONS if mutates else ALLOWED_QUERIES
        for field in definition.selection_set.selections:
            name = field.name.value if isinstance(field, FieldNode) else "a fragment"
            if name not in allowed:
                raise ConfigurationError(
                    f"not sent: {definition.operation.value} {name} is not among the operations "
                    f"that this project sends: {', '.join(sorted(allowed))}."
                )
            assert isinstance(field, FieldNode)
            names.add(field.alias.value if field.alias else name)
    return Asked(is_mutation, frozenset(names))


def _judge(
    answer: requests.Response, content: bytes, redact: Callable[[str], str], operation: Asked
) -> Reply:
    """Turn status and body into data, or into the error that they mean."""
    parsed = _parse(content)
    text = _error_text(parsed, content, redact)
    status = answer.status_code
    if status == 401:
        raise CredentialsError(KEYS_REFUSED.format(text=text.rstrip(".") or "401"))
    limited = status == 200 and _is_error(parsed) and _has(text, RATE_WORDS)
    if status == 429 or limited:
        wait_s = _retry_after(answer)
        until = f", and asks to wait {wait_s:.0f} s" if wait_s is not None else ""
        raise _TryAgain(f"too many requests{until}", wait_s, not_executed=True)
    broken = status == 200 and _is_error(parsed) and _has(text, FAULT_WORDS)
    if broken or status >= 500 or status == 408 or 300 <= status < 400:
        raise _TryAgain(
            f"answer {status}: {text}" if text else f"answer {status}", not_executed=False
        )
    if status >= 400 or _is_error(parsed):
        raise _refusal(text, status)
    if parsed is None or not isinstance(parsed.get("data"), dict):
        raise _TryAgain(f"the answer is not JSON with data: {text}", not_executed=False)
    if missing := operation.names - parsed["data"].keys():
        raise _TryAgain(f"the answer lacks {', '.join(sorted(missing))}", not_executed=False)
    for name in sorted(operation.lists):
        value = parsed["data"][name]
        if not isinstance(value, list) or not all(isinstance(item, dict | None) for item in value):
            raise _TryAgain(f"the answer has no list of objects as {name}", not_executed=False)
    return Reply(parsed["data"], _server_time(answer))


def _refusal(text: str, status: int) -> NumeraiKedroError:
    if _has(text, SESSION_WORDS):
        return CredentialsError(KEYS_REFUSED.format(text=text.rstrip(".")))
    return TournamentRefused(f"The tournament refused: {text or f'answer {status}'}")


def _is_error(parsed: dict[str, Any] | None) -> bool:
    return parsed is not None and "errors" in parsed


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text.lower() for word in words)


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _error_text(parsed: dict[str, Any] | None, content: bytes, redact: Callable[[str], str]) -> str:
    """What the server says, in one line: each message of its errors, or the body's beginning.

    Redacted before it is truncated: half a secret is still a secret.
    """
    errors = (parsed or {}).get("errors")
    if isinstance(errors, dict):
        errors = [{"message": errors.get("detail", "")}]
    messages = [
        str(error.get("message", "")) if isinstance(error, dict) else str(error)
        for error in errors or []
    ]
    text = "; ".join(message for message in messages if message)
    if not text and (parsed is None or errors is None):
        text = content.decode(errors="replace")
    text = redact(text)[: 4 * MAX_QUOTED]
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[:MAX_QUOTED]


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds that the server asks to wait, given as a number or as a date by its own clock."""
    value = answer.headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            retry_at = parsedate_to_datetime(value).astimezone(UTC)
        except (ValueError, TypeError):
            return None
        seconds = (retry_at - _server_time(answer)).total_seconds()
    return seconds if 0 <= seconds < math.inf else None


def _server_time(answer: requests.Response) -> datetime:
    """The server decides whether a round is open, not the clock of this machine."""
    try:
        return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return datetime.now(UTC)
