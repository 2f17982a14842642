"""Score the judged stretch, and let the gate decide."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.errors import Failed, PredictionError
from numerai_kedro.files import digest_bytes
from numerai_kedro.panel import EraPanel
from numerai_kedro.progress import steps_bar
from numerai_kedro.statistics.backtest import interval_json, score_columns, summarise
from numerai_kedro.statistics.gate import GateDecision
from numerai_kedro.statistics.gate_checks import GateParams, backtest_checks, live_checks
from numerai_kedro.statistics.intervals import mean_interval
from numerai_kedro.tournament.schema import benchmark_of, meta_model_of, overlap_eras
from numerai_kedro.tournament.submission import csv_of_ranks

logger = logging.getLogger(__name__)

# Scores that Numerai gives live submissions, too.
PROMISED = ("corr", "mmc")


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
    benchmark = benchmark_of(benchmark_predictions, folds["paid_target"])
    given = (meta_model_of(meta_model), benchmark, folds["paid_target"], folds["neutral_features"])
    with steps_bar("backtest: eras") as bar:
        ours = score_columns(panel, predictions, *given, progress=bar)
    reference = score_reference(panel, benchmark, *given)
    scores = pd.concat([ours, reference], ignore_index=True)
    report = {
        "eras": [int(first), int(last)],
        "target": folds["paid_target"],
        "models": summarise(scores, overlap_eras(folds["paid_target"])),
    }
    for name, summary in report["models"].items():
        logger.info("%s: CORR %s", name, summary["corr"]["text"])
    return scores, report


def _live_predictions(entry: str, frame: pd.DataFrame, live_panel: EraPanel) -> np.ndarray:
    if frame["id"].tolist() != live_panel.ids().tolist():
        raise PredictionError(
            f"{entry}: the live predictions are for other stocks than this round's; run "
            "kedro run --pipeline=gbm and --pipeline=ensemble again, or the weekly pipeline."
        )
    return frame["prediction"].to_numpy(dtype=np.float64)


def score_reference(panel: EraPanel, benchmark: pd.Series, *given: Any) -> pd.DataFrame:
    """Score the benchmark in the eras that it covers whole; its file may lag behind."""
    known = pd.Series(benchmark.reindex(panel.ids()).notna().to_numpy())
    whole = known.groupby(panel.era_of_rows()).all()
    covered = panel.select(eras=whole.index[whole].to_numpy())
    columns = pd.DataFrame({"benchmark": benchmark.reindex(covered.ids())})
    return score_columns(covered, columns, *given)


def _promised(scores: pd.DataFrame, target: str) -> dict[str, Any]:
    """What the backtest lets expect, by the names of live scores: ``corr60`` of 60-day targets."""
    days, overlap = target.rpartition("_")[2], overlap_eras(target)
    return {
        f"{name}{days}": interval_json(mean_interval(scores[name].to_numpy(), overlap))
        for name in PROMISED
    }


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
        decision: dict[str, Any] = {"passed": False, "reasons": [], "checks": []}
        if isinstance(live[entry], Failed):
            decision["reasons"] = [f"{entry} made no predictions: {live[entry].symptom}"]
        else:
            predictions = _live_predictions(entry, live[entry], live_panel)
            judged = GateDecision(
                (
                    *backtest_checks(scores, entry, overlap, params),
                    *live_checks(predictions, features, params),
                )
            )
            decision = {
                **judged.as_json(),
                "promised": _promised(scores[scores["model"] == entry], folds["paid_target"]),
                "judged": digest_bytes(csv_of_ranks(live[entry]).encode()),
            }
            for check in judged.checks:
                logger.info("gate, %s: %s", slot, check)
        decisions[f"{round_info['number']}-{slot}"] = {"slot": slot, "entry": entry, **decision}
    return decisions
