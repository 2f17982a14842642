"""The record of exactly what is submitted in this round.

`prepare` has scored its models and its blend. If a member is missing now, the blend is another one;
if `prepare` was stopped half way, models are newer than their scores. What differs is scored again
here, from the out-of-fold predictions that exist.
"""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from numerai_kedro.cache.provenance import (
    ENSEMBLE,
    alike,
    configuration,
    configuration_of_blend,
    values_by_model,
    weighed_members,
)
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Folds
from numerai_kedro.ensemble.holdout import Holdout
from numerai_kedro.gate.champion_store import ProcedureStore
from numerai_kedro.gate.checks import GateParams
from numerai_kedro.pipelines.backtest.champions import BENCHMARK
from numerai_kedro.pipelines.backtest.nodes import check_record, made_by_of, report, score
from numerai_kedro.pipelines.ensemble.nodes import blend_out_of_fold

logger = logging.getLogger(__name__)


def settle_record(
    weights: pd.DataFrame,
    neutralisation: dict[str, Any],
    era_scores: pd.DataFrame,
    backtest_report: dict[str, Any],
    history: EraPanel,
    folds: Folds,
    meta_model: pd.DataFrame,
    benchmark_predictions: pd.DataFrame,
    score_weights: dict[str, float],
    procedures: dict[str, str],
    procedure_store: ProcedureStore,
    params: GateParams,
    **made: Any,
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Scores, report and checks of the record, scored again where it describes other models.

    Models are inputs ``{model}__oof``, ``{model}__live`` and ``{model}__trials``. An entry is
    scored again if its live and out-of-fold predictions share a configuration that its record does
    not have; any other mismatch stays, and the gate sees it.
    """
    inputs = {
        "history": history,
        "folds": folds,
        "meta_model": meta_model,
        "benchmark_predictions": benchmark_predictions,
    }
    scores = with_columns(era_scores)
    rows = Holdout.of(history, folds, meta_model, benchmark_predictions)
    oof = {
        name: frame for name, frame in values_by_model(made, "oof").items() if rows.covers(frame)
    }
    newer = newer_models(made_by_of(scores), oof, values_by_model(made, "live"))
    if blend_is_another(weights, neutralisation, scores, oof):
        members = {name: oof[name] for name in weighed_members(weights)}
        scoring_inputs = inputs | {"score_weights": score_weights}
        newer[ENSEMBLE], _ = blend_out_of_fold(weights, neutralisation, **scoring_inputs, **members)
    if newer:
        logger.warning("the record is scored again for: %s", ", ".join(newer))
        unchanged = scores[~scores["model"].isin({*newer, BENCHMARK})]
        scores = pd.concat([unchanged, score(**inputs, **newer)], ignore_index=True)
        scores = scores.sort_values(["era", "model"], ignore_index=True)
    trials = {name: made[f"{name}__trials"] for name in procedures if f"{name}__trials" in made}
    record_report = backtest_report
    if record_report.get("made_by") != made_by_of(scores):
        stores = (procedures, procedure_store)
        record_report = report(scores, folds, score_weights, *stores, weights, **trials)
    return (
        scores,
        record_report,
        check_record(scores, folds, weights, score_weights, params, **trials),
    )


def with_columns(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores with the columns that an earlier version of this project did not write."""
    unknown = {"configuration": "", "likeness": float("nan")}
    return scores.assign(**{k: v for k, v in unknown.items() if k not in scores})


def newer_models(
    recorded: dict[str, str], oof: dict[str, pd.DataFrame], live: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Out-of-fold predictions of models that predict live, where the record is not theirs."""
    return {
        name: frame
        for name, frame in oof.items()
        if name in live
        and alike(configuration(frame), configuration(live[name]))
        and not alike(configuration(frame), recorded.get(name, ""))
    }


def blend_is_another(
    weights: pd.DataFrame,
    neutralisation: dict[str, Any],
    scores: pd.DataFrame,
    oof: dict[str, pd.DataFrame],
) -> bool:
    """Whether the weights make another blend than the record's, whose members can be scored."""
    recorded = made_by_of(scores).get(ENSEMBLE, "")
    if alike(configuration_of_blend(weights, neutralisation), recorded):
        return False
    return all(
        name in oof and alike(configuration(oof[name]), weighed)
        for name, weighed in weighed_members(weights).items()
    )
