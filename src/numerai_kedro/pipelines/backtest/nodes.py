"""Score the judged stretch, say what the scores are worth, and let the gate decide."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.errors import Failed, PredictionError
from numerai_kedro.files import digest_bytes, digest_json
from numerai_kedro.incremental.champion_store import ChampionStore, ProcedureStore
from numerai_kedro.models import family
from numerai_kedro.panel import EraPanel
from numerai_kedro.pipelines.backtest.champions import (
    BENCHMARK,
    CHAMPION,
    ENSEMBLE,
    SPA_SEED,
    champion_of,
    comparison,
    learned_versions,
    likeness,
    members_of,
    promised_by,
    superior_to,
    without_fits,
)
from numerai_kedro.pipelines.judged import Judged, returns_of
from numerai_kedro.pipelines.parameters import (
    EncoderParams,
    FeatureParams,
    GraphParams,
    ModelParams,
)
from numerai_kedro.progress import steps_bar
from numerai_kedro.reasons import BlockReason
from numerai_kedro.statistics.backtest import interval_json, score_columns, summarise
from numerai_kedro.statistics.gate import Check, GateDecision
from numerai_kedro.statistics.gate_checks import (
    GateParams,
    backtest_checks,
    constant_check,
    drift_checks,
    honesty_checks,
    live_checks,
    overfitting_check,
    version_check,
)
from numerai_kedro.statistics.intervals import mean_interval
from numerai_kedro.statistics.live_drift import features_shown
from numerai_kedro.statistics.overfitting import (
    blocks_for,
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

logger = logging.getLogger(__name__)

DRIFT_ERAS = 52  # the last year's eras, which live features are compared with
CONSTANT_ERAS = 8  # of those, in which all features are counted that stand still


def name_procedures(
    folds: dict[str, Any],
    tuning: TuningParams,
    ensemble: EnsembleParams,
    feature_engineering: FeatureParams,
    vae: EncoderParams,
    feature_graph: GraphParams,
    **models: Any,
) -> dict[str, str]:
    """Fingerprint of the configuration behind each entry: what a person chose.

    A refit, a re-tuning and another week are the same procedure; a parameter changed by hand is
    another one.
    """
    shared = {name: folds[name] for name in ("target", "paid_target", "purge_eras", "features")}
    shared |= {"stretches": {k: v for k, v in folds["stretches"].items() if k != "judged"}}
    named = {}
    typed = {name: ModelParams.model_validate(raw) for name, raw in sorted(models.items())}
    for name, model in typed.items():
        params = model.model_dump(mode="json", exclude={"enabled"})
        kind = family(name)
        graph = feature_graph if kind.reads_graph else None
        chosen = tuning.model_dump(mode="json")
        chosen |= model.engineered_by(folds["size"], feature_engineering, vae, graph)
        named[name] = digest_json([name, kind.version, params, chosen, shared])
    blended = [named[name] for name, model in typed.items() if model.enabled]
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
    for entry in sorted(set(era_scores["model"]) - {BENCHMARK}):
        procedure_store.register(procedures[entry], {"entry": entry})
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
    made = {
        "eras": [int(era_scores["era"].min()), int(era_scores["era"].max())],
        "target": folds["paid_target"],
        "models": models,
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
    return made


def overfitting_of(trials: pd.DataFrame, overlap: int) -> dict[str, dict[str, Any]]:
    """How likely the best of each study's whole trials is the best by luck; oldest first."""
    found = {}
    for study, rows in trials.groupby("study", sort=False):
        whole = rows[rows["state"] == "complete"]
        scores = np.array([list(payoff) for payoff in whole["payoff"]], dtype=float).T
        found[str(study)] = {
            "probability": probability_of_overfitting(scores, overlap) if len(whole) else None,
            "n_trials": len(whole),
            "n_pruned": int((rows["state"] == "pruned").sum()),
            "n_blocks": blocks_for(len(scores), overlap),
        }
    return found


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
        members = members_of(entry, ensemble_weights)
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
    ensemble_weights: pd.DataFrame,
    **made: Any,
) -> dict[str, dict[str, Any]]:
    """Judge each slot's predictions for themselves; keyed by round and slot.

    Live predictions come by entry, reports of the live fits as ``{model}__fit``.
    """
    live, fits = without_fits(made)
    number, rule = round_info["number"], PayoutRule(**score_weights)
    overlap, features = overlap_eras(folds["paid_target"]), folds["neutral_features"]
    exposed = live_panel.select(features=features).features_at(0)
    drift = _drift(history, live_panel, folds, params)
    decisions = {}
    for slot, entry in slots.items():
        key = f"{number}-{slot}"
        decision: dict[str, Any] = {"slot": slot, "entry": entry, "feeds": entry}
        if isinstance(live[entry], Failed):
            label = f"live predictions of {entry} ({live[entry].symptom})"
            nothing = Check(BlockReason.NO_PREDICTIONS, label, 0.0, "at least", 1.0)
            decisions[key] = decision | GateDecision((nothing,)).as_json()
            continue
        predictions = _live_predictions(entry, live[entry], live_panel)
        champion = champion_of(champion_store, slot, round_info, params)
        theirs = champions.get(key) if champion else None
        judged = GateDecision(
            (
                *_record_of(entry, record_checks),
                *live_checks(predictions, exposed, params),
                version_check(
                    round_info["data_version"],
                    learned_versions(members_of(entry, ensemble_weights), fits),
                ),
                *drift,
                *likeness(predictions, theirs, params),
                *comparison(scores, entry, champion, procedures[entry], rule, overlap, params),
            )
        )
        for check in judged.checks:
            logger.info("gate, %s: %s", slot, check)
        superior = superior_to(scores, champion, procedures[entry], rule, overlap)
        decision |= judged.as_json() | {"superior_to_champion": superior}
        submitted, promised = live[entry], promised_by(scores, entry, folds["paid_target"])
        if not judged.passed and params.override_round == number:
            decision |= _override(slot, params)
        elif judged.kept_by_comparison and champion and theirs is not None:
            stands_in = GateDecision(live_checks(_prediction(theirs), exposed, params))
            logger.warning("gate, %s: the champion predicts this round", slot)
            submitted, promised = theirs, champion.promised
            decision |= {"passed": stands_in.passed, "feeds": CHAMPION}
            decision["reasons"] += [f"champion: {check}" for check in stands_in.failures]
        decision |= {
            "promised": promised,
            "judged": digest_bytes(csv_of_ranks(submitted).encode()),
        }
        decisions[key] = decision
    return decisions


def _record_of(entry: str, record_checks: dict[str, list[dict[str, Any]]]) -> list[Check]:
    """A model whose folds are not made may still have an older fit that predicts."""
    if entry not in record_checks:
        label = f"record of {entry} on the judged eras"
        return [Check(BlockReason.NO_RECORD, label, 0.0, "at least", 1.0)]
    return [Check.from_json(row) for row in record_checks[entry]]


def _drift(
    history: EraPanel, live_panel: EraPanel, folds: dict[str, Any], params: GateParams
) -> tuple[Check, ...]:
    """Compare the live features with the last year's: some of them in all eras, all in some."""
    learned = folds["features"]
    recent = history.select(eras=history.eras[-CONSTANT_ERAS:], features=learned)
    constant = constant_check(
        live_panel.select(features=learned).features_at(0),
        [recent.features_at(k) for k in range(len(recent.eras))],
    )
    shown = [learned[k] for k in features_shown(len(learned))]
    past = history.select(eras=history.eras[-DRIFT_ERAS:], features=shown)
    live = live_panel.select(features=shown).features_at(0)
    moved = drift_checks(live, [past.features_at(k) for k in range(len(past.eras))], params)
    return (*constant, *moved)


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
    last_scored = int(known["era"].max()) if len(known) else 0
    return honesty_checks(windows, choices, last_scored, live_era, overlap)


def _overfitting(
    backtest_report: dict[str, Any], members: Any, made: Mapping[str, Any], params: GateParams
) -> list[Check]:
    """Of members whose parameters a trial gave: a preset was not chosen among trials."""
    known = []
    for name in members:
        best = made[f"{name}__best"]
        decisions = [] if isinstance(best, Failed) else best["decisions"]
        # A later study may have kept what an earlier one adopted.
        adopted = [one for one in decisions if one.get("adopted")]
        if adopted and decisions[-1]["source"] == adopted[-1]["source"]:
            studies = backtest_report["overfitting"].get(name, {})
            known.append(studies.get(adopted[-1]["study"], {}).get("probability"))
    found = [probability for probability in known if probability is not None]
    return [overfitting_check(max(found), params)] if found else []


def _live_predictions(entry: str, frame: pd.DataFrame, live_panel: EraPanel) -> np.ndarray:
    if frame["id"].tolist() != live_panel.ids().tolist():
        raise PredictionError(
            f"{entry}: the live predictions are for other stocks than this round's; run "
            "kedro run --pipeline=gbm and --pipeline=ensemble again, or the weekly pipeline."
        )
    return _prediction(frame)


def _prediction(frame: pd.DataFrame) -> np.ndarray:
    return frame["prediction"].to_numpy(dtype=np.float64)


def _override(slot: str, params: GateParams) -> dict[str, Any]:
    """Submit all the same, and say so wherever the decision is shown."""
    if not params.override_reason:
        logger.warning("gate, %s: not overridden: gate.override_reason is missing", slot)
        return {}
    logger.warning("gate, %s: overridden: %s", slot, params.override_reason)
    return {"passed": True, "override": params.override_reason}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
