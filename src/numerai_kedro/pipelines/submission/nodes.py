"""Upload what the gate lets through, and promote champions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from numerai_kedro.cache.provenance import ENSEMBLE, alike, weighed_members
from numerai_kedro.data import EraPanel
from numerai_kedro.errors import (
    NumeraiKedroError,
    RoundMoved,
    StoreError,
    SubmissionError,
    TournamentError,
)
from numerai_kedro.files import digest_bytes
from numerai_kedro.gate.champion_store import Champion, ChampionStore
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.round_info import RoundInfo
from numerai_kedro.numerai.submission import (
    UNNAMED_SLOT,
    RuleBroken,
    read_csv,
    reason_of,
    validate_submission,
)
from numerai_kedro.pipelines.backtest.champions import CHAMPION, champion_from
from numerai_kedro.pipelines.slots import name_slots
from numerai_kedro.reasons import BlockReason
from numerai_kedro.runtime.parameters import SubmissionParams

logger = logging.getLogger(__name__)

HOW_TO_UPLOAD = (
    "the csv is written, nothing was uploaded; to upload, name your model in submission.slots and "
    "set submission.upload: true (parameters_submission.yml)."
)
JUDGE_FIRST = (
    "Not submitted: the gate has not checked these predictions. Nothing was uploaded; run "
    "kedro run --pipeline=backtest, then kedro run --pipeline=submission."
)
SWITCHED_OFF = "the csv is written, nothing was uploaded: submission.upload is false."
NO_SLOT = (
    "Not submitted: submission.upload is true, but submission.slots names no model; name yours "
    "there (parameters_submission.yml)."
)
SLOTS_CHANGED = (
    "submission.slots has changed since slots were named; nothing was uploaded: run "
    "kedro run --pipeline=backtest, then kedro run --pipeline=submission."
)
WHEN_ROUNDS_OPEN = (
    "no round is open, so nothing was uploaded; rounds open Tuesday to Saturday, not before 12:00 "
    "UTC: run the same command then."
)
# Statuses of a submission that the tournament accepted, or that stays here on purpose.
VALIDATED, KEPT_HERE = "accepted", "written"
UNSETTLED = ("pending", "unconfirmed")
ROUNDS_ASKED_FOR = 10  # two weeks: what has not been validated by then will not be
FOUND_INVALID = "found_invalid"  # set in an earlier round's receipt by the run that learns it


@dataclass(frozen=True)
class Upload:
    """What the slots of a round have in common when they are uploaded.

    Parameters
    ----------
    held_back
        Why nothing is uploaded at all; None if uploading is on.
    """

    tournament: Client
    live_ids: pd.Series
    round_info: dict[str, Any]
    params: SubmissionParams
    payout_notes: list[str]
    held_back: str | None

    @cached_property
    def current(self) -> RoundInfo | TournamentError | None:
        """The round that is open now, which may not be the run's; fetched once."""
        try:
            return self.tournament.current_round()
        except TournamentError as silent:
            return silent


def submit(
    tournament: Client,
    live_panel: EraPanel,
    submission: dict[str, str],
    gate_decision: dict[str, dict[str, Any]],
    slots: dict[str, str],
    round_info: dict[str, Any],
    payout_notes: list[str],
    receipts_before: dict[str, dict[str, Any]],
    params: SubmissionParams,
) -> dict[str, dict[str, Any]]:
    """Upload what the gate lets through; one slot's refusal does not stop the others."""
    if slots != name_slots(tournament, params):
        raise SubmissionError(SLOTS_CHANGED)
    upload = Upload(
        tournament=tournament,
        live_ids=pd.Series(live_panel.ids()),
        round_info=round_info,
        params=params,
        payout_notes=payout_notes,
        held_back=_held_back(params, tournament),
    )
    receipts = _asked_again(tournament, receipts_before, round_info["number"])
    for slot, entry in slots.items():
        key = f"{round_info['number']}-{slot}"
        before = receipts.get(key, receipts_before.get(key))
        csv, decision = submission.get(key, ""), gate_decision.get(key)
        receipt = {"slot": slot, "entry": entry, "round": round_info["number"]}
        warnings = [*payout_notes, *_of_other_code(decision)]
        receipt |= {"n_stocks": max(0, csv.count("\n") - 1), "warnings": warnings}
        receipt |= {
            name: decision[name] for name in ("override", "feeds") if decision and name in decision
        }
        receipt |= _without_losing(before, _submit_slot(upload, slot, csv, decision, before))
        logger.info("submission, %s: %s", slot, receipt["detail"])
        receipts[key] = receipt
    return receipts


def _of_other_code(decision: dict[str, Any] | None) -> list[str]:
    """The gate's warnings about fits that other code made."""
    warned = (decision or {}).get("warnings", ())
    return [warning for warning in warned if warning.startswith(BlockReason.FITS_OF_OTHER_CODE)]


def _asked_again(
    tournament: Client, before: dict[str, dict[str, Any]], number: int
) -> dict[str, dict[str, Any]]:
    """Unsettled receipts, with what the tournament says of them now.

    One of an earlier round that was found invalid since is marked, for this run to report; marks
    of earlier runs are removed.
    """
    receipts = {
        key: {name: value for name, value in receipt.items() if name != FOUND_INVALID}
        for key, receipt in before.items()
        if FOUND_INVALID in receipt
    }
    for key, receipt in before.items():
        unsettled = receipt.get("status") in UNSETTLED and isinstance(receipt.get("round"), int)
        if unsettled and receipt["round"] > number - ROUNDS_ASKED_FOR:
            now = dict(tournament.confirm(receipt))
            logger.info(
                "submission, %s, round %d: %s", receipt["slot"], receipt["round"], now["detail"]
            )
            if now["status"] == "failed" and receipt["round"] != number:
                now[FOUND_INVALID] = True
            receipts[key] = now
    return receipts


def _without_losing(before: dict[str, Any] | None, receipt: dict[str, Any]) -> dict[str, Any]:
    """Keep the id of an invalid submission from replacing that of an accepted one."""
    if receipt["status"] != "failed":
        return receipt
    receipt = receipt | {"reason": BlockReason.INVALID.value}
    if (before or {}).get("status") not in (VALIDATED, "late"):
        return receipt
    return {key: value for key, value in receipt.items() if key != "submission_id"}


def _submit_slot(
    upload: Upload,
    slot: str,
    csv: str,
    decision: dict[str, Any] | None,
    before: dict[str, Any] | None,
) -> dict[str, Any]:
    stopped = _not_passed(csv, decision) or _not_allowed(upload, slot, csv)
    sent = before is not None and before.get("digest") == digest_bytes(csv.encode())
    if stopped is not None and stopped["status"] == "closed" and sent and before is not None:
        # It arrived while the round was open.
        return {key: value for key, value in before.items() if key != "later"}
    if stopped is not None:
        return stopped
    try:
        return dict(
            upload.tournament.submit(
                csv.encode(),
                _model_id(upload, slot),
                upload.round_info["number"],
                late=upload.params.late,
                known=before,
            )
        )
    except RoundMoved as moved:
        return _not_submitted("moved", BlockReason.ROUND_MOVED, str(moved))
    except NumeraiKedroError as error:
        return _not_submitted("refused", reason_of(error), str(error))


def _not_passed(csv: str, decision: dict[str, Any] | None) -> dict[str, Any] | None:
    """The receipt of predictions that the gate has not checked, or has blocked."""
    if decision is None or (
        decision["passed"] and decision.get("predictions_digest") != digest_bytes(csv.encode())
    ):
        return _not_submitted("refused", BlockReason.NOT_CHECKED, JUDGE_FIRST)
    if not decision["passed"]:
        detail = "; ".join(decision["reasons"]) + ". Nothing was uploaded."
        return _not_submitted("blocked", BlockReason.GATE, f"Not submitted: {detail}")
    return None


def _not_allowed(upload: Upload, slot: str, csv: str) -> dict[str, Any] | None:
    """The receipt of a submission that rules, user or calendar hold back."""
    try:
        validate_submission(upload.live_ids, read_csv(csv))
    except SubmissionError as broken:
        return _not_submitted("refused", reason_of(broken), str(broken))
    if slot == UNNAMED_SLOT and upload.params.upload is True:
        return _not_submitted("refused", BlockReason.NOTHING_TO_SUBMIT, NO_SLOT)
    if upload.held_back is not None or slot == UNNAMED_SLOT:
        detail = upload.held_back or HOW_TO_UPLOAD
        return _not_submitted(KEPT_HERE, BlockReason.SWITCHED_OFF, detail)
    if upload.payout_notes and upload.params.unfamiliar_rule == "refuse":
        detail = f"Not submitted: {'; '.join(upload.payout_notes)} (submission.unfamiliar_rule)."
        return _not_submitted("refused", BlockReason.RULE_UNFAMILIAR, detail)
    return _not_of_this_round(upload)


def _not_of_this_round(upload: Upload) -> dict[str, Any] | None:
    """The receipt if the open round is not the one predicted, or none is open."""
    current = upload.current
    if isinstance(current, TournamentError):
        return _not_submitted("refused", reason_of(current), str(current))
    if current is not None and current.number != upload.round_info["number"]:
        detail = f"Round {current.number} has opened since; nothing was uploaded for it yet."
        return _not_submitted("moved", BlockReason.ROUND_MOVED, detail)
    if current is None and upload.params.late == "refuse":
        return _not_submitted("closed", BlockReason.ROUND_CLOSED, WHEN_ROUNDS_OPEN)
    return None


def _model_id(upload: Upload, slot: str) -> str:
    """Id of a slot's model: from the parameters, or by name among the account's models.

    Raises
    ------
    RuleBroken
        The account has no such model.
    """
    model_id = upload.params.model_ids.get(slot)
    if model_id is not None:
        return model_id
    models = upload.tournament.models()
    if slot not in models:
        raise RuleBroken(
            BlockReason.UNKNOWN_MODEL,
            f'"{slot}"; it has: {", ".join(sorted(models))}',
            remedy="name one of them in submission.slots (parameters_submission.yml)",
        )
    return models[slot]


def _held_back(params: SubmissionParams, tournament: Client) -> str | None:
    """Why nothing is uploaded at all; None if uploading is on.

    `auto` uploads to the demo only, never over a connection to the real service.
    """
    if params.upload is False:
        return SWITCHED_OFF
    on = params.upload is True or (tournament.name == "demo" and not tournament.is_real)
    return None if on else HOW_TO_UPLOAD


def _not_submitted(status: str, reason: BlockReason, detail: str) -> dict[str, Any]:
    return {"status": status, "reason": reason.value, "detail": detail}


def promote(
    gate_decision: dict[str, dict[str, Any]],
    submission_receipt: dict[str, dict[str, Any]],
    champion_store: ChampionStore,
    round_info: dict[str, Any],
    slots: dict[str, str],
    scores: pd.DataFrame,
    weights: pd.DataFrame,
    neutralisation: dict[str, Any],
    **models: Any,
) -> dict[str, Any]:
    """Make each validated entry its slot's champion; returns the champions by slot.

    If uploading is off, an entry that passed is promoted. One that passed by an override, or whose
    models are not those that were checked, never is.
    """
    number = round_info["number"]
    for slot, entry in slots.items():
        key = f"{number}-{slot}"
        decision, receipt = gate_decision.get(key), submission_receipt.get(key, {})
        if decision is None or not may_be_promoted(decision, receipt):
            continue
        other = fitted_since(entry, decision, weights, models)
        if other:
            logger.warning("champion of %s: not promoted: %s was fitted since", slot, other)
            continue
        procedure = decision["procedure"]
        inputs = (decision, scores, weights, neutralisation, models)
        champion_store.promote(slot, champion_from(entry, number, procedure, *inputs), models)
    champions = {slot: _newest(champion_store, slot, number + 1) for slot in slots}
    return {
        slot: {"procedure": champion.procedure, "entry": champion.entry, "round": champion.round}
        for slot, champion in champions.items()
        if champion is not None
    }


def fitted_since(
    entry: str, decision: Mapping[str, Any], weights: pd.DataFrame, models: Mapping[str, Any]
) -> str:
    """Members whose models are not those that were checked, because a fit ended since."""
    by_member = (
        weighed_members(weights) if entry == ENSEMBLE else {entry: decision["configuration"]}
    )
    return ", ".join(
        name
        for name, configuration in by_member.items()
        if not alike(getattr(models[name], "configuration", ""), configuration)
    )


def _newest(store: ChampionStore, slot: str, before: int) -> Champion | None:
    try:
        return store.find(slot, before)
    except StoreError as damaged:
        logger.warning("champion of %s: ignored: %s", slot, damaged)
        return None


def may_be_promoted(decision: Mapping[str, Any], receipt: Mapping[str, Any]) -> bool:
    """Whether the tournament validated what was checked, or it stays here on purpose."""
    if not decision["passed"] or "override" in decision or decision["feeds"] == CHAMPION:
        return False
    newest = receipt.get("later", receipt)
    if newest.get("status") == KEPT_HERE:
        return True
    checked = decision.get("predictions_digest")  # None: a decision of an earlier version
    return (
        checked is not None
        and newest.get("status") == VALIDATED
        and newest.get("digest") == checked
    )
