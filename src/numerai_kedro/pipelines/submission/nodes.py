"""Write the submission of every slot, and upload those that may be uploaded."""

from __future__ import annotations

import io
import logging
from typing import Any

import pandas as pd

from numerai_kedro.errors import Failed, NumeraiKedroError, SubmissionError
from numerai_kedro.files import digest_bytes
from numerai_kedro.panel import EraPanel
from numerai_kedro.pipelines.parameters import IngestionParams, SubmissionParams
from numerai_kedro.pipelines.slots import name_slots
from numerai_kedro.reasons import BlockReason
from numerai_kedro.tournament.client import Client
from numerai_kedro.tournament.submission import (
    UNNAMED_SLOT,
    RuleBroken,
    csv_of_ranks,
    reason_of,
    validate_submission,
)

logger = logging.getLogger(__name__)

HOW_TO_UPLOAD = (
    "the csv is written, nothing was uploaded; to upload, name your model in submission.slots and "
    "set submission.upload: true (parameters_submission.yml)."
)
JUDGE_FIRST = (
    "Not submitted: the gate has not judged these predictions. Nothing was uploaded; run "
    "kedro run --pipeline=backtest, then kedro run --pipeline=submission."
)
SWITCHED_OFF = "the csv is written, nothing was uploaded: submission.upload is false."
SLOTS_CHANGED = (
    "submission.slots has changed since slots were named; nothing was uploaded: run "
    "kedro run --pipeline=backtest, then kedro run --pipeline=submission."
)
WHEN_ROUNDS_OPEN = (
    "no round is open, so nothing was uploaded; rounds open Tuesday to Saturday, not before 12:00 "
    "UTC: run the same command then."
)


def write(
    slots: dict[str, str],
    round_info: dict[str, Any],
    gate_decision: dict[str, dict[str, Any]],
    champions: dict[str, pd.DataFrame],
    **live: Any,
) -> dict[str, str]:
    """Write the csv of each slot as ranks: of its entry, or of the champion where the gate says."""
    written = {}
    for slot, entry in slots.items():
        key = f"{round_info['number']}-{slot}"
        by_champion = gate_decision.get(key, {}).get("feeds") == "champion"
        predictions = champions[key] if by_champion else live[entry]
        if not isinstance(predictions, Failed):  # the gate has said so
            written[key] = csv_of_ranks(predictions)
    return written


def submit(
    tournament: Client,
    live_panel: EraPanel,
    submission: dict[str, str],
    gate_decision: dict[str, dict[str, Any]],
    slots: dict[str, str],
    round_info: dict[str, Any],
    params: SubmissionParams,
    ingestion: IngestionParams,
) -> dict[str, dict[str, Any]]:
    """Upload what the gate lets through; one slot's refusal does not stop the others."""
    if slots != name_slots(tournament, params, ingestion):
        raise SubmissionError(SLOTS_CHANGED)
    held_back = _held_back(params, ingestion)
    live_ids = pd.Series(live_panel.ids())
    receipts = {}
    for slot, entry in slots.items():
        key = f"{round_info['number']}-{slot}"
        csv = submission.get(key, "")
        receipt = {"slot": slot, "entry": entry, "round": round_info["number"]}
        receipt |= {"n_stocks": max(0, csv.count("\n") - 1)}
        receipt |= {
            name: gate_decision[key][name]
            for name in ("override", "feeds")
            if name in gate_decision.get(key, {})
        }
        receipt |= _submit_slot(
            tournament, slot, csv, live_ids, gate_decision.get(key), held_back, round_info
        )
        logger.info("submission, %s: %s", slot, receipt["detail"])
        receipts[key] = receipt
    return receipts


def _submit_slot(
    tournament: Client,
    slot: str,
    csv: str,
    live_ids: pd.Series,
    decision: dict[str, Any] | None,
    held_back: str | None,
    round_info: dict[str, Any],
) -> dict[str, Any]:
    if decision is None or (
        decision["passed"] and decision["judged"] != digest_bytes(csv.encode())
    ):
        return _not_submitted("refused", BlockReason.NOT_JUDGED, JUDGE_FIRST)
    if not decision["passed"]:
        detail = "; ".join(decision["reasons"]) + ". Nothing was uploaded."
        return _not_submitted("blocked", BlockReason.GATE, f"Not submitted: {detail}")
    try:
        validate_submission(live_ids, pd.read_csv(io.StringIO(csv), dtype={"id": str}))
    except SubmissionError as broken:
        return _not_submitted("refused", reason_of(broken), str(broken))
    if held_back is not None or slot == UNNAMED_SLOT:
        return _not_submitted("written", BlockReason.SWITCHED_OFF, held_back or HOW_TO_UPLOAD)
    if not round_info["is_open"]:
        return _not_submitted("closed", BlockReason.ROUND_CLOSED, WHEN_ROUNDS_OPEN)
    try:
        models = tournament.models()
        if slot not in models:
            raise RuleBroken(
                BlockReason.UNKNOWN_MODEL,
                f'"{slot}"; it has: {", ".join(sorted(models))}',
                mend="name one of them in submission.slots (parameters_submission.yml)",
            )
        return dict(tournament.submit(csv.encode(), models[slot], round_info["number"]))
    except NumeraiKedroError as error:
        return _not_submitted("refused", reason_of(error), str(error))


def _held_back(params: SubmissionParams, ingestion: IngestionParams) -> str | None:
    """Why nothing is uploaded at all; None where it is switched on."""
    if params.upload is False:
        return SWITCHED_OFF
    on = params.upload is True or ingestion.tournament == "demo"
    return None if on else HOW_TO_UPLOAD


def _not_submitted(status: str, reason: BlockReason, detail: str) -> dict[str, Any]:
    return {"status": status, "reason": reason.value, "detail": detail}
