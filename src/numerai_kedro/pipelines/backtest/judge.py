"""Let the gate decide, slot by slot: on live data, live predictions, record, and champion."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.cache.live_id_store import LiveIdStore
from numerai_kedro.cache.provenance import (
    alike,
    configuration,
    data_versions,
    of_other_code,
    procedure_of,
)
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Folds
from numerai_kedro.errors import Failed, SchemaError
from numerai_kedro.files import digest_bytes
from numerai_kedro.gate.champion_store import Champion, ChampionStore, ProcedureStore
from numerai_kedro.gate.checks import (
    GateParams,
    backtest_checks,
    benchmark_likeness_check,
    best_of_many_check,
    constant_check,
    drift_checks,
    likeness_check,
    live_checks,
    other_code_check,
    version_check,
)
from numerai_kedro.gate.decision import Check, GateDecision
from numerai_kedro.gate.drift import features_shown
from numerai_kedro.gate.likeness import rank_correlation
from numerai_kedro.metrics.backtest import interval_json
from numerai_kedro.metrics.intervals import mean_interval
from numerai_kedro.metrics.payout import PayoutRule, forecast_burn
from numerai_kedro.numerai.schema import benchmark_of, overlap_eras
from numerai_kedro.numerai.submission import csv_of_ranks
from numerai_kedro.pipelines.backtest.champions import (
    CHAMPION,
    champion_of,
    comparison,
    record_of,
    superior_to,
)
from numerai_kedro.reasons import BlockReason

logger = logging.getLogger(__name__)

DRIFT_ERAS = 52  # the last year's eras, which live features are compared with
CONSTANT_ERAS = 8  # of those, in which constant features are counted
# Scores that Numerai also reports for live submissions.
PROMISED = ("corr", "mmc")
MAX_SHARED_IDS = 0.5  # ids are new in every round; some may be drawn again


@dataclass(frozen=True)
class Evidence:
    """What the slots of a round have in common.

    Parameters
    ----------
    scores, record_checks, weights
        The record of this round's entries, its checks, and the weights of the blend.
    data_checks
        Checks of the live data, the same for all slots.
    benchmark : float64[n_rows]
        Predictions of the round's benchmark; NaN where there are none.
    """

    round_info: dict[str, Any]
    scores: pd.DataFrame
    record_checks: dict[str, list[dict[str, Any]]]
    weights: pd.DataFrame
    procedures: dict[str, str]
    paid_target: str
    live_panel: EraPanel
    neutral_features: list[str]
    benchmark: npt.NDArray[np.float64]
    data_checks: tuple[Check, ...]
    rule: PayoutRule
    params: GateParams

    @property
    def number(self) -> int:
        """Number of the round."""
        return int(self.round_info["number"])

    @property
    def overlap(self) -> int:
        """Eras that the paid target spans."""
        return overlap_eras(self.paid_target)

    @cached_property
    def exposed(self) -> npt.NDArray[np.int8]:
        """Live features among which the largest exposure is sought."""
        return self.live_panel.select(features=self.neutral_features).features_at(0)

    def rows_of(self, entry: str) -> pd.DataFrame:
        """The record of an entry, in time order."""
        return self.scores[self.scores["model"] == entry].sort_values("era")


def judge(
    record_checks: dict[str, list[dict[str, Any]]],
    scores: pd.DataFrame,
    weights: pd.DataFrame,
    folds: Folds,
    history: EraPanel,
    live_panel: EraPanel,
    live_benchmarks: Any,
    round_info: dict[str, Any],
    slots: dict[str, str],
    procedures: dict[str, str],
    procedure_store: ProcedureStore,
    champion_store: ChampionStore,
    champions: dict[str, pd.DataFrame],
    live_id_store: LiveIdStore,
    score_weights: dict[str, float],
    payout_notes: list[str],
    params: GateParams,
    **live: Any,
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Judge each slot's predictions separately.

    `live` holds predictions by entry; broken ones affect only the slots that they feed.

    Returns
    -------
    dict, dict
        By round and slot: the decisions, and the csv files that they are about, as they are
        uploaded; of predictions that cannot be submitted there is none.
    """
    number = round_info["number"]
    stale = stale_check(live_id_store, number, live_panel)
    if stale.passed:
        live_id_store.note(number, live_panel.ids().tolist())
    data_checks = (
        stale,
        *drift_of(history, live_panel, folds, params),
        *[_unfamiliar(note) for note in payout_notes],
    )
    evidence = Evidence(
        round_info=round_info,
        scores=scores,
        record_checks=record_checks,
        weights=weights,
        procedures=procedures,
        paid_target=folds.paid_target,
        live_panel=live_panel,
        neutral_features=folds.neutral_features,
        benchmark=_benchmark(live_benchmarks, live_panel, folds.paid_target),
        data_checks=data_checks,
        rule=PayoutRule(**score_weights),
        params=params,
    )
    decisions, submissions = {}, {}
    for slot, entry in slots.items():
        key = f"{number}-{slot}"
        champion = champion_of(champion_store, slot, round_info, params)
        theirs = champions.get(key)
        decisions[key], csv = decide(
            evidence, slot, entry, live[entry], champion, theirs, procedure_store
        )
        if csv:
            submissions[key] = csv
    return decisions, submissions


def decide(
    evidence: Evidence,
    slot: str,
    entry: str,
    predictions: pd.DataFrame | Failed,
    champion: Champion | None,
    theirs: pd.DataFrame | None,
    procedure_store: ProcedureStore,
) -> tuple[dict[str, Any], str]:
    """Judge one slot; returns the decision, and the csv of what it submits ("" if nothing can be).

    Parameters
    ----------
    champion
        The champion it is compared with, which may predict in its place.
    theirs
        The champion's predictions for this round; None if it cannot predict.
    """
    params, number = evidence.params, evidence.number
    procedure = procedure_of(entry, evidence.procedures, evidence.weights)
    here = not isinstance(predictions, Failed) and usable(predictions, evidence.live_panel)
    n_configurations = _n_configurations(procedure_store, slot, procedure, number) if here else 1
    outcome = GateDecision(
        (
            *prediction_checks(evidence, entry, predictions),
            *likeness(predictions, theirs, champion, procedure, params),
            *record_of_entry(evidence, entry, n_configurations),
            *comparison(
                evidence.scores,
                *(entry, champion, procedure, evidence.rule, evidence.overlap, params),
            ),
            *evidence.data_checks,
        )
    )
    for check in outcome.checks:
        logger.info("gate, %s: %s", slot, check)
    decision: dict[str, Any] = {
        "slot": slot,
        "entry": entry,
        "feeds": entry,
        **outcome.as_json(),
        "n_configurations": n_configurations,
        "procedure": procedure,
        "superior_to_champion": superior_to(
            evidence.scores, champion, procedure, evidence.rule, evidence.overlap
        ),
        "promised": promised_by(evidence.rows_of(entry), evidence.paid_target),
    }
    if outcome.passed:
        procedure_store.note_passed(slot, procedure, n_configurations)
    submitted = predictions
    if not outcome.passed and here and overridden(evidence, slot):
        decision |= {"passed": True, "override": params.override_reason}
    elif (
        champion
        and theirs is not None
        and outcome.leaves_champion(same_configuration=champion.procedure == procedure)
    ):
        submitted = theirs
        decision |= stand_in_decision(evidence, slot, champion, theirs, decision["reasons"])
    if isinstance(submitted, Failed) or not usable(submitted, evidence.live_panel):
        return decision | {"passed": False}, ""
    csv = csv_of_ranks(submitted)
    made_by = champion.configuration if decision["feeds"] == CHAMPION and champion else ""
    return decision | {
        "predictions_digest": digest_bytes(csv.encode()),
        "configuration": made_by or configuration(submitted),
    }, csv


def prediction_checks(
    evidence: Evidence, entry: str, predictions: pd.DataFrame | Failed
) -> tuple[Check, ...]:
    """Check the live predictions: that they exist, what made them, and how they look."""
    if isinstance(predictions, Failed):
        label = f"live predictions of {entry} ({predictions.symptom})"
        return (Check(BlockReason.NO_PREDICTIONS, label, 0.0, "at least", 1.0),)
    if not usable(predictions, evidence.live_panel):
        label = f"share of this round's stocks with a finite prediction of {entry}"
        share = _share_usable(predictions, evidence.live_panel)
        return (Check(BlockReason.PREDICTIONS_UNUSABLE, label, share, "at least", 1.0),)
    recorded = evidence.rows_of(entry)["configuration"].unique().tolist()
    values = _prediction(predictions)
    label = "records of the configuration that predicts"
    same = float(
        sum(
            alike(recorded_configuration, configuration(predictions))
            for recorded_configuration in recorded
        )
    )
    of_others = Check(BlockReason.RECORD_OF_OTHER_MODELS, label, same, "at least", 1.0)
    return (
        *([of_others] if recorded else []),  # if there is none, `record_of_entry` says so
        version_check(evidence.round_info["data_version"], data_versions(predictions)),
        other_code_check(of_other_code(predictions)),
        *live_checks(values, evidence.exposed, evidence.params),
        benchmark_likeness_check(
            rank_correlation(values, evidence.benchmark),
            evidence.rows_of(entry)["likeness"].to_numpy(float),
            evidence.params,
        ),
    )


def record_of_entry(evidence: Evidence, entry: str, n_configurations: int) -> list[Check]:
    """Checks of the record; a model may predict by an older fit and have none."""
    if entry not in evidence.record_checks:
        label = f"record of {entry} in the test period"
        return [Check(BlockReason.NO_RECORD, label, 0.0, "at least", 1.0)]
    corr = evidence.rows_of(entry)["corr"].to_numpy(float)
    return [
        *map(Check.from_json, evidence.record_checks[entry]),
        *best_of_many_check(corr, evidence.overlap, evidence.params, n_configurations),
    ]


def likeness(
    predictions: Any,
    theirs: pd.DataFrame | None,
    champion: Champion | None,
    procedure: str,
    params: GateParams,
) -> list[Check]:
    """Check how alike the predictions and the champion's are; a refit must be more alike."""
    if isinstance(predictions, Failed) or theirs is None or champion is None:
        return []
    same = champion.procedure == procedure
    least = params.min_refit_correlation if same else params.min_champion_correlation
    if len(predictions) != len(theirs):
        return []
    return [likeness_check(_prediction(predictions), _prediction(theirs), least)]


def stand_in_decision(
    evidence: Evidence,
    slot: str,
    champion: Champion,
    theirs: pd.DataFrame,
    reasons: Sequence[str],
) -> dict[str, Any]:
    """Decide by the champion's own record whether it may predict in place of the entry."""
    record = record_of(champion, evidence.scores)
    values = _prediction(theirs)
    ours = record[record["model"] == CHAMPION].sort_values("era")
    checks = (
        *live_checks(values, evidence.exposed, evidence.params),
        benchmark_likeness_check(
            rank_correlation(values, evidence.benchmark),
            ours["likeness"].to_numpy(float),
            evidence.params,
        ),
        *backtest_checks(
            record, CHAMPION, evidence.overlap, evidence.params, evidence.rule, n_configurations=1
        ),
    )
    outcome = GateDecision(checks)
    line = f"the champion of round {champion.round} predicts this round"
    logger.warning("gate, %s: %s", slot, line if outcome.passed else f"{line}: blocked, too")
    return {
        "passed": outcome.passed,
        "feeds": CHAMPION,
        "reasons": [*reasons, *[f"champion: {check}" for check in outcome.failures]],
        "promised": promised_by(ours, evidence.paid_target),
        "champion_checks": [check.as_json() for check in outcome.checks],
    }


def overridden(evidence: Evidence, slot: str) -> bool:
    """Whether the user overrides the gate for this slot in this round, with a reason."""
    params = evidence.params
    if params.override_round != evidence.number or params.override_slot != slot:
        return False
    if not params.override_reason:
        logger.warning("gate, %s: not overridden: gate.override_reason is missing", slot)
        return False
    logger.warning("gate, %s: overridden: %s", slot, params.override_reason)
    return True


def stale_check(store: LiveIdStore, number: int, live_panel: EraPanel) -> Check:
    """Whether the live ids are those of an earlier round."""
    earlier, share = store.known_from(number, live_panel.ids().tolist())
    label = "share of live ids that an earlier round had"
    if earlier is not None and share > MAX_SHARED_IDS:
        label += f" (round {earlier})"
    return Check(BlockReason.LIVE_STALE, label, share, "at most", MAX_SHARED_IDS)


def drift_of(
    history: EraPanel, live_panel: EraPanel, folds: Folds, params: GateParams
) -> tuple[Check, ...]:
    """Compare live features with the last year's: some over all eras, all over the newest."""
    learned = folds.features
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


def promised_by(rows: pd.DataFrame, target: str) -> dict[str, Any]:
    """What a record leads us to expect of twelve weeks, by live score, such as ``corr60``."""
    days, overlap = target.rpartition("_")[2], overlap_eras(target)
    promised = {}
    for name in PROMISED:
        values = rows[name].to_numpy(float)
        interval = interval_json(mean_interval(values, overlap))
        forecast = forecast_burn(values, overlap)
        low, high = forecast.interval() if forecast else (None, None)
        promised[f"{name}{days}"] = interval | {"low": low, "high": high}
    return promised


def usable(predictions: pd.DataFrame, live_panel: EraPanel) -> bool:
    """Whether every stock of the round has one finite prediction, in the panel's order."""
    ids = live_panel.ids().tolist()
    finite = np.isfinite(_prediction(predictions)).all()
    return bool(finite) and predictions["id"].tolist() == ids


def _share_usable(predictions: pd.DataFrame, live_panel: EraPanel) -> float:
    by_id = predictions.drop_duplicates("id").set_index("id")["prediction"].astype(float)
    return float(np.isfinite(by_id.reindex(live_panel.ids())).mean())


def _n_configurations(store: ProcedureStore, slot: str, procedure: str, number: int) -> int:
    """How many configurations it was selected from; at most as many as when it passed."""
    store.note_tried(slot, procedure, number)
    n_configurations = store.count_since(slot, number)
    passed_with = store.passed_with(slot, procedure)
    return n_configurations if passed_with is None else min(n_configurations, passed_with)


def _benchmark(
    live_benchmarks: Any, live_panel: EraPanel, paid_target: str
) -> npt.NDArray[np.float64]:
    """The round's benchmark by row; NaN where the file is missing."""
    ids = live_panel.ids()
    if isinstance(live_benchmarks, Failed):
        return np.full(len(ids), np.nan)
    try:
        benchmark = benchmark_of(live_benchmarks, paid_target)
    except SchemaError as renamed:
        logger.warning("gate: the round's benchmark cannot be compared with: %s", renamed)
        return np.full(len(ids), np.nan)
    once = benchmark[~benchmark.index.duplicated()]
    return once.reindex(ids).to_numpy(np.float64)


def _unfamiliar(note: str) -> Check:
    return Check(BlockReason.PAYOUT_UNFAMILIAR, note, 1.0, "at most", 0.0)


def _prediction(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    return frame["prediction"].to_numpy(dtype=np.float64)
