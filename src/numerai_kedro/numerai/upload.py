"""From a csv to a receipt: upload, create, look it up; never twice.

    known already? ─► asked again, nothing is uploaded
          │ no
    is the round open? ─► is it there already? ─► upload ─► create ─► validated? ─► receipt
                                  └── yes: receipt ─────────────────────┘   └── the service failed:
                                         answer lost: looked up, not repeated       once more

The name of the upload holds the digest of its content: that is how the same predictions, and a
submission whose answer was lost, are recognised. A refused look-up stops nothing: only a refused
upload or creation does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

import requests

from numerai_kedro.errors import (
    CredentialsError,
    NumeraiKedroError,
    RoundClosed,
    RoundMoved,
    TournamentError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.files import digest_bytes
from numerai_kedro.files.bounded_session import BoundedSession
from numerai_kedro.numerai.confirmation import (
    FIELDS,
    Created,
    ask_until_validated,
    confirm,
    id_by_name,
    newest_of,
    receipt_of,
    that_counts,
)
from numerai_kedro.numerai.round_info import RoundInfo
from numerai_kedro.numerai.transport import web_address
from numerai_kedro.numerai.validation import Verdict, may_pass_again, verdict_of

if TYPE_CHECKING:
    from numerai_kedro.numerai.client import Client

logger = logging.getLogger(__name__)

UPLOAD_AUTH = """query($filename: String! $tournament: Int! $modelId: String) {
    submission_upload_auth(filename: $filename tournament: $tournament modelId: $modelId) {
        filename url }}"""
CREATE = """mutation($filename: String! $tournament: Int! $modelId: String) {
    create_submission(filename: $filename tournament: $tournament modelId: $modelId
                      source: "numerapi") { id }}"""
DOWNLOAD_AUTH = "query($id: String) { submissionDownloadAuth(id: $id) { filename url }}"
PUT_ATTEMPTS, LOOKS_FOR_LOST = 3, 4
DIGEST_LETTERS = 16
BETWEEN_ROUNDS = "not open for submissions"
WHEN_ROUNDS_OPEN = (
    "No round is open for submissions, nothing was uploaded; rounds open Tuesday to Saturday, not "
    "before 12:00 UTC: run the same command then."
)
KNOWN = {"accepted", "late", "pending", "unconfirmed", "failed"}

Late = Literal["refuse", "queue"]


def submit(
    client: Client,
    content: bytes,
    model_id: str,
    round_number: int | None,
    *,
    late: Late = "refuse",
    known: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Submit a csv for a model in the round that is open.

    Parameters
    ----------
    content
        The csv, already validated (`submission.validate_submission`).
    model_id
        The slot.
    round_number
        Round that the predictions are for; None takes the open one.
    late
        ``queue`` also uploads after the deadline, as long as the round accepts anything: the
        tournament queues that for the next round. ``refuse`` uploads nothing then.
    known
        Receipt of this model from an earlier run. If it is of the same content and round, and
        did not fail, the tournament is asked about it again, and nothing is uploaded.

    Returns
    -------
    dict
        The receipt. Its ``status`` is

        - ``accepted``: the tournament lists it as valid;
        - ``late``: the same, after the deadline;
        - ``pending``: listed, and not validated within a minute;
        - ``failed``: invalid, with the tournament's words in ``error_info``;
        - ``unconfirmed``: created, but it is unknown what became of it.

        ``detail`` is for people; ``submission_id``, ``filename``, ``digest``, ``round``, ``model``,
        ``model_id``, ``n_stocks``, ``came_late``, ``inserted_at`` and ``error_info`` describe it.
        The same predictions have the same receipt, however often they are submitted.

    Raises
    ------
    RoundClosed
        No round is open. Nothing was uploaded.
    RoundMoved
        Another round is open than the predictions are for. Nothing was uploaded.
    TournamentRefused
        The tournament says no, such as for a model that holds a pickle.
    TournamentUnreachable
        It did not arrive, or that is unknown; the next run looks first.
    """
    digest = digest_bytes(content)
    if known is not None and _can_confirm(known, digest, round_number):
        confirmed = confirm(client, {name: known[name] for name in FIELDS})
        # The same predictions are found invalid again, unless the fault was the service's own.
        if confirmed["status"] != "failed" or not may_pass_again(confirmed["error_info"]):
            _say_already_there(client, model_id)
            return confirmed
    current = _round_for(client, round_number, late)
    existing = _already_there(client, content, digest, model_id, current)
    if existing is not None:
        _say_already_there(client, model_id)
        return _receipt(client, existing, current)
    receipt = _upload_and_confirm(client, content, digest, model_id, current, "")
    if receipt["status"] != "failed" or not may_pass_again(receipt["error_info"]):
        return receipt
    logger.warning("%s; uploading it once more", receipt["detail"])
    try:
        current = _round_for(client, current.number, late)
        return _upload_and_confirm(client, content, digest, model_id, current, "-again")
    except NumeraiKedroError as error:
        return receipt | {"detail": f"{receipt['detail']}; and once more: {error}"}


def _say_already_there(client: Client, model_id: str) -> None:
    name = client.model_name(model_id)
    logger.info("already submitted for model %s: nothing is uploaded", name)


def _can_confirm(receipt: dict[str, Any], digest: str, round_number: int | None) -> bool:
    """Whether a receipt is of the same predictions for the same round, and can be asked about."""
    same = (receipt.get("digest"), receipt.get("round")) == (digest, round_number)
    return same and receipt.get("status") in KNOWN and receipt.keys() >= FIELDS


def _round_for(client: Client, round_number: int | None, late: Late) -> RoundInfo:
    """Round that takes the predictions now."""
    current = client.current_round()
    if current is None and late == "queue":
        current = _round_in_late_window(client)
    if current is None:
        raise RoundClosed(WHEN_ROUNDS_OPEN)
    if round_number is not None and round_number != current.number:
        raise RoundMoved(
            f"The predictions are for round {round_number}, but round {current.number} has opened "
            "since and has other live ids; nothing was uploaded: run the weekly pipeline again."
        )
    return current


def _round_in_late_window(client: Client) -> RoundInfo | None:
    newest = client.newest_round()
    closes = client.close_time(newest.number)
    return newest if closes is None or newest.server_time < closes else None


def _already_there(
    client: Client, content: bytes, digest: str, model_id: str, current: RoundInfo
) -> Created | None:
    """Submission that counts in the round, if it holds the same predictions.

    Only that one: after A, then B, submitting A again must replace B. The newest one counts as well
    where the tournament's word for it is not known, if its name says that we made it of these.
    """
    try:
        entries = client.submissions(model_id)
    except (TournamentError, CredentialsError) as error:
        logger.warning("submissions made before cannot be looked up; going on: %s", error)
        return None
    entry = that_counts(entries, current.number)
    newest = newest_of(entries, current.number)
    if newest is not None and verdict_of(newest) is Verdict.UNKNOWN:
        is_ours = digest[:DIGEST_LETTERS] in str(newest.get("filename"))
        entry = newest if is_ours else entry
    if entry is None:
        return None
    name = str(entry.get("filename"))
    if digest[:DIGEST_LETTERS] not in name and _download(client, entry["id"]) != content:
        return None
    return _created(entry["id"], name, content, digest, model_id, current)


def _upload_and_confirm(
    client: Client, content: bytes, digest: str, model_id: str, current: RoundInfo, suffix: str
) -> dict[str, Any]:
    name = f"numerai_kedro-{current.number}-{digest[:DIGEST_LETTERS]}{suffix}.csv"
    filename = _upload(client, content, name, model_id)
    submission_id = _create(client, filename, model_id)
    return _receipt(
        client, _created(submission_id, filename, content, digest, model_id, current), current
    )


def _created(
    submission_id: str,
    filename: str,
    content: bytes,
    digest: str,
    model_id: str,
    current: RoundInfo,
) -> Created:
    n_stocks = content.count(b"\n") - 1
    came_late = not current.is_open
    return Created(submission_id, filename, digest, current.number, model_id, n_stocks, came_late)


def _receipt(client: Client, created: Created, current: RoundInfo) -> dict[str, Any]:
    heard = ask_until_validated(client, created, current.close_staking_time)
    return receipt_of(client, created, heard)


def _download(client: Client, submission_id: str) -> bytes | None:
    """Content of a submission made elsewhere; None if unavailable, which is no obstacle."""
    try:
        reply = client.raw_query(DOWNLOAD_AUTH, {"id": submission_id}, authorization=True)
        auth = _object(reply["data"]["submissionDownloadAuth"])
        url = web_address(auth.get("url"), "the submission")
        with BoundedSession(url, client.transport.deadline_s) as session:
            answer = session.get(url, timeout=client.transport.timeout_s)
    except (TournamentError, CredentialsError, requests.RequestException) as error:
        logger.info("submission %s cannot be compared: %s", submission_id, type(error).__name__)
        return None
    return answer.content if answer.status_code == 200 else None


def _upload(client: Client, content: bytes, name: str, model_id: str) -> str:
    """Upload the content to where the tournament says; returns the name that it gave.

    An upload alone is no submission, so trying again is safe; each attempt asks for a new address,
    because a refusal may mean that the old one expired.
    """
    failure = ""
    for attempt in range(1, PUT_ATTEMPTS + 1):
        variables = {"filename": name, "tournament": client.tournament_id, "modelId": model_id}
        try:
            reply = client.raw_query(UPLOAD_AUTH, variables, authorization=True)
        except TournamentRefused as refusal:
            raise _explained(client, refusal, model_id) from None
        auth = _object(reply["data"]["submission_upload_auth"])
        if not {"filename", "url"} <= auth.keys():
            raise TournamentRefused("The tournament refused: it gave no address for the upload.")
        failure = _put(client, web_address(auth["url"], "the upload"), content)
        if not failure:
            return str(auth["filename"])
        logger.warning("upload: %s; attempt %d of %d", failure, attempt, PUT_ATTEMPTS)
    raise TournamentUnreachable(
        f"The predictions could not be uploaded: {failure}, {PUT_ATTEMPTS} times in a row; nothing "
        "was submitted: run the same command again."
    )


def _put(client: Client, url: str, content: bytes) -> str:
    """Upload; returns what went wrong, empty when nothing did. The address is a secret."""
    try:
        with BoundedSession(url, client.transport.deadline_s) as session:
            answer = session.put(
                url, data=content, timeout=client.transport.timeout_s, allow_redirects=False
            )
    except requests.RequestException as error:
        if session.expired:
            return f"it took longer than {client.transport.deadline_s:.0f} s"
        return f"the connection broke ({type(error).__name__})"
    return "" if 200 <= answer.status_code < 300 else f"the storage answered {answer.status_code}"


def _create(client: Client, filename: str, model_id: str) -> str:
    """Make the upload a submission; returns its id.

    Whatever the answer, a submission listed under the name of the upload was created.
    """
    variables = {"filename": filename, "tournament": client.tournament_id, "modelId": model_id}
    failure: TournamentError
    try:
        reply = client.raw_query(CREATE, variables, authorization=True)
        submission_id = _object(reply["data"]["create_submission"]).get("id")
        if submission_id is not None:
            return str(submission_id)
        failure = TournamentUnreachable("The answer to the submission has no id.")
    except (TournamentRefused, TournamentUnreachable) as error:
        failure = error
    logger.warning("submission: %s Looking whether it arrived.", failure)
    refused = isinstance(failure, TournamentRefused)
    existing_id = id_by_name(client, filename, model_id, n_asks=1 if refused else LOOKS_FOR_LOST)
    if existing_id is not None:
        return existing_id
    if isinstance(failure, TournamentRefused):
        raise _explained(client, failure, model_id) from None
    raise TournamentUnreachable(
        "The answer to the submission was lost, and the tournament does not list it; run the same "
        "command again: it looks first, and submits only what is not there."
    ) from None


def _object(raw: Any) -> dict[str, Any]:
    """An object of an answer; empty if it is not one."""
    return raw if isinstance(raw, dict) else {}


def _explained(client: Client, refusal: TournamentRefused, model_id: str) -> TournamentError:
    if BETWEEN_ROUNDS in str(refusal):
        return RoundClosed(f"The round closed before the predictions arrived. {WHEN_ROUNDS_OPEN}")
    if "pickle" not in str(refusal).lower():
        return refusal
    return TournamentRefused(
        f'model "{client.model_name(model_id)}" holds an uploaded pickle and takes no predictions; '
        "remove the pickle at numer.ai, or name another model in submission.slots "
        f"(parameters_submission.yml). {refusal}"
    )
