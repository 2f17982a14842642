"""Champions, which passed the gate in an earlier round: predictions and comparisons."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.cache.provenance import ENSEMBLE, members_of
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Folds
from numerai_kedro.ensemble.blending import blend
from numerai_kedro.ensemble.holdout import returns_of
from numerai_kedro.ensemble.neutralisation import neutralised
from numerai_kedro.errors import Failed, NumeraiKedroError, StoreError
from numerai_kedro.gate.champion_store import Champion, ChampionStore
from numerai_kedro.gate.checks import GateParams, champion_check
from numerai_kedro.gate.decision import Check
from numerai_kedro.metrics.overfitting import superior_predictive_ability
from numerai_kedro.metrics.payout import PayoutRule
from numerai_kedro.models.live_fit import LiveFit
from numerai_kedro.training.walk_forward import predictions_frame

logger = logging.getLogger(__name__)

BENCHMARK, CHAMPION = "benchmark", "champion"
SPA_SEED = 0
NO_SCORES = ("era", "model", "configuration")  # of the columns of `era_scores`


def predict_champions(
    champion_store: ChampionStore,
    live_panel: EraPanel,
    slots: dict[str, str],
    round_info: dict[str, Any],
    folds: Folds,
    live_benchmarks: Any,
    params: GateParams,
) -> dict[str, pd.DataFrame]:
    """Predict the live stocks by each slot's champion; keyed by round and slot."""
    by_slot = {}
    for slot in slots:
        try:
            champion = champion_of(champion_store, slot, round_info, params)
            if champion is not None:
                models = champion_store.models(slot, champion)
                missing = isinstance(live_benchmarks, Failed)
                benchmarks = pd.DataFrame() if missing else live_benchmarks
                live = (live_panel, benchmarks, folds.paid_target)
                by_slot[f"{round_info['number']}-{slot}"] = _predicted(champion, models, *live)
        # A library or a feature may have been removed since.
        except (NumeraiKedroError, ImportError) as error:
            logger.warning("champion of %s: cannot predict: %s", slot, error)
    return by_slot


def champion_of(
    store: ChampionStore, slot: str, round_info: dict[str, Any], params: GateParams
) -> Champion | None:
    """The champion that a round is compared with, from an earlier round: a rerun finds the same.

    None if the newest is too old, learned from another data version, or cannot be read.
    """
    number = round_info["number"]
    try:
        champion = store.find(slot, number)
    except StoreError as damaged:
        logger.warning("champion of %s: ignored: %s", slot, damaged)
        return None
    if champion is None:
        return None
    reason = None
    if champion.round < number - params.max_champion_rounds:
        reason = f"it is of round {champion.round}, too long ago (gate.max_champion_rounds)"
    elif champion.data_version not in ("", round_info["data_version"]):
        reason = f"it learned from {champion.data_version}"
    if reason is None:
        return champion
    logger.warning("champion of %s: ignored: %s", slot, reason)
    return None


def _predicted(
    champion: Champion,
    models: dict[str, Any],
    live_panel: EraPanel,
    benchmarks: pd.DataFrame,
    paid_target: str,
) -> pd.DataFrame:
    for name, fit in models.items():
        if not isinstance(fit, LiveFit):
            raise StoreError(f"{name} was kept by an earlier version of this project.")
    frames = {name: predictions_frame(fit.models, live_panel) for name, fit in models.items()}
    columns = np.column_stack([frame["prediction"] for frame in frames.values()]).astype(float)
    starts = np.array([0, len(columns)])
    blended = blend(columns, np.array([champion.weights[name] for name in frames]), starts)
    if champion.proportion:
        live = (blended[:, None], live_panel, benchmarks, paid_target, champion.neutral)
        blended = neutralised(*live, [champion.proportion])[:, 0]
    return next(iter(frames.values()))[["id", "era"]].assign(prediction=blended)


def comparison(
    scores: pd.DataFrame,
    entry: str,
    champion: Champion | None,
    procedure: str,
    rule: PayoutRule,
    overlap: int,
    params: GateParams,
) -> list[Check]:
    """Compare with the champion by this round's rule; empty without one of another procedure."""
    if champion is None or champion.procedure == procedure:
        return []
    rows = scores[scores["model"] == entry].sort_values("era")
    ours = _by_era(rows["era"], returns_of(rows, rule, overlap))
    compared = champion_check(ours, _returns_of_champion(champion, rule, overlap), overlap, params)
    return [compared] if compared else []


def superior_to(
    scores: pd.DataFrame,
    champion: Champion | None,
    procedure: str,
    rule: PayoutRule,
    overlap: int,
) -> float | None:
    """P value of "nothing of ours earns more than the champion".

    None without a champion of another procedure, or if they share too few eras.
    """
    if champion is None or champion.procedure == procedure:
        return None
    theirs = pd.Series(_returns_of_champion(champion, rule, overlap), name=CHAMPION)
    ours = {
        str(name): _by_era(rows["era"], returns_of(rows, rule, overlap))
        for name, rows in scores.groupby("model")
        if name != BENCHMARK
    }
    table = pd.DataFrame(ours).join(theirs, how="inner").sort_index()
    columns = table.drop(columns=CHAMPION).to_numpy(dtype=float)
    against = table[CHAMPION].to_numpy(dtype=float)
    return superior_predictive_ability(columns, against, overlap, SPA_SEED)


def record_of(champion: Champion, scores: pd.DataFrame) -> pd.DataFrame:
    """The champion's record as rows of `era_scores`, beside the benchmark's."""
    benchmark = scores[scores["model"] == BENCHMARK]
    return pd.concat([rows_of(champion)[scores.columns], benchmark], ignore_index=True)


def rows_of(champion: Champion) -> pd.DataFrame:
    """Rows of its record, with scores as floats: a missing one is NaN."""
    rows = pd.DataFrame(champion.record).assign(model=CHAMPION).sort_values("era")
    return rows.astype({name: float for name in rows if name not in NO_SCORES})


def _returns_of_champion(champion: Champion, rule: PayoutRule, overlap: int) -> dict[int, float]:
    rows = rows_of(champion)
    return _by_era(rows["era"], returns_of(rows, rule, overlap))


def champion_from(
    entry: str,
    round_number: int,
    procedure: str,
    decision: Mapping[str, Any],
    scores: pd.DataFrame,
    weights: pd.DataFrame,
    neutralisation: Mapping[str, Any],
    models: Mapping[str, Any],
) -> Champion:
    """The champion that a submitted entry becomes."""
    rows = scores[scores["model"] == entry].dropna(subset=["corr"]).sort_values("era")
    blended = entry == ENSEMBLE and neutralisation["proportion"] > 0
    versions = {models[name].data_version for name in members_of(entry, weights)}
    return Champion(
        procedure=procedure,
        configuration=decision["configuration"],
        entry=entry,
        round=round_number,
        record=[
            {key: None if pd.isna(value) else value for key, value in row.items()}
            for row in rows.to_dict("records")
        ],
        weights=_weights_of(entry, weights),
        proportion=neutralisation["proportion"] if blended else 0.0,
        neutral=neutralisation["features"] if blended else [],
        promised=decision["promised"],
        # If members differ, the joined versions match no later round's.
        data_version=" and ".join(sorted(versions)),
    )


def _weights_of(entry: str, weights: pd.DataFrame) -> dict[str, float]:
    if entry != ENSEMBLE:
        return {entry: 1.0}
    newest = weights["era"] == weights["era"].max()
    rows = weights[newest & weights["chosen"]]
    return {str(name): float(w) for name, w in zip(rows["model"], rows["weight"], strict=True)}


def _by_era(eras: Any, values: np.ndarray) -> dict[int, float]:
    pairs = zip(eras, values, strict=True)
    return {int(era): float(value) for era, value in pairs if not np.isnan(value)}
