"""From a csv to a receipt: upload, create, look up; never twice.

    is the round open? ─► is it there already? ─► upload ─► create ─► look it up ─► receipt
                                  └── yes: receipt ──────────────────────┘
                                         answer lost: looked up, not repeated

The name of the upload holds the digest of its content: that is how the same predictions, and a
submission whose answer was lost, are known again.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

import requests

from numerai_kedro.errors import (
    RoundClosed,
    TournamentError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.files import digest_bytes
from numerai_kedro.files.download import http_session
from numerai_kedro.tournament.round_info import RoundInfo

if TYPE_CHECKING:
    from numerai_kedro.tournament.client import Client

logger = logging.getLogger(__name__)

UPLOAD_AUTH = """query($filename: String! $tournament: Int! $modelId: String) {
    submission_upload_auth(filename: $filename tournament: $tournament modelId: $modelId) {
        filename url }}"""
CREATE = """mutation($filename: String! $tournament: Int! $modelId: String) {
    create_submission(filename: $filename tournament: $tournament modelId: $modelId
                      source: "numerapi") { id }}"""
DOWNLOAD_AUTH = "query($id: String) { submissionDownloadAuth(id: $id) { filename url }}"
PUT_ATTEMPTS = 3
DIGEST_LETTERS = 16


def submit(
    client: Client, content: bytes, model_id: str, round_number: int | None
) -> dict[str, Any]:
    """Submit a csv for a model in the round that is open.

    Parameters
    ----------
    content
        The csv; validated before (`submission.validate_submission`).
    model_id
        The slot.
    round_number
        Round that the predictions are for; None takes the open one.

    Returns
    -------
    dict
        The receipt: ``status`` (``accepted`` or ``late``), ``detail`` for people, and
        ``submission_id``, ``filename``, ``digest``, ``round``, ``model``, ``inserted_at``. The same
        predictions have the same receipt, however often they are submitted.

    Raises
    ------
    RoundClosed
        No round is open, or another one than the predictions are for. Nothing was uploaded.
    TournamentRefused
        The tournament says no, such as for a model that holds a pickle.
    TournamentUnreachable
        It did not arrive, or nobody can say; the next run looks first.
    """
    current = _open_round(client, round_number)
    digest = digest_bytes(content)
    present = _already_there(client, content, digest, model_id, current.number)
    if present is not None:
        logger.info(
            "already submitted for model %s: nothing is uploaded", client.model_name(model_id)
        )
        return _receipt(client, present, content, model_id, current)
    name = f"numerai_kedro-{current.number}-{digest[:DIGEST_LETTERS]}.csv"
    filename = _upload(client, content, name, model_id)
    submission_id = _create(client, filename, model_id)
    try:
        found = _look_up(client, filename, model_id)
    except TournamentUnreachable:
        if submission_id is None:
            raise
        found = None  # it has an id: accepted, whether or not the list can be had now
    if found is None and submission_id is None:
        raise TournamentUnreachable(
            "The answer to the submission was lost, and the tournament does not list it; run the "
            "same command again: it looks first, and submits only what is not there."
        )
    listed = found or {"id": submission_id, "filename": filename}
    return _receipt(client, listed, content, model_id, current)


def _open_round(client: Client, round_number: int | None) -> RoundInfo:
    current = client.current_round()
    if current is None:
        raise RoundClosed(
            "No round is open for submissions, nothing was uploaded; rounds open Tuesday to "
            "Saturday, not before 12:00 UTC: run the same command then."
        )
    if round_number is not None and round_number != current.number:
        raise RoundClosed(
            f"The predictions are for round {round_number}, but round {current.number} is open and "
            "has other live ids; nothing was uploaded: run the weekly pipeline again."
        )
    return current


def _already_there(
    client: Client, content: bytes, digest: str, model_id: str, round_number: int
) -> dict[str, Any] | None:
    """Selected submission of the round when it holds the same predictions.

    Only the selected one counts: after A, then B, submitting A again must replace B.
    """
    for one in client.submissions(model_id):
        if not one.get("selected") or (one.get("round") or {}).get("number") != round_number:
            continue
        if digest[:DIGEST_LETTERS] in one["filename"]:
            return one
        if _download(client, one["id"]) == content:
            return one
    return None


def _download(client: Client, submission_id: str) -> bytes | None:
    """Content of a submission made elsewhere; None where it cannot be had, which is no reason."""
    try:
        reply = client.raw_query(DOWNLOAD_AUTH, {"id": submission_id}, authorization=True)
        url = reply["data"]["submissionDownloadAuth"]["url"]
        with http_session(url) as session:
            answer = session.get(url, timeout=client.transport.timeout_s)
    except (TournamentError, requests.RequestException, TypeError) as error:
        logger.info("submission %s cannot be compared: %s", submission_id, type(error).__name__)
        return None
    return answer.content if answer.status_code == 200 else None


def _upload(client: Client, content: bytes, name: str, model_id: str) -> str:
    """Put the content where the tournament says; returns the name that it gave.

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
        place = reply["data"]["submission_upload_auth"] or {}
        if not {"filename", "url"} <= place.keys():
            raise TournamentRefused("The tournament refused: it gave no address for the upload.")
        failure = _put(client, place["url"], content)
        if not failure:
            return str(place["filename"])
        logger.warning("upload: %s; attempt %d of %d", failure, attempt, PUT_ATTEMPTS)
    raise TournamentUnreachable(
        f"The predictions could not be uploaded: {failure}, {PUT_ATTEMPTS} times in a row; nothing "
        "was submitted: run the same command again."
    )


def _put(client: Client, url: str, content: bytes) -> str:
    """Upload; returns what went wrong, empty when nothing did. The address is a secret."""
    try:
        with http_session(url) as session:
            answer = session.put(
                url, data=content, timeout=client.transport.timeout_s, allow_redirects=False
            )
    except requests.RequestException as error:
        return f"the connection broke ({type(error).__name__})"
    return "" if 200 <= answer.status_code < 300 else f"the storage answered {answer.status_code}"


def _create(client: Client, filename: str, model_id: str) -> str | None:
    """Make the upload a submission; None when the answer was lost."""
    variables = {"filename": filename, "tournament": client.tournament_id, "modelId": model_id}
    try:
        reply = client.raw_query(CREATE, variables, authorization=True)
    except TournamentRefused as refusal:
        raise _explained(client, refusal, model_id) from None
    except TournamentUnreachable as lost:
        logger.warning("submission: %s Looking whether it arrived.", lost)
        return None
    made = reply["data"].get("create_submission") or {}
    return made.get("id")


def _look_up(client: Client, filename: str, model_id: str) -> dict[str, Any] | None:
    """Submission of that name, if the tournament lists it."""
    for one in client.submissions(model_id):
        if one["filename"] == filename:
            return one
    return None


def _explained(client: Client, refusal: TournamentRefused, model_id: str) -> TournamentRefused:
    if "pickle" not in str(refusal).lower():
        return refusal
    return TournamentRefused(
        f'model "{client.model_name(model_id)}" holds an uploaded pickle and takes no predictions; '
        "remove the pickle at numer.ai, or name another model in submission.slots "
        f"(parameters_submission.yml). {refusal}"
    )


def _receipt(
    client: Client,
    listed: dict[str, Any],
    content: bytes,
    model_id: str,
    current: RoundInfo,
) -> dict[str, Any]:
    name = client.model_name(model_id)
    n_stocks = content.count(b"\n") - 1
    late = _is_late(listed.get("insertedAt"), current)
    detail = f'accepted for model "{name}" ({str(listed["id"])[:4]}…), {n_stocks:,} live stocks'
    if late:
        detail += "; it came after the deadline: scored, not staked, and queued for the next round"
    return {
        "status": "late" if late else "accepted",
        "detail": detail,
        "submission_id": listed["id"],
        "filename": listed["filename"],
        "digest": digest_bytes(content),
        "round": current.number,
        "model": name,
        "inserted_at": listed.get("insertedAt"),
    }


def _is_late(inserted_at: str | None, current: RoundInfo) -> bool:
    if not inserted_at:
        return False
    moment = datetime.fromisoformat(inserted_at)
    return moment.timestamp() >= current.close_staking_time.timestamp()
