"""The record of exactly what is submitted in this round.

`prepare` has scored the models and the blend that it made. Where a member is missing now, the blend
is another one; where `prepare` was stopped half way, models are newer than their scores. What
differs is scored again here, from the out-of-fold predictions that are there.
"""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from numerai_kedro.errors import Failed
from numerai_kedro.incremental.champion_store import ProcedureStore
from numerai_kedro.panel import EraPanel
from numerai_kedro.pipelines.backtest.champions import BENCHMARK
from numerai_kedro.pipelines.backtest.nodes import check_record, report, score
from numerai_kedro.pipelines.ensemble.nodes import blend_out_of_fold
from numerai_kedro.pipelines.made_by import (
    ENSEMBLE,
    configuration,
    configuration_of_blend,
    weighed_members,
)
from numerai_kedro.statistics.gate_checks import GateParams

logger = logging.getLogger(__name__)


def settle_record(
    weights: pd.DataFrame,
    neutralisation: dict[str, Any],
    era_scores: pd.DataFrame,
    backtest_report: dict[str, Any],
    record_checks: dict[str, list[dict[str, Any]]],
    history: EraPanel,
    folds: dict[str, Any],
    meta_model: pd.DataFrame,
    benchmark_predictions: pd.DataFrame,
    score_weights: dict[str, float],
    procedures: dict[str, str],
    procedure_store: ProcedureStore,
    params: GateParams,
    **made: Any,
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Scores, report and checks of the record, by entry, made again where they are another's.

    Models are inputs ``{model}__oof``, ``{model}__live`` and ``{model}__trials``. An entry is
    scored again where its record is of another configuration than its live predictions and its
    out-of-fold predictions are of the same; what cannot be stays, and the gate sees it.
    """
    judged = {
        "history": history,
        "folds": folds,
        "meta_model": meta_model,
        "benchmark_predictions": benchmark_predictions,
    }
    oof = {name: frame for name, frame in _by_model(made, "oof") if not isinstance(frame, Failed)}
    live = {name: frame for name, frame in _by_model(made, "live") if not isinstance(frame, Failed)}
    recorded = era_scores.groupby("model")["configuration"].first().to_dict()
    newer = {
        name: frame
        for name, frame in oof.items()
        if name in live and configuration(frame) == configuration(live[name]) != recorded.get(name)
    }
    another = configuration_of_blend(weights, neutralisation) != recorded.get(ENSEMBLE)
    weighed = weighed_members(weights)
    known = all(name in oof and configuration(oof[name]) == weighed[name] for name in weighed)
    if not newer and not (another and known):
        return era_scores, backtest_report, record_checks
    if another and known:
        members = {name: oof[name] for name in weighed}
        given = judged | {"score_weights": score_weights}
        newer[ENSEMBLE], _ = blend_out_of_fold(weights, neutralisation, **given, **members)
    logger.warning("the record is scored again for: %s", ", ".join(newer))
    fresh = score(**judged, **newer)
    replaced = {*newer, BENCHMARK}
    scores = pd.concat(
        [era_scores[~era_scores["model"].isin(replaced)], fresh], ignore_index=True
    ).sort_values(["era", "model"], ignore_index=True)
    trials = dict(_by_model(made, "trials"))
    return (
        scores,
        report(scores, folds, score_weights, procedures, procedure_store, weights, **trials),
        check_record(scores, folds, weights, score_weights, params, **trials),
    )


def _by_model(made: dict[str, Any], kind: str) -> list[tuple[str, Any]]:
    ending = f"__{kind}"
    return [(key.removesuffix(ending), one) for key, one in made.items() if key.endswith(ending)]
