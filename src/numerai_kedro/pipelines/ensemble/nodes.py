"""Weigh the models that finished by what they earned, and blend them."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.cache.provenance import (
    ASKED,
    CONFIGURATION,
    DATA_VERSION,
    MEMBERS,
    OTHER_CODE,
    alike,
    configuration,
    configuration_of_blend,
    data_versions,
    of_other_code,
    values_by_model,
    weighed_members,
)
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Folds
from numerai_kedro.ensemble.blending import blend
from numerai_kedro.ensemble.holdout import Holdout
from numerai_kedro.ensemble.member_scores import MemberScores
from numerai_kedro.ensemble.neutral_shares import (
    Share,
    choices_by_era,
    choose_share,
    effective_share,
    missing_share,
    share_of,
    shares_taken_out,
)
from numerai_kedro.ensemble.neutralisation import NOTHING, features_to
from numerai_kedro.ensemble.weighting import EnsembleParams, walk_weights
from numerai_kedro.errors import BlendError, Failed, NumeraiKedroError, StoreError
from numerai_kedro.files import digest_json
from numerai_kedro.metrics.payout import PayoutRule, contribution
from numerai_kedro.metrics.score_check import check_scores
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.numerai.schema import overlap_eras
from numerai_kedro.own_code import DOTTED
from numerai_kedro.training.tuning.store import StudyStore

logger = logging.getLogger(__name__)


def weigh(
    history: EraPanel,
    folds: Folds,
    meta_model: pd.DataFrame,
    benchmark_predictions: pd.DataFrame,
    score_weights: dict[str, float],
    params: EnsembleParams,
    **made: Any,
) -> pd.DataFrame:
    """Weigh every model whose live fit is what its out-of-fold predictions describe.

    Models are inputs ``{model}__oof`` and ``{model}__model``. Weights of an era depend on scores
    that had resolved by then; the last era is the live one.
    """
    members, reasons = {}, []
    for model in sorted({name.partition("__")[0] for name in made}):
        member = member_of(made[f"{model}__oof"], made[f"{model}__model"])
        if isinstance(member, str):
            reasons.append(f"{model}: {member}")
            logger.info("ensemble: without %s (%s)", model, member)
        else:
            members[model] = member
    if not members:  # every refit failed: weigh what exists, and let the gate decide
        fits = values_by_model(made, "model")
        members = {
            name: frame for name, frame in values_by_model(made, "oof").items() if name in fits
        }
    if not members:
        raise BlendError(
            f"no model has both out-of-fold predictions and a live fit ({'; '.join(reasons)}); "
            "run kedro run --pipeline=gbm first."
        )
    holdout = Holdout.of(history, folds, meta_model, benchmark_predictions)
    return weights_of(members, holdout, folds, score_weights, params)


def member_of(oof: Any, model: Any) -> pd.DataFrame | str:
    """Out-of-fold predictions of a model that may be weighed; else why it may not."""
    failed = next((part for part in (oof, model) if isinstance(part, Failed)), None)
    if failed is not None:
        return failed.symptom
    if not alike(getattr(model, "configuration", ""), configuration(oof)):
        return "its live fit is of another configuration than its out-of-fold predictions"
    return oof


def weights_of(
    members: dict[str, pd.DataFrame],
    holdout: Holdout,
    folds: Folds,
    score_weights: dict[str, float],
    params: EnsembleParams,
) -> pd.DataFrame:
    """Weights of members by every scheme, era by era; the frame's attributes say what made them."""
    columns = holdout.columns(members)
    scores = MemberScores.of(
        holdout.panel.eras,
        holdout.panel.era_starts,
        columns,
        holdout.target,
        holdout.meta_model,
        holdout.benchmark,
    )
    paid = folds.paid_target
    overlap, live_era = overlap_eras(paid), folds.live_era
    eras = np.append(holdout.panel.eras, live_era)
    multipliers = (score_weights["corr"], score_weights["mmc"])
    # In every era of the record, scores become known with the same delay as live.
    delay = live_era - folds.resolved_to[paid]
    frames = []
    for scheme in params.schemes:
        weights = walk_weights(scores, eras, delay, scheme, multipliers, overlap, params)
        frames.append(
            pd.DataFrame(
                {
                    "scheme": scheme,
                    "era": np.repeat(eras, len(members)),
                    "model": np.tile(list(members), len(eras)),
                    "weight": weights.ravel(),
                    "chosen": scheme == params.scheme,
                }
            )
        )
        if scheme == params.scheme:
            for name, weight in zip(members, weights[-1], strict=True):
                logger.info("ensemble: %s weighs %.2f (%s)", name, weight, scheme)
    table = pd.concat(frames, ignore_index=True)
    table.attrs = {
        MEMBERS: {name: configuration(frame) for name, frame in members.items()},
        ASKED: digest_json(params.model_dump(mode="json")),
    }
    return table


def settle_weights(
    weights: pd.DataFrame,
    history: EraPanel,
    folds: Folds,
    meta_model: pd.DataFrame,
    benchmark_predictions: pd.DataFrame,
    score_weights: dict[str, float],
    round_info: dict[str, Any],
    params: EnsembleParams,
    **made: Any,
) -> pd.DataFrame:
    """The weights of this round: unchanged if all members predict, else computed again.

    Models are inputs ``{model}__oof`` and ``{model}__live``. A blend without one of its members is
    another blend: the others are weighed by what they earned without it, and `settle_record` scores
    exactly that. A member is present if its live predictions have the configuration that was
    weighed and it learned from the round's data version. If none is present, every model counts
    whose out-of-fold and live predictions share a configuration.
    """
    weighed = weighed_members(weights)
    version = {round_info["data_version"]}
    live = {
        name: frame
        for name, frame in values_by_model(made, "live").items()
        if data_versions(frame) <= version
    }
    made_by = {name: configuration(frame) for name, frame in live.items()}
    present = [
        name for name, weighed_as in weighed.items() if alike(made_by.get(name, ""), weighed_as)
    ]
    if len(present) == len(weighed):
        return weights
    holdout = Holdout.of(history, folds, meta_model, benchmark_predictions)
    oof = {
        name: frame for name, frame in values_by_model(made, "oof").items() if holdout.covers(frame)
    }
    recorded = {
        name: oof[name]
        for name in sorted(oof.keys() & live.keys())
        if alike(configuration(oof[name]), made_by[name])
    }
    members = {name: recorded[name] for name in present if name in recorded} or recorded
    for name in sorted(weighed.keys() - members.keys()):
        reason = _absence(made[f"{name}__live"], version)
        logger.warning("ensemble: %s is left out of this round: %s", name, reason)
    if not members:
        return weights  # `blend_live` says that no member predicts
    logger.warning("ensemble: weights are computed again for: %s", ", ".join(members))
    return weights_of(members, holdout, folds, score_weights, params)


def _absence(live: Any, version: set[str]) -> str:
    if isinstance(live, Failed):
        return live.symptom
    if learned := data_versions(live) - version:
        return f"it learned from data {', '.join(learned)}, and live data are {', '.join(version)}"
    return "its live fit is of another configuration than its weight"


def is_value(entry: Any) -> bool:
    """Whether an entry holds a value rather than the reason why there is none."""
    return not isinstance(entry, Failed)


def name_neutral(
    folds: Folds,
    feature_metadata: dict[str, Any],
    history: EraPanel,
    params: EnsembleParams,
) -> dict[str, Any]:
    """Resolve `neutralise_to` to features, before anything is fitted."""
    features = features_to(params.neutralise_to, folds, feature_metadata, history)
    # Shares are chosen again when the code of the user's own function, or what it gets, changes.
    of_function = [params.neutral_source, history.feature_names]
    is_function = DOTTED.fullmatch(params.neutralise_to)
    source = {"source": digest_json(of_function)} if is_function else {}
    return {"to": params.neutralise_to, "features": features, **source}


def choose_neutralisation(
    neutral_columns: dict[str, Any],
    history: EraPanel,
    folds: Folds,
    benchmark_predictions: pd.DataFrame,
    score_weights: dict[str, float],
    params: EnsembleParams,
    study_store: StudyStore,
    **made: Any,
) -> dict[str, Any]:
    """Choose how much to neutralise: a share for each decision of tuning, from its effective era.

    A share is chosen from what the trials predicted up to a purge before that era, and stored
    beside the decisions: neither later eras nor later decisions change it. Models are inputs
    ``{model}__validation`` and ``{model}__best_params``.

    Returns
    -------
    dict
        ``to`` and ``features``; ``shares``, oldest first, each with ``first_era``, ``proportion``
        and ``verdict``; ``proportion`` and ``verdict`` of the one effective in the live era.
    """
    nothing = {**neutral_columns, "shares": [], "proportion": 0.0}
    if neutral_columns["to"] == NOTHING:
        return nothing | {"verdict": "not asked for"}
    tuned = values_by_model(made, "best_params")
    choices = choices_by_era({name: decided["decisions"] for name, decided in tuned.items()})
    if not choices:
        return nothing | {"verdict": "nothing: no model has predicted the validation period"}
    frames = {
        name: frame for name, frame in values_by_model(made, "validation").items() if len(frame)
    }
    newest, paid, purge_eras = max(choices), folds.paid_target, folds.purge_eras
    request = {
        "neutralise": neutral_columns,
        "paid_target": paid,
        "purge_eras": purge_eras,
        "proportions": list(params.proportions),
        "adopt_level": params.adopt_level,
    }
    stored_shares = _kept_shares(study_store, request)
    chosen_from = missing_share(stored_shares, newest, choices[newest], frames)
    if chosen_from:
        share = choose_share(
            {name: frames[name] for name in sorted(chosen_from)},
            newest - purge_eras,
            neutral_columns["features"],
            history,
            paid,
            benchmark_predictions,
            PayoutRule(**score_weights),
            params,
        )
        logger.info("ensemble: neutralising to %s: %s", neutral_columns["to"], share["verdict"])
        stored_shares = [*stored_shares, {"first_era": newest, "choices": chosen_from, **share}]
        _keep_share(study_store, request, stored_shares[-1])
    shares = [share_of(stored_shares, era, by_model) for era, by_model in choices.items()]
    live = effective_share(shares, folds.live_era)
    of_live = {"proportion": live["proportion"], "verdict": live["verdict"]}
    return nothing | {"shares": shares} | of_live


def _kept_shares(store: StudyStore, request: dict[str, Any]) -> list[Share]:
    """Shares chosen before; empty if they cannot be read, so that no round fails for it."""
    try:
        return store.decisions(request)
    except StoreError as error:
        logger.warning("ensemble: earlier neutralisation shares cannot be read: %s", error)
        return []


def _keep_share(store: StudyStore, request: dict[str, Any], share: Share) -> None:
    """Store a share; a damaged file is left alone, because it may be restored."""
    with contextlib.suppress(StoreError):
        store.decide(request, share)


def _neutralised(
    blends: np.ndarray,
    panel: EraPanel,
    folds: Folds,
    chosen: dict[str, Any],
    benchmarks: pd.DataFrame,
) -> np.ndarray:
    """Columns of blends, neutralised by each era's effective share; unchanged where that is 0."""
    if "shares" not in chosen and chosen["proportion"]:
        raise BlendError(
            "what is taken out of the blend was chosen by an earlier version; run "
            "kedro run --pipeline=prepare to choose it again."
        )
    shares = chosen.get("shares", [])
    if not any(share["proportion"] for share in shares):
        return blends
    inputs = (blends, panel, benchmarks, folds.paid_target, chosen["features"])
    return shares_taken_out(*inputs, shares)


def blend_out_of_fold(
    weights: pd.DataFrame,
    neutralisation: dict[str, Any],
    history: EraPanel,
    folds: Folds,
    meta_model: pd.DataFrame,
    benchmark_predictions: pd.DataFrame,
    score_weights: dict[str, float],
    **oof: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Blend the members in every test era, by each scheme, and score the results.

    Returns
    -------
    DataFrame, DataFrame
        The blend by the chosen scheme; and one row per scheme and era: ``corr``, ``spearman``,
        ``mmc``, ``bmc``, ``payoff``.
    """
    holdout = Holdout.of(history, folds, meta_model, benchmark_predictions)
    names = list(weights["model"].unique())
    columns = holdout.columns({name: oof[name] for name in names})
    eras, starts = holdout.panel.eras, holdout.panel.era_starts
    blends = {}
    for scheme, rows in weights.groupby("scheme", sort=False):
        by_era = rows.pivot(index="era", columns="model", values="weight").loc[eras, names]
        blends[str(scheme)] = blend(columns, by_era.to_numpy(), starts)
    chosen_scheme = str(weights.loc[weights["chosen"], "scheme"].iloc[0])
    references = [holdout.meta_model, holdout.benchmark]
    table = np.column_stack(list(blends.values()))
    table = _neutralised(table, holdout.panel, folds, neutralisation, benchmark_predictions)
    chosen = table[:, list(blends).index(chosen_scheme)]
    corr, mmc, bmc = rank_scores(starts, table, holdout.target, references)
    frames = []
    for position, scheme in enumerate(blends):
        by_score = {"corr": corr[:, position], "mmc": mmc[:, position], "bmc": bmc[:, position]}
        beyond = contribution(by_score["mmc"], by_score["bmc"], overlap_eras(folds.paid_target))
        payoff = PayoutRule(**score_weights).returns(by_score["corr"], beyond)
        frames.append(pd.DataFrame({"scheme": scheme, "era": eras, **by_score, "payoff": payoff}))
    scores = pd.concat(frames, ignore_index=True)
    ours = scores["scheme"] == chosen_scheme
    scores.loc[ours, "spearman"] = check_scores(
        eras,
        holdout.panel.era_of_rows(),
        chosen,
        holdout.target,
        holdout.meta_model,
        scores.loc[ours, "corr"].to_numpy(),
        scores.loc[ours, "mmc"].to_numpy(),
    )
    blended = oof[names[0]][["id", "era"]].assign(prediction=chosen)
    blended.attrs = {CONFIGURATION: configuration_of_blend(weights, neutralisation)}
    return blended, scores


def blend_live(
    weights: pd.DataFrame,
    neutralisation: dict[str, Any],
    live_panel: EraPanel,
    folds: Folds,
    live_benchmarks: Any,
    **live: Any,
) -> pd.DataFrame | Failed:
    """Blend the members' live predictions by this round's weights, standardised the same way."""
    newest = weights[weights["chosen"] & (weights["era"] == weights["era"].max())]
    members = newest.set_index("model")["weight"]
    absent = {name: live[name] for name in members.index if isinstance(live[name], Failed)}
    if absent:  # `settle_weights` found no other members
        reasons = "; ".join(f"{name}: {failed.symptom}" for name, failed in absent.items())
        return Failed("blend_live", f"members have no live predictions ({reasons})")
    frames = {str(name): live[name] for name in members.index}
    first_name, first = next(iter(frames.items()))
    for name, frame in frames.items():
        if not frame["id"].equals(first["id"]):
            raise BlendError(
                f"{name} and {first_name} predict different rows; run both again "
                "(kedro run --pipeline=gbm)."
            )
    columns = np.column_stack([frame["prediction"] for frame in frames.values()]).astype(float)
    benchmarks = live_benchmarks if is_value(live_benchmarks) else pd.DataFrame()
    try:
        blended = blend(columns, members.to_numpy(), np.array([0, len(first)]))[:, None]
        neutral = _neutralised(blended, live_panel, folds, neutralisation, benchmarks)
    except NumeraiKedroError as error:  # it cannot be blended as its record describes
        return Failed("blend_live", str(error))
    predictions = first[["id", "era"]].assign(prediction=neutral[:, 0])
    predictions.attrs = blend_attributes(weights, neutralisation, frames)
    return predictions


def blend_attributes(
    weights: pd.DataFrame, neutralisation: dict[str, Any], frames: dict[str, pd.DataFrame]
) -> dict[str, str]:
    """Attributes of a live blend: its members as they are now, not as they were weighed."""
    members = {name: configuration(frame) for name, frame in frames.items()}
    as_they_are = weights.copy()
    as_they_are.attrs = weights.attrs | {MEMBERS: members}
    versions = sorted(set().union(*map(data_versions, frames.values())))
    other_code = sorted(set().union(*map(of_other_code, frames.values())))
    return {
        CONFIGURATION: configuration_of_blend(as_they_are, neutralisation),
        DATA_VERSION: " ".join(versions),
        OTHER_CODE: " ".join(other_code),
    }
