"""Score the judged stretch, and let the gate decide."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.errors import ConfigurationError, Failed
from numerai_kedro.panel import EraPanel
from numerai_kedro.pipelines.parameters import IngestionParams, SubmissionParams
from numerai_kedro.statistics.backtest import score_columns, summarise
from numerai_kedro.statistics.gate import GateDecision
from numerai_kedro.statistics.gate_checks import GateParams, backtest_checks, live_checks
from numerai_kedro.tournament.client import Client
from numerai_kedro.tournament.schema import overlap_eras

logger = logging.getLogger(__name__)

META_MODEL = "numerai_meta_model"
BENCHMARK = "v53_lgbm_ender60"
UNNAMED_SLOT = "unnamed"


def name_slots(
    tournament: Client, params: SubmissionParams, ingestion: IngestionParams
) -> dict[str, str]:
    """Say which slot is fed by what.

    Without slots in the parameters, the demo's first model takes the ensemble; on the real
    tournament nobody is guessed, and the csv is written for a slot called "unnamed".
    """
    if params.slots:
        return params.slots
    if ingestion.tournament == "demo":
        return {next(iter(tournament.models())): "ensemble"}
    return {UNNAMED_SLOT: "ensemble"}


def score(
    history: EraPanel,
    folds: dict[str, Any],
    meta_model: pd.DataFrame,
    benchmark_predictions: pd.DataFrame,
    ensemble: pd.DataFrame,
    **members: Any,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score ensemble, members and benchmark in every judged era."""
    first, last = folds["stretches"]["judged"]
    eras = history.eras[(history.eras >= first) & (history.eras <= last)]
    panel = history.select(eras=eras)
    columns = {"ensemble": ensemble} | {
        name: frame for name, frame in members.items() if not isinstance(frame, Failed)
    }
    predictions = pd.DataFrame(
        {name: frame.set_index("id")["prediction"] for name, frame in columns.items()}
    )
    benchmark = benchmark_predictions[BENCHMARK]
    predictions["benchmark"] = benchmark.reindex(predictions.index)
    scores = score_columns(
        panel,
        predictions,
        meta_model[META_MODEL],
        benchmark,
        folds["paid_target"],
        folds["neutral_features"],
    )
    report = {
        "eras": [int(first), int(last)],
        "target": folds["paid_target"],
        "models": summarise(scores, overlap_eras(folds["paid_target"])),
    }
    for name, summary in report["models"].items():
        logger.info("%s: CORR %s", name, summary["corr"]["text"])
    return scores, report


def judge(
    scores: pd.DataFrame,
    folds: dict[str, Any],
    live_panel: EraPanel,
    round_info: dict[str, Any],
    slots: dict[str, str],
    params: GateParams,
    **live: Any,
) -> dict[str, dict[str, Any]]:
    """Judge each slot's predictions for themselves; keyed by round and slot."""
    decisions = {}
    overlap = overlap_eras(folds["paid_target"])
    era = int(live_panel.eras[0])
    features = live_panel.select(features=folds["neutral_features"]).features(era)
    for slot, entry in slots.items():
        predictions = _live_predictions(entry, live)
        decision = GateDecision(
            (
                *backtest_checks(scores, entry, overlap, params),
                *live_checks(predictions, features, params),
            )
        )
        for check in decision.checks:
            logger.info("gate, %s: %s", slot, check)
        decisions[f"{round_info['number']}-{slot}"] = {
            "slot": slot,
            "entry": entry,
            **decision.as_json(),
        }
    return decisions


def _live_predictions(entry: str, live: dict[str, Any]) -> np.ndarray:
    frame = live.get(entry)
    if frame is None or isinstance(frame, Failed):
        reason = f"it failed ({frame.symptom})" if frame is not None else "there is no such entry"
        raise ConfigurationError(
            f'submission.slots: "{entry}" cannot feed a slot: {reason}; there are: '
            f"{', '.join(sorted(live))} (parameters_submission.yml)."
        )
    return frame["prediction"].to_numpy(dtype=np.float64)
