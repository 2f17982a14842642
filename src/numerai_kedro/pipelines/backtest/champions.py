"""What passed the gate in an earlier round: it predicts, is compared with, and is replaced."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.errors import NumeraiKedroError
from numerai_kedro.incremental.champion_store import Champion, ChampionStore
from numerai_kedro.panel import EraPanel
from numerai_kedro.pipelines.judged import returns_of
from numerai_kedro.pipelines.neutral import taken_out
from numerai_kedro.statistics.backtest import interval_json
from numerai_kedro.statistics.blending import blend
from numerai_kedro.statistics.gate import Check
from numerai_kedro.statistics.gate_checks import GateParams, champion_check, likeness_check
from numerai_kedro.statistics.intervals import mean_interval
from numerai_kedro.statistics.overfitting import superior_predictive_ability
from numerai_kedro.statistics.payout import PayoutRule, contribution, forecast_burn
from numerai_kedro.tournament.schema import overlap_eras
from numerai_kedro.training.walk_forward import predictions_frame

logger = logging.getLogger(__name__)

ENSEMBLE, BENCHMARK, CHAMPION = "ensemble", "benchmark", "champion"
# Scores that Numerai gives live submissions, too.
PROMISED = ("corr", "mmc")
SPA_SEED = 0


def predict_champions(
    champion_store: ChampionStore,
    live_panel: EraPanel,
    slots: dict[str, str],
    round_info: dict[str, Any],
    folds: dict[str, Any],
    live_benchmarks: pd.DataFrame,
    params: GateParams,
) -> dict[str, pd.DataFrame]:
    """Predict the live stocks by what passed in an earlier round; keyed by round and slot."""
    made = {}
    for slot in slots:
        try:
            champion = champion_of(champion_store, slot, round_info, params)
            if champion is not None:
                models = champion_store.models(slot, champion)
                given = (live_panel, live_benchmarks, folds["paid_target"])
                made[f"{round_info['number']}-{slot}"] = _predicted(champion, models, *given)
        # A library may be gone since, or a feature.
        except (NumeraiKedroError, ImportError) as error:
            logger.warning("champion of %s: cannot predict: %s", slot, error)
    return made


def champion_of(
    store: ChampionStore, slot: str, round_info: dict[str, Any], params: GateParams
) -> Champion | None:
    """Who a round is judged against; nobody where the newest is too old, or of other data."""
    number = round_info["number"]
    found = store.find(slot, number)
    if found is None:
        return None
    reason = None
    if found.round < number - params.max_champion_rounds:
        reason = f"it is of round {found.round}, too long ago (gate.max_champion_rounds)"
    # An earlier version of this project did not note it.
    elif found.data_version not in ("", round_info["data_version"]):
        reason = f"it learned from {found.data_version}"
    if reason is None:
        return found
    logger.warning("champion of %s: counts for nothing: %s", slot, reason)
    return None


def members_of(entry: str, ensemble_weights: pd.DataFrame) -> list[str]:
    """Models behind an entry."""
    return [entry] if entry != ENSEMBLE else list(ensemble_weights["model"].unique())


def without_fits(made: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs by entry, and the reports of live fits, ``{model}__fit``, by model."""
    fits = {k.removesuffix("__fit"): v for k, v in made.items() if k.endswith("__fit")}
    return {name: value for name, value in made.items() if not name.endswith("__fit")}, fits


def learned_versions(members: Sequence[str], fits: Mapping[str, Any]) -> set[str]:
    """Data versions that members' live fits learned from, as far as they are known.

    A refit that failed, and one by an earlier version of this project, say nothing.
    """
    found = (fits.get(name, {}) for name in members)
    known = (one.get("data_version") for one in found if isinstance(one, Mapping))
    return {version for version in known if version}


def _predicted(
    champion: Champion,
    models: dict[str, Any],
    live_panel: EraPanel,
    benchmarks: pd.DataFrame,
    paid_target: str,
) -> pd.DataFrame:
    frames = {name: predictions_frame(one, live_panel) for name, one in models.items()}
    columns = np.column_stack([frame["prediction"] for frame in frames.values()]).astype(float)
    starts = np.array([0, len(columns)])
    blended = blend(columns, np.array([champion.weights[name] for name in frames]), starts)
    if champion.proportion:
        given = (blended[:, None], live_panel, benchmarks, paid_target, champion.neutral)
        blended = taken_out(*given, [champion.proportion])[:, 0]
    return next(iter(frames.values()))[["id", "era"]].assign(prediction=blended)


def likeness(
    predictions: np.ndarray, champions: pd.DataFrame | None, params: GateParams
) -> list[Check]:
    """How alike the predictions and the champion's are; nothing without one."""
    if champions is None:
        return []
    theirs = champions["prediction"].to_numpy(dtype=np.float64)
    return [likeness_check(predictions, theirs, params)]


def comparison(
    scores: pd.DataFrame,
    entry: str,
    champion: Champion | None,
    procedure: str,
    rule: PayoutRule,
    overlap: int,
    params: GateParams,
) -> list[Check]:
    """Compare by this round's rule; nothing in the first week, nor with the same configuration."""
    if champion is None or champion.procedure == procedure:
        return []
    rows = scores[scores["model"] == entry].sort_values("era")
    ours = _by_era(rows["era"], returns_of(rows, rule, overlap))
    compared = champion_check(ours, _returns_of_champion(champion, rule), overlap, params)
    return [compared] if compared else []


def superior_to(
    scores: pd.DataFrame,
    champion: Champion | None,
    procedure: str,
    rule: PayoutRule,
    overlap: int,
) -> float | None:
    """P value of "nothing of ours earns more than the champion", by Hansen's test.

    None where there is no champion, or of the same configuration, or where too few eras are common.
    """
    if champion is None or champion.procedure == procedure:
        return None
    theirs = pd.Series(_returns_of_champion(champion, rule), name=CHAMPION)
    ours = {
        str(name): _by_era(rows["era"], returns_of(rows, rule, overlap))
        for name, rows in scores.groupby("model")
        if name != BENCHMARK
    }
    table = pd.DataFrame(ours).join(theirs, how="inner").sort_index()
    columns = table.drop(columns=CHAMPION).to_numpy(dtype=float)
    against = table[CHAMPION].to_numpy(dtype=float)
    return superior_predictive_ability(columns, against, overlap, SPA_SEED)


def _returns_of_champion(champion: Champion, rule: PayoutRule) -> dict[int, float]:
    corr, beyond = np.array(list(champion.scores.values()), dtype=float).reshape(-1, 2).T
    return _by_era(map(int, champion.scores), rule.returns(corr, beyond))


def promised_by(scores: pd.DataFrame, entry: str, target: str) -> dict[str, Any]:
    """What the record lets expect of twelve weeks, by the names of live scores: ``corr60``."""
    days, overlap = target.rpartition("_")[2], overlap_eras(target)
    rows = scores[scores["model"] == entry]
    promised = {}
    for name in PROMISED:
        values = rows[name].to_numpy()
        one = interval_json(mean_interval(values, overlap))
        forecast = forecast_burn(values, overlap)
        low, high = forecast.interval() if forecast else (None, None)
        promised[f"{name}{days}"] = one | {"low": low, "high": high}
    return promised


def crown(
    gate_decision: dict[str, dict[str, Any]],
    champion_store: ChampionStore,
    round_info: dict[str, Any],
    slots: dict[str, str],
    procedures: dict[str, str],
    scores: pd.DataFrame,
    folds: dict[str, Any],
    ensemble_weights: pd.DataFrame,
    neutralisation: dict[str, Any],
    **made: Any,
) -> dict[str, Any]:
    """Keep what passed, or was let through, as its slot's champion; returns who is, by slot."""
    overlap, number = overlap_eras(folds["paid_target"]), round_info["number"]
    models, fits = without_fits(made)
    for slot, entry in slots.items():
        decision = gate_decision[f"{number}-{slot}"]
        if not decision["passed"] or decision["feeds"] == CHAMPION:
            continue
        rows = scores[scores["model"] == entry].dropna(subset=["corr"]).sort_values("era")
        beyond = contribution(rows["mmc"].to_numpy(), rows["bmc"].to_numpy(), overlap)
        pairs = zip(rows["corr"].tolist(), beyond.tolist(), strict=True)
        blended = entry == ENSEMBLE and neutralisation["proportion"] > 0
        champion = Champion(
            procedure=procedures[entry],
            entry=entry,
            round=number,
            scores={
                str(era): list(pair)
                for era, pair in zip(rows["era"], pairs, strict=True)
                if not np.isnan(pair).any()
            },
            weights=_weights_of(entry, ensemble_weights),
            proportion=neutralisation["proportion"] if blended else 0.0,
            neutral=neutralisation["features"] if blended else [],
            promised=decision["promised"],
            # One, where all members agree; several are no version that a later round could have.
            data_version=" and ".join(
                sorted(learned_versions(members_of(entry, ensemble_weights), fits))
            ),
        )
        champion_store.crown(slot, champion, models)
    found = {slot: champion_store.find(slot, number + 1) for slot in slots}
    return {
        slot: {"procedure": one.procedure, "entry": one.entry, "round": one.round}
        for slot, one in found.items()
        if one is not None
    }


def _weights_of(entry: str, ensemble_weights: pd.DataFrame) -> dict[str, float]:
    if entry != ENSEMBLE:
        return {entry: 1.0}
    newest = ensemble_weights["era"] == ensemble_weights["era"].max()
    rows = ensemble_weights[newest & ensemble_weights["in_force"]]
    return {str(name): float(w) for name, w in zip(rows["model"], rows["weight"], strict=True)}


def _by_era(eras: Any, values: np.ndarray) -> dict[int, float]:
    pairs = zip(eras, values, strict=True)
    return {int(era): float(value) for era, value in pairs if not np.isnan(value)}
