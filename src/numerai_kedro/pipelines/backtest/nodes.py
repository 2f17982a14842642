"""Score the judged stretch, say what the scores are worth, and let the gate decide."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.errors import Failed, NumeraiKedroError, PredictionError
from numerai_kedro.files import digest_bytes, digest_json
from numerai_kedro.incremental.champion_store import Champion, ChampionStore, ProcedureStore
from numerai_kedro.models import family
from numerai_kedro.panel import EraPanel
from numerai_kedro.pipelines.judged import Judged
from numerai_kedro.pipelines.parameters import ModelParams
from numerai_kedro.progress import steps_bar
from numerai_kedro.statistics.backtest import interval_json, score_columns, summarise
from numerai_kedro.statistics.blending import blend
from numerai_kedro.statistics.gate import Check, GateDecision
from numerai_kedro.statistics.gate_checks import (
    GateParams,
    backtest_checks,
    champion_check,
    drift_checks,
    honesty_checks,
    likeness_check,
    live_checks,
    overfitting_check,
)
from numerai_kedro.statistics.intervals import mean_interval
from numerai_kedro.statistics.live_drift import features_shown
from numerai_kedro.statistics.overfitting import (
    deflated_sharpe,
    overlap_sharpe,
    probability_of_overfitting,
    superior_predictive_ability,
)
from numerai_kedro.statistics.payout import PayoutRule, forecast_burn
from numerai_kedro.statistics.weighting import EnsembleParams
from numerai_kedro.tournament.schema import benchmark_of, meta_model_of, overlap_eras
from numerai_kedro.tournament.submission import csv_of_ranks
from numerai_kedro.training.tuning.ground import TuningParams
from numerai_kedro.training.walk_forward import predictions_frame

logger = logging.getLogger(__name__)

ENSEMBLE, BENCHMARK = "ensemble", "benchmark"
# Scores that Numerai gives live submissions, too.
PROMISED = ("corr", "mmc")
DRIFT_ERAS = 52  # the last year's eras, which live features are compared with
SPA_SEED = 0


def name_procedures(
    folds: dict[str, Any],
    ensemble_weights: pd.DataFrame,
    tuning: TuningParams,
    ensemble: EnsembleParams,
    **models: Any,
) -> dict[str, str]:
    """Fingerprint of the configuration behind each entry: what a person chose.

    A refit, a re-tuning and another week are the same procedure; a parameter changed by hand is
    another one.
    """
    shared = {name: folds[name] for name in ("target", "paid_target", "purge_eras", "features")}
    shared |= {"stretches": {k: v for k, v in folds["stretches"].items() if k != "judged"}}
    named = {}
    for name, raw in models.items():
        params = ModelParams.model_validate(raw).model_dump(mode="json", exclude={"enabled"})
        version = family(name).version
        chosen = tuning.model_dump(mode="json")
        named[name] = digest_json([name, version, params, chosen, shared])
    members = sorted(ensemble_weights["model"].unique())
    blended = [named[name] for name in members]
    named[ENSEMBLE] = digest_json([ENSEMBLE, ensemble.model_dump(mode="json"), blended])
    return named


def score(
    history: EraPanel,
    folds: dict[str, Any],
    meta_model: pd.DataFrame,
    benchmark_predictions: pd.DataFrame,
    ensemble: pd.DataFrame,
    **members: Any,
) -> pd.DataFrame:
    """Score ensemble, members and benchmark in every judged era."""
    judged = Judged.of(history, folds, meta_model, benchmark_predictions)
    frames = {ENSEMBLE: ensemble} | {
        name: frame for name, frame in members.items() if not isinstance(frame, Failed)
    }
    predictions = pd.DataFrame(judged.columns(frames), judged.panel.ids(), list(frames))
    benchmark = benchmark_of(benchmark_predictions, folds["paid_target"])
    given = (meta_model_of(meta_model), benchmark, folds["paid_target"], folds["neutral_features"])
    with steps_bar("backtest: eras") as bar:
        ours = score_columns(judged.panel, predictions, *given, progress=bar)
    reference = score_reference(judged.panel, benchmark, *given)
    return pd.concat([ours, reference], ignore_index=True)


def score_reference(panel: EraPanel, benchmark: pd.Series, *given: Any) -> pd.DataFrame:
    """Score the benchmark in the eras that it covers whole; its file may lag behind."""
    known = pd.Series(benchmark.reindex(panel.ids()).notna().to_numpy())
    whole = known.groupby(panel.era_of_rows()).all()
    covered = panel.select(eras=whole.index[whole].to_numpy())
    columns = pd.DataFrame({BENCHMARK: benchmark.reindex(covered.ids())})
    return score_columns(covered, columns, *given)


def report(
    era_scores: pd.DataFrame,
    folds: dict[str, Any],
    score_weights: dict[str, float],
    procedures: dict[str, str],
    procedure_store: ProcedureStore,
    **trials: Any,
) -> dict[str, Any]:
    """Say what the scores amount to: intervals, luck, payouts, and what the next weeks may burn."""
    overlap, rule = overlap_eras(folds["paid_target"]), PayoutRule(**score_weights)
    for entry, procedure in procedures.items():
        procedure_store.register(procedure, {"entry": entry})
    n_procedures = procedure_store.count()
    models = summarise(era_scores, overlap)
    for name, rows in era_scores.groupby("model"):
        corr, paid = rows["corr"].to_numpy(), returns_of(rows, rule)
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
    ours = table.drop(columns=BENCHMARK)
    made = {
        "eras": [int(era_scores["era"].min()), int(era_scores["era"].max())],
        "target": folds["paid_target"],
        "models": models,
        "n_procedures": n_procedures,
        "rule": score_weights,
        "superior_to_benchmark": superior_predictive_ability(
            ours.to_numpy(), table[BENCHMARK].to_numpy(), overlap, SPA_SEED
        ),
        "overfitting": {
            name: overfitting_of(frame, overlap)
            for name, frame in trials.items()
            if not isinstance(frame, Failed) and len(frame)
        },
    }
    for name, summary in models.items():
        logger.info("%s: CORR %s", name, summary["corr"]["text"])
    return made


def returns_of(rows: pd.DataFrame, rule: PayoutRule) -> np.ndarray:
    """What each era would have paid; where there is no meta model, BMC stands in for MMC."""
    contribution = rows["mmc"].fillna(rows["bmc"]).to_numpy()
    return rule.returns(rows["corr"].to_numpy(), contribution)


def overfitting_of(trials: pd.DataFrame, overlap: int) -> dict[str, Any]:
    """How likely the best of the newest study's whole trials is the best by luck."""
    newest = trials[trials["study"] == trials["study"].iloc[-1]]
    whole = newest[newest["state"] == "complete"]
    scores = np.array([list(payoff) for payoff in whole["payoff"]], dtype=float).T
    # Blocks as long as a target, so that they are nearly independent; an even number of them.
    n_blocks = min(16, len(scores) // overlap // 2 * 2) if scores.ndim == 2 else 0
    found = probability_of_overfitting(scores, n_blocks=n_blocks) if n_blocks >= 4 else None
    return {
        "probability": found and found.probability,
        "n_trials": len(whole),
        "n_pruned": int((newest["state"] == "pruned").sum()),
        "n_blocks": n_blocks,
    }


def predict_champions(
    champion_store: ChampionStore,
    live_panel: EraPanel,
    slots: dict[str, str],
    round_info: dict[str, Any],
) -> dict[str, pd.DataFrame]:
    """Predict the live stocks by what was submitted in the round before, slot by slot."""
    made = {}
    for slot in slots:
        try:
            champion = champion_store.find(slot, round_info["number"])
            models = champion_store.models(slot, champion) if champion else {}
            frames = {name: predictions_frame(one, live_panel) for name, one in models.items()}
        except NumeraiKedroError as error:
            logger.warning("champion of %s: cannot predict: %s", slot, error)
            continue
        if champion is None:
            continue
        columns = np.column_stack([frame["prediction"] for frame in frames.values()]).astype(float)
        weights = np.array([champion.weights[name] for name in frames])
        first = next(iter(frames.values()))
        blended = blend(columns, weights, np.array([0, len(columns)]))
        made[slot] = first[["id", "era"]].assign(prediction=blended)
    return made


def check_record(
    scores: pd.DataFrame,
    backtest_report: dict[str, Any],
    folds: dict[str, Any],
    ensemble_weights: pd.DataFrame,
    params: GateParams,
    **made: Any,
) -> dict[str, list[dict[str, Any]]]:
    """Judge every entry's record; what was chosen is ``{model}__best`` and ``{model}__trials``."""
    overlap = overlap_eras(folds["paid_target"])
    found = {}
    for entry in sorted(set(scores["model"]) - {BENCHMARK}):
        members = [entry] if entry != ENSEMBLE else ensemble_weights["model"].unique()
        checks = (
            *backtest_checks(scores, entry, overlap, params),
            *_honesty(scores, entry, folds, members, made),
            *_overfitting(backtest_report, members, made, params),
        )
        found[entry] = [check.as_json() for check in checks]
    return found


def judge(
    record_checks: dict[str, list[dict[str, Any]]],
    scores: pd.DataFrame,
    folds: dict[str, Any],
    history: EraPanel,
    live_panel: EraPanel,
    round_info: dict[str, Any],
    slots: dict[str, str],
    procedures: dict[str, str],
    champion_store: ChampionStore,
    champions: dict[str, pd.DataFrame],
    score_weights: dict[str, float],
    params: GateParams,
    **live: Any,
) -> dict[str, dict[str, Any]]:
    """Judge each slot's predictions for themselves; keyed by round and slot."""
    number, era = round_info["number"], int(live_panel.eras[0])
    drift = drift_checks(*_features(history, live_panel, folds), params)
    features = live_panel.select(features=folds["neutral_features"]).features(era)
    decisions = {}
    for slot, entry in slots.items():
        decision: dict[str, Any] = {"slot": slot, "entry": entry, "feeds": entry}
        if isinstance(live[entry], Failed):
            reasons = [f"{entry} made no predictions: {live[entry].symptom}"]
            decision |= {"passed": False, "reasons": reasons, "checks": []}
        else:
            predictions = _live_predictions(entry, live[entry], live_panel)
            champion = champion_store.find(slot, number)
            judged = GateDecision(
                (
                    *map(Check.from_json, record_checks[entry]),
                    *live_checks(predictions, features, params),
                    *drift,
                    *_likeness(predictions, champion and champions.get(slot), params),
                    *_comparison(
                        _earned(scores, entry, PayoutRule(**score_weights)),
                        champion,
                        procedures[entry],
                        overlap_eras(folds["paid_target"]),
                        params,
                    ),
                )
            )
            for check in judged.checks:
                logger.info("gate, %s: %s", slot, check)
            decision |= judged.as_json()
            submitted = live[entry]
            if judged.kept_by_comparison and slot in champions:
                logger.warning("gate, %s: the champion predicts this round", slot)
                submitted = champions[slot]
                decision |= {"passed": True, "feeds": "champion"}
            elif not judged.passed and params.override_round == number:
                decision |= _override(slot, params)
            decision |= {
                "promised": _promised(scores[scores["model"] == entry], folds["paid_target"]),
                "judged": digest_bytes(csv_of_ranks(submitted).encode()),
            }
        decisions[f"{number}-{slot}"] = decision
    return decisions


def _likeness(
    predictions: np.ndarray, champions: pd.DataFrame | None, params: GateParams
) -> list[Check]:
    if champions is None:
        return []
    theirs = champions["prediction"].to_numpy(dtype=np.float64)
    return [likeness_check(predictions, theirs, params)]


def _comparison(
    earned: dict[int, float],
    champion: Champion | None,
    procedure: str,
    overlap: int,
    params: GateParams,
) -> list[Check]:
    """Nothing to compare in the first week, and with the same configuration."""
    if champion is None or champion.procedure == procedure:
        return []
    before = {int(era): value for era, value in champion.payoff.items()}
    compared = champion_check(earned, before, overlap, params)
    return [compared] if compared else []


def crown(
    gate_decision: dict[str, dict[str, Any]],
    champion_store: ChampionStore,
    round_info: dict[str, Any],
    slots: dict[str, str],
    procedures: dict[str, str],
    scores: pd.DataFrame,
    score_weights: dict[str, float],
    ensemble_weights: pd.DataFrame,
    **models: Any,
) -> dict[str, Any]:
    """Keep what passed by itself as the champion of its slot; returns who is, by slot."""
    rule = PayoutRule(**score_weights)
    for slot, entry in slots.items():
        decision = gate_decision[f"{round_info['number']}-{slot}"]
        if not decision["passed"] or decision["feeds"] == "champion" or "override" in decision:
            continue
        weights = {entry: 1.0}
        if entry == ENSEMBLE:
            newest = ensemble_weights["in_force"] & (
                ensemble_weights["era"] == ensemble_weights["era"].max()
            )
            weights = ensemble_weights[newest].set_index("model")["weight"].to_dict()
        earned = {str(era): value for era, value in _earned(scores, entry, rule).items()}
        champion = Champion(procedures[entry], entry, round_info["number"], earned, weights)
        champion_store.crown(slot, champion, models)
    found = {slot: champion_store.find(slot, round_info["number"] + 1) for slot in slots}
    return {
        slot: {"procedure": one.procedure, "entry": one.entry, "round": one.round}
        for slot, one in found.items()
        if one is not None
    }


def _features(
    history: EraPanel, live_panel: EraPanel, folds: dict[str, Any]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Some features of the live era and of the last year's, oldest first."""
    features = folds["features"]
    shown = [features[k] for k in features_shown(len(features))]
    past = history.select(eras=history.eras[-DRIFT_ERAS:], features=shown)
    live = live_panel.select(features=shown)
    eras = [past.features(int(era)) for era in past.eras]
    return live.features(int(live.eras[0])), eras


def _honesty(
    scores: pd.DataFrame,
    entry: str,
    folds: dict[str, Any],
    members: Any,
    made: Mapping[str, Any],
) -> tuple[Check, ...]:
    windows = [(fold["train"][1], fold["test"][0]) for fold in folds["judged"]]
    choices = [
        (int(max(one.eras)), int(one.first_era))
        for name in members
        if not isinstance(made[f"{name}__trials"], Failed)
        for one in made[f"{name}__trials"].itertuples()
        if len(one.eras)
    ]
    known = scores[(scores["model"] == entry) & scores["corr"].notna()]
    live_era = int(folds["history"][1]) + 1
    overlap = overlap_eras(folds["paid_target"])
    return honesty_checks(windows, choices, int(known["era"].max()), live_era, overlap)


def _overfitting(
    backtest_report: dict[str, Any], members: Any, made: Mapping[str, Any], params: GateParams
) -> list[Check]:
    """Of members whose parameters a trial gave: a preset was not chosen among trials."""
    adopted = [
        name
        for name in members
        if not isinstance(made[f"{name}__best"], Failed)
        and made[f"{name}__best"]["decisions"][-1].get("adopted")
    ]
    found = [backtest_report["overfitting"].get(name, {}).get("probability") for name in adopted]
    known = [probability for probability in found if probability is not None]
    return [overfitting_check(max(known), params)] if known else []


def _earned(scores: pd.DataFrame, entry: str, rule: PayoutRule) -> dict[int, float]:
    """What an entry would have been paid in each judged era."""
    rows = scores[scores["model"] == entry].sort_values("era")
    paid = zip(rows["era"], returns_of(rows, rule), strict=True)
    return {int(era): float(value) for era, value in paid if not np.isnan(value)}


def _live_predictions(entry: str, frame: pd.DataFrame, live_panel: EraPanel) -> np.ndarray:
    if frame["id"].tolist() != live_panel.ids().tolist():
        raise PredictionError(
            f"{entry}: the live predictions are for other stocks than this round's; run "
            "kedro run --pipeline=gbm and --pipeline=ensemble again, or the weekly pipeline."
        )
    return frame["prediction"].to_numpy(dtype=np.float64)


def _promised(scores: pd.DataFrame, target: str) -> dict[str, Any]:
    """What the backtest lets expect, by the names of live scores: ``corr60`` of 60-day targets."""
    days, overlap = target.rpartition("_")[2], overlap_eras(target)
    return {
        f"{name}{days}": interval_json(mean_interval(scores[name].to_numpy(), overlap))
        for name in PROMISED
    }


def _override(slot: str, params: GateParams) -> dict[str, Any]:
    """Submit all the same, and say so wherever the decision is shown."""
    if not params.override_reason:
        logger.warning("gate, %s: not overridden: gate.override_reason is missing", slot)
        return {}
    logger.warning("gate, %s: overridden: %s", slot, params.override_reason)
    return {"passed": True, "override": params.override_reason}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
