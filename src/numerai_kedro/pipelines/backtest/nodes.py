"""Score the test period, say what the scores are worth, and check the record."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.cache.provenance import ENSEMBLE, configuration, members_of, procedure_of
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Folds
from numerai_kedro.ensemble.holdout import Holdout, returns_of
from numerai_kedro.ensemble.weighting import EnsembleParams
from numerai_kedro.errors import Failed
from numerai_kedro.files import digest_json
from numerai_kedro.gate.champion_store import ProcedureStore
from numerai_kedro.gate.checks import GateParams, backtest_checks, honesty_checks
from numerai_kedro.gate.decision import Check
from numerai_kedro.gate.likeness import likeness_of_eras
from numerai_kedro.metrics.backtest import interval_json, score_columns, summarise
from numerai_kedro.metrics.intervals import mean_interval
from numerai_kedro.metrics.overfitting import (
    blocks_for,
    deflated_sharpe,
    overlap_sharpe,
    probability_of_overfitting,
    superior_predictive_ability,
)
from numerai_kedro.metrics.payout import PayoutRule, forecast_burn
from numerai_kedro.models.registry import family
from numerai_kedro.numerai.schema import benchmark_of, meta_model_of, overlap_eras
from numerai_kedro.pipelines.backtest.champions import BENCHMARK, SPA_SEED
from numerai_kedro.progress import steps_bar
from numerai_kedro.runtime.parameters import (
    EncoderParams,
    FeatureParams,
    GraphParams,
    ModelParams,
)
from numerai_kedro.strict import read_block
from numerai_kedro.training.recipe import code_of_fits
from numerai_kedro.training.tuning.context import TuningParams

logger = logging.getLogger(__name__)


def name_procedures(
    folds: Folds,
    tuning: TuningParams,
    ensemble: EnsembleParams,
    feature_engineering: FeatureParams,
    vae: EncoderParams,
    feature_graph: GraphParams,
    own_transforms: dict[str, str],
    **models: Any,
) -> dict[str, str]:
    """Fingerprint what a person chose for each model, and for weighing them.

    A refit, a re-tuning or another week leaves the procedure the same; a parameter changed by hand
    makes another. An ensemble's follows from its members (`cache.provenance.procedure_of`).
    """
    names = {"target", "paid_target", "purge_eras", "features"}
    shared = folds.model_dump(mode="json", include=names)
    shared |= {"periods": folds.periods.model_dump(mode="json", exclude={"test"})}
    named = {}
    typed = {name: read_block(ModelParams, name, raw) for name, raw in sorted(models.items())}
    for name, model in typed.items():
        params = model.model_dump(mode="json", exclude={"enabled", "source"})
        kind = family(name)
        graph = feature_graph if kind.reads_graph else None
        chosen = tuning.model_dump(mode="json")
        settings = (feature_engineering, vae, graph, own_transforms)
        chosen |= model.engineered_by(folds.size, *settings)
        named[name] = digest_json([name, code_of_fits(kind), params, chosen, shared])
    named[ENSEMBLE] = digest_json([ENSEMBLE, ensemble.model_dump(mode="json")])
    return named


def score(
    history: EraPanel,
    folds: Folds,
    meta_model: pd.DataFrame,
    benchmark_predictions: pd.DataFrame,
    **entries: Any,
) -> pd.DataFrame:
    """Score ensemble, members and benchmark in every test era.

    Each row names the configuration of the predictions (``configuration``), and their correlation
    with the benchmark's (``likeness``).
    """
    holdout = Holdout.of(history, folds, meta_model, benchmark_predictions)
    frames = {name: frame for name, frame in entries.items() if not isinstance(frame, Failed)}
    predictions = pd.DataFrame(holdout.columns(frames), holdout.panel.ids(), list(frames))
    benchmark = benchmark_of(benchmark_predictions, folds.paid_target)
    references = (
        meta_model_of(meta_model),
        benchmark,
        folds.paid_target,
        folds.neutral_features,
    )
    with steps_bar("backtest: eras") as bar:
        ours = score_columns(holdout.panel, predictions, *references, progress=bar)
    ours["configuration"] = ours["model"].map(
        {name: configuration(frame) for name, frame in frames.items()}
    )
    starts = holdout.panel.era_starts
    ours["likeness"] = np.column_stack(
        [
            likeness_of_eras(predictions[name].to_numpy(float), holdout.benchmark, starts)
            for name in frames
        ]
    ).ravel()
    reference = score_reference(holdout.panel, benchmark, *references)
    return pd.concat([ours, reference.assign(configuration="", likeness=1.0)], ignore_index=True)


def score_reference(panel: EraPanel, benchmark: pd.Series, *given: Any) -> pd.DataFrame:
    """Score the benchmark in the eras that it covers completely; its file may lag behind."""
    has_benchmark = pd.Series(benchmark.reindex(panel.ids()).notna().to_numpy())
    whole = has_benchmark.groupby(panel.era_of_rows()).all()
    covered = panel.select(eras=whole.index[whole].to_numpy())
    columns = pd.DataFrame({BENCHMARK: benchmark.reindex(covered.ids())})
    return score_columns(covered, columns, *given)


def report(
    era_scores: pd.DataFrame,
    folds: Folds,
    score_weights: dict[str, float],
    procedures: dict[str, str],
    procedure_store: ProcedureStore,
    weights: pd.DataFrame,
    **trials: Any,
) -> dict[str, Any]:
    """Assess the scores: intervals, luck, payouts, and what the next weeks may burn."""
    overlap, rule = overlap_eras(folds.paid_target), PayoutRule(**score_weights)
    for entry in sorted(set(era_scores["model"]) - {BENCHMARK}):
        procedure_store.register(procedure_of(entry, procedures, weights), {"entry": entry})
    n_procedures = procedure_store.count()
    models = summarise(era_scores, overlap)
    for name, rows in era_scores.groupby("model"):
        corr, paid = rows["corr"].to_numpy(), returns_of(rows, rule, overlap)
        forecast = forecast_burn(paid, overlap)
        models[str(name)] |= {
            "payoff": interval_json(mean_interval(paid, overlap)),
            "overlap_sharpe": _number(overlap_sharpe(corr, overlap)),
            "deflated_sharpe": _number(deflated_sharpe(corr, n_procedures, overlap)),
            "burn": forecast
            and {
                "weeks": forecast.weeks,
                "mean": forecast.mean,
                "low": forecast.interval()[0],
                "high": forecast.interval()[1],
                "probability": forecast.probability_of_burn,
                "n_windows": forecast.n_windows,
            },
        }
    table = era_scores.pivot(index="era", columns="model", values="corr")
    ours = table.drop(columns=BENCHMARK, errors="ignore")
    against = table.get(BENCHMARK, pd.Series(np.nan, index=table.index))
    backtest_report = {
        "eras": [int(era_scores["era"].min()), int(era_scores["era"].max())],
        "target": folds.paid_target,
        "models": models,
        "made_by": made_by_of(era_scores),
        "n_procedures": n_procedures,
        "superior_to_benchmark": superior_predictive_ability(
            ours.to_numpy(), against.to_numpy(), overlap, SPA_SEED
        ),
        "overfitting": {
            name: overfitting_of(frame, overlap)
            for name, frame in trials.items()
            if not isinstance(frame, Failed) and len(frame)
        },
    }
    for name, summary in models.items():
        logger.info("%s: CORR %s", name, summary["corr"]["text"])
    return backtest_report


def made_by_of(scores: pd.DataFrame) -> dict[str, str]:
    """The configuration of each entry's record, which a report carries along."""
    return {
        str(name): str(recorded)
        for name, recorded in scores.groupby("model")["configuration"].first().items()
    }


def overfitting_of(trials: pd.DataFrame, overlap: int) -> dict[str, dict[str, Any]]:
    """How likely each study's best complete trial is best by luck; oldest study first."""
    probabilities = {}
    for study, rows in trials.groupby("study", sort=False):
        whole = rows[rows["state"] == "complete"]
        scores = np.array([list(payoff) for payoff in whole["payoff"]], dtype=float).T
        probabilities[str(study)] = {
            "probability": probability_of_overfitting(scores, overlap) if len(whole) else None,
            "n_trials": len(whole),
            "n_pruned": int((rows["state"] == "pruned").sum()),
            "n_blocks": blocks_for(len(scores), overlap),
        }
    return probabilities


def check_record(
    scores: pd.DataFrame,
    folds: Folds,
    weights: pd.DataFrame,
    score_weights: dict[str, float],
    params: GateParams,
    **made: Any,
) -> dict[str, list[dict[str, Any]]]:
    """Check every entry's record by itself; `made` holds each model's trials.

    The number of configurations that a slot has tried is considered later (`judge`).
    """
    overlap, rule = overlap_eras(folds.paid_target), PayoutRule(**score_weights)
    checks_by_entry = {}
    for entry in sorted(set(scores["model"]) - {BENCHMARK}):
        checks = (
            *backtest_checks(scores, entry, overlap, params, rule, n_configurations=1),
            *_honesty(scores, entry, folds, members_of(entry, weights), made),
        )
        checks_by_entry[entry] = [check.as_json() for check in checks]
    return checks_by_entry


def _honesty(
    scores: pd.DataFrame,
    entry: str,
    folds: Folds,
    members: Sequence[str],
    trials: Mapping[str, Any],
) -> tuple[Check, ...]:
    windows = [(fold.train[1], fold.test[0]) for fold in folds.test]
    choices = [
        (int(max(row.eras)), int(row.first_era))
        for name in members
        if not isinstance(trials[name], Failed)
        for row in trials[name].itertuples()
        if len(row.eras)
    ]
    scored = scores[(scores["model"] == entry) & scores["corr"].notna()]
    overlap = overlap_eras(folds.paid_target)
    last_scored = int(scored["era"].max()) if len(scored) else 0
    return honesty_checks(windows, choices, last_scored, folds.live_era, overlap)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
