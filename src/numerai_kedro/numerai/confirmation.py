"""What became of a created submission: look it up, wait for its validation, make the receipt.

listed: validated     accepted; late where it came after the deadline
listed: invalid       failed
listed: neither yet   pending, and the next command asks again
not listed, no list available, or an unknown status
                      unconfirmed: it was created, so it is never uploaded again
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from numerai_kedro.errors import CredentialsError, TournamentError
from numerai_kedro.numerai.validation import Verdict, error_of, verdict_of

if TYPE_CHECKING:
    from numerai_kedro.numerai.client import Client

logger = logging.getLogger(__name__)

# Validation of a csv takes seconds; waiting longer than a minute would waste an open window.
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
STATUS = {
    Verdict.VALIDATED: "accepted",
    Verdict.FAILED: "failed",
    Verdict.PENDING: "pending",
    Verdict.UNKNOWN: "unconfirmed",
}
FIELDS = {
    "status",
    "detail",
    "submission_id",
    "filename",
    "digest",
    "round",
    "model",
    "model_id",
    "n_stocks",
    "came_late",
    "inserted_at",
    "error_info",
}
QUEUED = (
    "it came after the deadline: scored, not staked, and queued by the tournament for the next "
    "round, whose stocks these predictions do not know"
)


@dataclass(frozen=True)
class Created:
    """A submission that has an id.

    Parameters
    ----------
    digest
        Of its content.
    round_number
        Of the predictions.
    n_stocks
        Rows of the csv.
    came_late
        Whether its round was already closed; used until the list says when it came.
    """

    id: str
    filename: str
    digest: str
    round_number: int
    model_id: str
    n_stocks: int
    came_late: bool = False


@dataclass(frozen=True)
class Heard:
    """What the tournament said about it: its entry in the list, or why there is none.

    Parameters
    ----------
    may_change
        Whether asking again in a moment can help.
    """

    listed: dict[str, Any] | None
    verdict: Verdict
    why: str = ""
    may_change: bool = False


def id_by_name(client: Client, filename: str, model_id: str, n_asks: int = 1) -> str | None:
    """Id of the submission of that name, if the tournament lists it.

    Parameters
    ----------
    n_asks
        How often to look: a request that timed out may still be in progress.
    """
    for pause in (0.0, *PAUSES_S)[:n_asks]:
        if pause:
            client.transport.wait(pause)
        try:
            entries = client.submissions(model_id)
        except (TournamentError, CredentialsError) as error:
            logger.warning("submission: it cannot be looked up: %s", error)
            return None
        for entry in entries:
            if entry.get("filename") == filename:
                return str(entry["id"])
    return None


def newest_of(entries: list[dict[str, Any]], round_number: int) -> dict[str, Any] | None:
    """The newest submission of a round, whatever became of it."""
    ours = [entry for entry in entries if number_of_round(entry) == round_number]
    return max(ours, key=lambda entry: str(entry.get("insertedAt")), default=None)


def that_counts(entries: list[dict[str, Any]], round_number: int) -> dict[str, Any] | None:
    """The selected submission of a round, or one that will be once it is validated."""
    ours = [entry for entry in entries if number_of_round(entry) == round_number]
    counting = [
        entry for entry in ours if entry.get("selected") or verdict_of(entry) is Verdict.PENDING
    ]
    return max(counting, key=lambda entry: str(entry.get("insertedAt")), default=None)


def number_of_round(entry: dict[str, Any]) -> Any:
    """Number of a submission's round; None if the tournament does not say."""
    of_round = entry.get("round")
    return of_round.get("number") if isinstance(of_round, dict) else None


def ask(client: Client, created: Created) -> Heard:
    """Look one submission up; errors are part of the answer."""
    try:
        entries = client.submissions(created.model_id)
    except (TournamentError, CredentialsError) as error:
        return Heard(None, Verdict.UNKNOWN, f"its list is unavailable: {error}")
    listed = next((entry for entry in entries if entry.get("id") == created.id), None)
    if listed is None:
        return Heard(None, Verdict.UNKNOWN, "the tournament does not list it", may_change=True)
    verdict = verdict_of(listed)
    why = f'the tournament calls it "{listed.get("status")}"'
    return Heard(listed, verdict, why, verdict in {Verdict.PENDING, Verdict.UNKNOWN})


def ask_until_validated(client: Client, created: Created, deadline: datetime) -> Heard:
    """Ask until the tournament has decided, for about a minute.

    Parameters
    ----------
    deadline
        Of the round: no pause crosses it, because nothing can be repaired afterwards.
    """
    heard = ask(client, created)
    for pause in PAUSES_S:
        ends = client.server_time + timedelta(seconds=pause)
        if not heard.may_change or client.server_time < deadline <= ends:
            break
        client.transport.wait(pause)
        heard = ask(client, created)
    return heard


def receipt_of(client: Client, created: Created, heard: Heard) -> dict[str, Any]:
    """Make the receipt, with `FIELDS`; see `upload.submit` for their meaning."""
    listed = heard.listed or {}
    late = _is_late(listed, created)
    status = "late" if late and heard.verdict is Verdict.VALIDATED else STATUS[heard.verdict]
    name = client.model_name(created.model_id)
    whose = f'model "{name}" ({created.id[:4]}…)'
    stocks = f"{created.n_stocks:,} live stocks"
    error = error_of(listed)
    detail = {
        "accepted": f"accepted for {whose}, {stocks}",
        "late": f"accepted for {whose}, {stocks}",
        "failed": f"the tournament found the submission for {whose} invalid: {error or heard.why}",
        "pending": f"uploaded for {whose}, {stocks}; {heard.why}: it is not validated yet, and the "
        "next command asks again",
        "unconfirmed": f"created for {whose}, {stocks}, and not confirmed, because {heard.why}; it "
        "is not uploaded again, and the next command asks again",
    }[status]
    return {
        "status": status,
        "detail": f"{detail}; {QUEUED}" if late and status != "failed" else detail,
        "submission_id": created.id,
        "filename": listed.get("filename") or created.filename,
        "digest": created.digest,
        "round": created.round_number,
        "model": name,
        "model_id": created.model_id,
        "n_stocks": created.n_stocks,
        "came_late": late,
        "inserted_at": listed.get("insertedAt"),
        "error_info": error,
    }


def confirm(client: Client, receipt: dict[str, Any]) -> dict[str, Any]:
    """Ask again about the submission of an earlier receipt; nothing is uploaded.

    If its list is not available, the earlier receipt stands.

    Parameters
    ----------
    receipt
        From `upload.submit`; other keys in it stay unchanged.
    """
    names = ("digest", "model_id", "n_stocks", "came_late", "filename")
    created = Created(
        id=receipt["submission_id"],
        round_number=receipt["round"],
        **{name: receipt[name] for name in names},
    )
    heard = ask(client, created)
    if heard.listed is None and not heard.may_change and receipt["status"] != "unconfirmed":
        logger.warning("submission %s…: %s", created.id[:4], heard.why)
        return receipt
    # A submission that replaced it takes away its selection, not its validity.
    was_valid = receipt["status"] in {"accepted", "late"}
    if was_valid and heard.listed is not None and heard.verdict is not Verdict.FAILED:
        return receipt
    return receipt | receipt_of(client, created, heard)


def moment_of(text: object) -> datetime | None:
    """Parse a time of the API; None if it is not one."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _is_late(listed: dict[str, Any], created: Created) -> bool:
    """Whether it came after the deadline of its round, or was put into a later one."""
    of_round = listed.get("round") or {}
    if (of_round.get("number") or created.round_number) > created.round_number:
        return True
    inserted_at, deadline = (
        moment_of(listed.get("insertedAt")),
        moment_of(of_round.get("closeStakingTime")),
    )
    if inserted_at is None or deadline is None:
        return created.came_late
    return inserted_at >= deadline
