"""Weigh whatever models finished by what they earned, and blend them."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.errors import BlendError, Failed
from numerai_kedro.panel import EraPanel
from numerai_kedro.pipelines.judged import Judged
from numerai_kedro.pipelines.neutral import NOTHING, features_to, taken_out
from numerai_kedro.statistics.backtest import align
from numerai_kedro.statistics.blending import blend
from numerai_kedro.statistics.intervals import mean_interval
from numerai_kedro.statistics.member_scores import MemberScores
from numerai_kedro.statistics.payout import PayoutRule, contribution
from numerai_kedro.statistics.score_check import check_scores
from numerai_kedro.statistics.scoring import rank_scores
from numerai_kedro.statistics.weighting import ALL_SCHEMES, EnsembleParams, walk_weights
from numerai_kedro.tournament.schema import benchmark_of, overlap_eras

logger = logging.getLogger(__name__)


def weigh(
    history: EraPanel,
    folds: dict[str, Any],
    meta_model: pd.DataFrame,
    benchmark_predictions: pd.DataFrame,
    score_weights: dict[str, float],
    params: EnsembleParams,
    **made: Any,
) -> pd.DataFrame:
    """Weigh every model that has out-of-fold predictions and a live fit, by every scheme.

    Models are inputs ``{model}__oof`` and ``{model}__model``. Weights of an era hang on scores that
    had resolved by then; the last era is the live one.
    """
    members = _members(made)
    judged = Judged.of(history, folds, meta_model, benchmark_predictions)
    columns = judged.columns(members)
    scores = MemberScores.of(
        judged.panel.eras,
        judged.panel.era_starts,
        columns,
        judged.target,
        judged.meta_model,
        judged.benchmark,
    )
    paid = folds["paid_target"]
    overlap, live_era = overlap_eras(paid), int(folds["history"][1]) + 1
    eras = np.append(judged.panel.eras, live_era)
    multipliers = (score_weights["corr"], score_weights["mmc"])
    # What the newest resolved era tells is known as late in every era of the record as it is live.
    delay = live_era - int(folds["resolved_to"][paid])
    frames = []
    for scheme in ALL_SCHEMES:
        found = walk_weights(scores, eras, delay, scheme, multipliers, overlap, params)
        frames.append(
            pd.DataFrame(
                {
                    "scheme": scheme,
                    "era": np.repeat(eras, len(members)),
                    "model": np.tile(list(members), len(eras)),
                    "weight": found.ravel(),
                    "in_force": scheme == params.scheme,
                }
            )
        )
        if scheme == params.scheme:
            for name, weight in zip(members, found[-1], strict=True):
                logger.info("ensemble: %s weighs %.2f (%s)", name, weight, scheme)
    return pd.concat(frames, ignore_index=True)


def _members(made: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Out-of-fold predictions by model, of those that have a live fit, too."""
    members, reasons = {}, []
    for model in sorted({name.partition("__")[0] for name in made}):
        parts = [made[f"{model}__oof"], made[f"{model}__model"]]
        failed = next((part for part in parts if isinstance(part, Failed)), None)
        if failed is None:
            members[model] = parts[0]
        else:
            reasons.append(f"{model}: {failed.symptom}")
            logger.info("ensemble: without %s (%s)", model, failed.symptom)
    if not members:
        raise BlendError(
            f"no model has both out-of-fold predictions and a live fit ({'; '.join(reasons)}); "
            "run kedro run --pipeline=gbm first."
        )
    return members


def name_neutral(
    folds: dict[str, Any],
    feature_metadata: dict[str, Any],
    history: EraPanel,
    params: EnsembleParams,
) -> dict[str, Any]:
    """Name what `neutralise_to` means, before anything is fitted."""
    features = features_to(params.neutralise_to, folds, feature_metadata, history)
    return {"to": params.neutralise_to, "features": features}


def choose_neutralisation(
    neutral_columns: dict[str, Any],
    history: EraPanel,
    folds: dict[str, Any],
    benchmark_predictions: pd.DataFrame,
    score_weights: dict[str, float],
    params: EnsembleParams,
    **tuning: Any,
) -> dict[str, Any]:
    """Choose how much to neutralise on the tuning stretch, from what the trials predicted there."""
    frames = {
        name: frame
        for name, frame in sorted(tuning.items())
        if not isinstance(frame, Failed) and len(frame)
    }
    nothing = {**neutral_columns, "proportion": 0.0}
    if neutral_columns["to"] == NOTHING:
        return nothing | {"verdict": "not asked for"}
    if not frames:
        return nothing | {"verdict": "nothing: no model has predicted the tuning stretch"}
    first, last = folds["stretches"]["tuning"]
    common = set.intersection(*(set(frame["era"]) for frame in frames.values()))
    # A re-tuning has predicted judged eras, too, and the share serves all of those.
    panel = history.select(eras=[era for era in sorted(common) if first <= era <= last])
    ids, paid = np.asarray(panel.ids(), dtype=object), folds["paid_target"]
    columns = np.column_stack(
        [frame.set_index("id")["prediction"].reindex(ids) for frame in frames.values()]
    ).astype(float)
    blended = blend(columns, np.ones(len(frames)), panel.era_starts)
    proportions = [0.0, *params.proportions]
    made = taken_out(
        *(blended[:, None], panel, benchmark_predictions, paid),
        neutral_columns["features"],
        proportions,
    )
    benchmark = align(benchmark_of(benchmark_predictions, paid), ids)
    target = panel.target(paid).astype(float)
    corr, bmc = rank_scores(panel.era_starts, made, target, [benchmark])
    payoff = PayoutRule(**score_weights).returns(corr, bmc)
    best = int(np.nanmean(payoff, axis=0).argmax())
    proportion = proportions[best]
    if best == 0:
        return nothing | {"verdict": "nothing: no share earned more"}
    gain = mean_interval(
        payoff[:, best] - payoff[:, 0], overlap_eras(paid), level=2 * params.adopt_level - 1
    )
    low = "too few eras" if gain.low is None else f"lower bound {gain.low:.4f}"
    adopted = gain.low is not None and gain.low > 0
    verdict = f"{proportion:g} gains {gain.mean:.4f} ({low}): {'' if adopted else 'not '}adopted"
    logger.info("ensemble: neutralising to %s: %s", neutral_columns["to"], verdict)
    return nothing | {"proportion": proportion if adopted else 0.0, "verdict": verdict}


def _neutralised(
    blends: np.ndarray,
    panel: EraPanel,
    folds: dict[str, Any],
    chosen: dict[str, Any],
    benchmarks: pd.DataFrame,
) -> np.ndarray:
    """Columns of blends, less the share that was chosen; untouched where that is none."""
    if not chosen["proportion"]:
        return blends
    if "features" not in chosen:
        raise BlendError(
            "what is taken out of the blend was chosen by an earlier version; run "
            "kedro run --pipeline=prepare to choose it again."
        )
    given = (blends, panel, benchmarks, folds["paid_target"], chosen["features"])
    return taken_out(*given, [chosen["proportion"]])


def blend_out_of_fold(
    weights: pd.DataFrame,
    neutralisation: dict[str, Any],
    history: EraPanel,
    folds: dict[str, Any],
    meta_model: pd.DataFrame,
    benchmark_predictions: pd.DataFrame,
    score_weights: dict[str, float],
    **oof: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Blend the members in every judged era, by each scheme, and score what comes of it.

    Returns
    -------
    DataFrame, DataFrame
        The blend in force; and one row a scheme and era: ``corr``, ``spearman``, ``mmc``, ``bmc``,
        ``payoff``.
    """
    judged = Judged.of(history, folds, meta_model, benchmark_predictions)
    names = list(weights["model"].unique())
    columns = judged.columns({name: oof[name] for name in names})
    eras, starts = judged.panel.eras, judged.panel.era_starts
    blends = {}
    for scheme, rows in weights.groupby("scheme", sort=False):
        by_era = rows.pivot(index="era", columns="model", values="weight").loc[eras, names]
        blends[str(scheme)] = blend(columns, by_era.to_numpy(), starts)
    in_force = str(weights.loc[weights["in_force"], "scheme"].iloc[0])
    references = [judged.meta_model, judged.benchmark]
    table = np.column_stack(list(blends.values()))
    table = _neutralised(table, judged.panel, folds, neutralisation, benchmark_predictions)
    chosen = table[:, list(blends).index(in_force)]
    corr, mmc, bmc = rank_scores(starts, table, judged.target, references)
    frames = []
    for position, scheme in enumerate(blends):
        one = {"corr": corr[:, position], "mmc": mmc[:, position], "bmc": bmc[:, position]}
        beyond = contribution(one["mmc"], one["bmc"], overlap_eras(folds["paid_target"]))
        payoff = PayoutRule(**score_weights).returns(one["corr"], beyond)
        frames.append(pd.DataFrame({"scheme": scheme, "era": eras, **one, "payoff": payoff}))
    scores = pd.concat(frames, ignore_index=True)
    ours = scores["scheme"] == in_force
    scores.loc[ours, "spearman"] = check_scores(
        eras,
        judged.panel.era_of_rows(),
        chosen,
        judged.target,
        judged.meta_model,
        scores.loc[ours, "corr"].to_numpy(),
        scores.loc[ours, "mmc"].to_numpy(),
    )
    first = oof[names[0]]
    return first[["id", "era"]].assign(prediction=chosen), scores


def blend_live(
    weights: pd.DataFrame,
    neutralisation: dict[str, Any],
    live_panel: EraPanel,
    folds: dict[str, Any],
    live_benchmarks: pd.DataFrame,
    **live: Any,
) -> pd.DataFrame | Failed:
    """Blend the members' live predictions by the newest weights, standardised the same way.

    A member without live predictions is left out, and said: a round is missed by nothing else.
    """
    newest = weights[weights["in_force"] & (weights["era"] == weights["era"].max())]
    members = newest.set_index("model")["weight"]
    absent = {name: live[name] for name in members.index if isinstance(live[name], Failed)}
    for name, failed in absent.items():
        logger.warning("ensemble: %s is left out of this round: %s", name, failed.symptom)
    present = members.drop(list(absent))
    if present.empty:
        reasons = "; ".join(f"{name}: {failed.symptom}" for name, failed in absent.items())
        return Failed("blend_live", f"no member has live predictions ({reasons})")
    if not present.sum() > 0:  # those with a weight are absent
        present = present + 1.0
    frames = {name: live[name] for name in present.index}
    first_name, first = next(iter(frames.items()))
    for name, frame in frames.items():
        if not frame["id"].equals(first["id"]):
            raise BlendError(
                f"{name} and {first_name} predict different rows; run both again "
                "(kedro run --pipeline=gbm)."
            )
    columns = np.column_stack([frame["prediction"] for frame in frames.values()]).astype(float)
    blended = blend(columns, present.to_numpy(), np.array([0, len(first)]))[:, None]
    try:
        made = _neutralised(blended, live_panel, folds, neutralisation, live_benchmarks)
    except BlendError as error:  # no blend as it was judged: an outcome, and the rest goes on
        return Failed("blend_live", str(error))
    return first[["id", "era"]].assign(prediction=made[:, 0])
