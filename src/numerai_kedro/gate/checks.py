"""Checks of the gate: of a slot's record, and of its live predictions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from numerai_kedro.gate.decision import Check
from numerai_kedro.gate.drift import (
    adversarial_auc,
    constant_features,
    moved_correlations,
)
from numerai_kedro.gate.likeness import rank_correlation
from numerai_kedro.gate.paid_checks import paid_checks
from numerai_kedro.metrics.fnc import max_exposure_of_era
from numerai_kedro.metrics.intervals import Interval, mean_interval, short, short_interval
from numerai_kedro.metrics.overfitting import minimum_detectable
from numerai_kedro.metrics.payout import PayoutRule
from numerai_kedro.metrics.performance import max_drawdown, sharpe
from numerai_kedro.metrics.ranks import Vector, percentile_rank
from numerai_kedro.reasons import BlockReason
from numerai_kedro.strict import Block

# Likeness to the benchmark: fewer eras say nothing, and a refit moves even a stable correlation.
MIN_LIKENESS_ERAS = 20
MIN_LIKENESS_DEVIATION = 0.1  # relative to the usual correlation
DEVIATIONS_PER_MAD = 1.4826  # of a normal distribution


class GateParams(Block):
    """Thresholds; parameters_backtest.yml explains each of them."""

    min_test_eras: int = Field(ge=0)
    corr_bound_level: float = Field(gt=0.5, lt=1)
    min_corr_bound: float
    min_corr_of_benchmark: float
    min_sharpe_of_benchmark: float
    max_drawdown_of_benchmark: float = Field(gt=0)
    max_exposure_of_benchmark: float = Field(gt=0)
    max_live_exposure: float = Field(gt=0, le=1)
    min_distinct_share: float = Field(ge=0, le=1)
    min_live_deviation: float = Field(gt=0)
    max_plausible_corr: float = Field(gt=0)
    max_corr_of_benchmark: float = Field(gt=0)
    best_of_many_level: float = Field(gt=0, lt=1)
    paid_level: float = Field(gt=0.5, lt=1)
    newest_eras: int = Field(gt=0)
    max_burn_chance: float = Field(gt=0, le=1)
    comparison_level: float = Field(gt=0.5, lt=1)
    min_champion_correlation: float = Field(ge=-1, le=1)
    min_refit_correlation: float = Field(ge=-1, le=1)
    max_benchmark_deviations: float = Field(gt=0)
    max_champion_rounds: int = Field(gt=0)
    max_drift: float = Field(gt=0)
    drift_eras: int = Field(ge=3)
    override_round: int | None
    override_slot: str | None
    override_reason: str | None


def backtest_checks(
    scores: pd.DataFrame,
    entry: str,
    overlap_eras: int,
    params: GateParams,
    rule: PayoutRule,
    n_configurations: int,
) -> tuple[Check, ...]:
    """Compare an entry's out-of-fold record with the thresholds.

    Parameters
    ----------
    scores : DataFrame
        As `backtest.score_columns` returns it, with the rows of `entry` and of ``benchmark``.
    entry
        What feeds the slot: ``ensemble`` or a model.
    overlap_eras
        Eras that the paid target spans.
    rule
        What a round pays.
    n_configurations
        Configurations among which this one may be the best by luck; see `best_of_many_check`.
    """
    ours, benchmark = (
        scores.loc[scores["model"] == name].sort_values("era") for name in (entry, "benchmark")
    )
    corr = ours["corr"].to_numpy()
    paid = paid_checks(
        corr,
        ours["mmc"].to_numpy(),
        ours["bmc"].to_numpy(),
        rule,
        overlap_eras,
        level=params.paid_level,
        newest_eras=params.newest_eras,
        max_burn_chance=params.max_burn_chance,
    )
    return (
        *_corr_checks(corr, overlap_eras, params),
        *best_of_many_check(corr, overlap_eras, params, n_configurations),
        *paid,
        *_relative_checks(ours, benchmark, overlap_eras, params),
    )


def _corr_checks(corr: Vector, overlap_eras: int, params: GateParams) -> tuple[Check, ...]:
    """Whether there are enough eras, and CORR is significantly above zero in them."""
    interval = _corr_interval(corr, overlap_eras, params)
    return (
        Check(
            BlockReason.TOO_FEW_ERAS,
            "number of eras in the test period",
            float(interval.n_eras),
            "at least",
            float(params.min_test_eras),
        ),
        Check(
            BlockReason.CORR_NOT_ABOVE_ZERO,
            f"CORR's one-sided {params.corr_bound_level:.0%} lower bound",
            _bound(interval),
            "above",
            params.min_corr_bound,
        ),
    )


def _corr_interval(corr: Vector, overlap_eras: int, params: GateParams) -> Interval:
    # A one-sided bound of level .9 is the lower end of a two-sided interval of level .8.
    return mean_interval(corr, overlap_eras, level=2 * params.corr_bound_level - 1)


def _bound(interval: Interval) -> float:
    return float("nan") if interval.low is None else interval.low


def best_of_many_check(
    corr: Vector, overlap_eras: int, params: GateParams, n_configurations: int
) -> tuple[Check, ...]:
    """Whether CORR is above zero even if this is the best of so many worthless configurations.

    Sidak's correction of the one-sided bound. The variance is the one that full overlap implies:
    other estimates have so few degrees of freedom that no record of 72 eras could pass as the best
    of sixty configurations.

    Parameters
    ----------
    corr : float64[n_eras]
        Of the test period; NaN is left out.
    n_configurations
        Configurations that the slot has tried in the last 52 weeks, this one included; for one
        that has passed before, no more than when it first did.

    Returns
    -------
    tuple of Check
        Empty if it is the only one, which the plain bound of CORR judges, or if eras are too few.
    """
    if n_configurations < 2:
        return ()
    level = params.best_of_many_level ** (1 / n_configurations)
    interval = short_interval(corr, overlap_eras, level=2 * level - 1)
    if interval.low is None:
        return ()
    label = f"CORR's lower bound as the best of {n_configurations} configurations ({level:.2%})"
    return (Check(BlockReason.BEST_OF_MANY, label, interval.low, "above", params.min_corr_bound),)


def _relative_checks(
    ours: pd.DataFrame, benchmark: pd.DataFrame, overlap_eras: int, params: GateParams
) -> tuple[Check, ...]:
    """Compare with the benchmark over common eras; without any, only check for a leak."""
    beside = benchmark.set_index("era").reindex(ours["era"])
    scored = ours["corr"].notna().to_numpy() & beside["corr"].notna().to_numpy()
    common, against = ours[scored], beside[scored]
    corr, theirs = common["corr"].to_numpy(), against["corr"].to_numpy()
    level = float(theirs.mean()) if len(common) else 0.0
    too_good = Check(
        BlockReason.RECORD_TOO_GOOD,
        f"too good to be true: CORR's one-sided {params.corr_bound_level:.0%} lower bound",
        _bound(_corr_interval(ours["corr"].to_numpy(), overlap_eras, params)),
        "at most",
        max(params.max_plausible_corr, params.max_corr_of_benchmark * level),
    )
    if not len(common):
        return (too_good,)
    eras = f"in {len(common)} eras that the benchmark has"
    return (
        too_good,
        Check(
            BlockReason.CORR_BELOW_BENCHMARK,
            f"CORR {eras}",
            float(corr.mean()),
            "at least",
            params.min_corr_of_benchmark * level,
        ),
        Check(
            BlockReason.SHARPE_BELOW_BENCHMARK,
            f"Sharpe per era {eras}",
            sharpe(corr),
            "at least",
            params.min_sharpe_of_benchmark * sharpe(theirs),
        ),
        Check(
            BlockReason.DRAWDOWN_TOO_DEEP,
            f"maximum drawdown of CORR {eras}",
            max_drawdown(corr),
            "at most",
            params.max_drawdown_of_benchmark * max_drawdown(theirs),
        ),
        Check(
            BlockReason.EXPOSURE_TOO_HIGH,
            f"mean maximum feature exposure {eras}",
            float(common["max_exposure"].mean()),
            "at most",
            params.max_exposure_of_benchmark * float(against["max_exposure"].mean()),
        ),
    )


def honesty_checks(
    windows: Sequence[tuple[int, int]],
    choices: Sequence[tuple[int, int]],
    last_scored: int,
    live_era: int,
    overlap_eras: int,
) -> tuple[Check, ...]:
    """Check that nothing was learned, chosen or scored too close to the eras it is judged on.

    Parameters
    ----------
    windows
        Of each test fold: the last era learned, the first predicted.
    choices
        Of each choice of parameters: the last era looked at, the first served.
    last_scored
        Newest era with a score.
    """
    # Without folds or choices nothing can leak, so the default passes.
    learned = min((test - train - 1 for train, test in windows), default=overlap_eras + 1)
    looked = min((first_used - seen - 1 for seen, first_used in choices), default=overlap_eras + 1)
    least = float(overlap_eras + 1)
    return (
        Check(
            BlockReason.PURGE_TOO_SHORT,
            "eras between what a fold learns and predicts",
            float(learned),
            "at least",
            least,
        ),
        Check(
            BlockReason.SELECTED_ON_TEST_ERAS,
            "eras between what a choice saw and where it is used",
            float(looked),
            "at least",
            least,
        ),
        Check(
            BlockReason.UNRESOLVED_SCORED,
            "newest era that counts",
            float(last_scored),
            "at most",
            float(live_era - overlap_eras - 2),
        ),
    )


def champion_check(
    ours: Mapping[int, float],
    champion: Mapping[int, float],
    overlap_eras: int,
    params: GateParams,
) -> Check | None:
    """Compare payoffs in the eras that both have; None where those are too few.

    The challenger is rejected if it is significantly worse: if even the upper bound of the
    difference is below zero. Differences below the minimum detectable effect go unnoticed.
    """
    common = sorted(ours.keys() & champion.keys())
    differences = np.array([ours[era] - champion[era] for era in common])
    interval = mean_interval(differences, overlap_eras, level=2 * params.comparison_level - 1)
    if interval.high is None:
        return None
    detectable = minimum_detectable(differences, overlap_eras, params.comparison_level)
    return Check(
        BlockReason.WORSE_THAN_CHAMPION,
        f"payoff against the champion's, {params.comparison_level:.0%} upper bound over "
        f"{len(common)} common eras (less than {short(detectable)} an era goes unseen)",
        interval.high,
        "at least",
        0.0,
    )


def version_check(live: str, learned: Collection[str]) -> Check:
    """Whether the live features have the data version that every model learned from.

    Parameters
    ----------
    learned
        Versions of all members whose version is known.
    """
    other_versions = sorted(set(learned) - {live})
    return Check(
        BlockReason.DATA_VERSION_DIFFERS,
        f"other data versions than {live} that models learned from "
        f"({', '.join(other_versions) or 'none'})",
        float(len(other_versions)),
        "at most",
        0.0,
    )


def other_code_check(models: Collection[str]) -> Check:
    """Whether the current code made all live fits.

    Parameters
    ----------
    models
        Names of those that other code made.
    """
    return Check(
        BlockReason.FITS_OF_OTHER_CODE,
        f"models fitted by other code ({', '.join(sorted(models)) or 'none'})",
        float(len(models)),
        "at most",
        0.0,
    )


def constant_check(
    live: npt.NDArray[np.int8], past: Sequence[npt.NDArray[np.int8]]
) -> tuple[Check, ...]:
    """Compare the number of constant features with past eras; no check without any."""
    if not past:
        return ()
    constant = constant_features(live, past)
    return (
        Check(
            BlockReason.LIVE_FEATURES_CONSTANT,
            "live features with one value",
            constant.value,
            "at most",
            max(constant.past),
        ),
    )


def drift_checks(
    live: npt.NDArray[np.int8], past: Sequence[npt.NDArray[np.int8]], params: GateParams
) -> tuple[Check, ...]:
    """Compare the live features with those of past eras; no check if those are too few.

    Parameters
    ----------
    live : int8[n_rows, n_features]
    past : sequence of int8[n_rows, n_features]
        One per era, oldest first.
    """
    if len(past) < params.drift_eras:
        return ()
    measures = (
        (BlockReason.LIVE_CORRELATION_SHIFT, "correlations", moved_correlations(live, past)),
        (BlockReason.LIVE_ADVERSARIAL_AUC, "classifier", adversarial_auc(live, past)),
    )
    return tuple(
        Check(
            reason,
            f"live features' {word}, in deviations of {len(drift.past)} past eras",
            drift.deviations,
            "at most",
            params.max_drift,
        )
        for reason, word, drift in measures
    )


def likeness_check(predictions: Vector, champion: Vector, at_least: float) -> Check:
    """Rank correlation of live predictions with those of the champion's models.

    Parameters
    ----------
    at_least
        `GateParams.min_refit_correlation` if the champion has the same configuration,
        `GateParams.min_champion_correlation` if it has another one.
    """
    return Check(
        BlockReason.LIVE_UNLIKE_CHAMPION,
        "rank correlation with the champion's live predictions",
        rank_correlation(predictions, champion),
        "at least",
        at_least,
    )


def benchmark_likeness_check(live: float, out_of_fold: Vector, params: GateParams) -> Check:
    """Whether live predictions correlate with the benchmark's as they do out of fold.

    Predictions with a flipped sign, with rows out of order, or of noise correlate far less. If
    even noise would pass, the check warns that it says nothing.

    Parameters
    ----------
    live
        Rank correlation with the round's benchmark predictions; NaN if there are none.
    out_of_fold : float64[n_eras]
        The same for each era of the test period in time order, by `likeness_of_eras`; NaN is left
        out. Only the newest year counts, because earlier folds learned from fewer eras.
    """
    recent = out_of_fold[~np.isnan(out_of_fold)][-params.newest_eras :]
    label = "rank correlation of live predictions with the benchmark's"
    if np.isnan(live) or len(recent) < MIN_LIKENESS_ERAS:
        label = f"{label} is not known: eras to compare with"
        n_eras = 0 if np.isnan(live) else len(recent)
        least = float(MIN_LIKENESS_ERAS)
        return Check(BlockReason.BENCHMARK_TELLS_NOTHING, label, n_eras, "at least", least)
    # Median and MAD, because a first fold that learned from few eras may be an outlier.
    usual = float(np.median(recent))
    deviation = DEVIATIONS_PER_MAD * float(np.median(np.abs(recent - usual)))
    deviation = max(deviation, MIN_LIKENESS_DEVIATION * abs(usual))
    lowest = usual - params.max_benchmark_deviations * deviation
    label = f"{label} ({short(usual)} out of fold, deviation {short(deviation)})"
    # Noise correlates by about 0, so a bound below 0 says something only if it is missed.
    if usual > deviation and (lowest > 0 or live < lowest):
        return Check(BlockReason.LIVE_UNLIKE_BENCHMARK, label, live, "at least", lowest)
    label = f"lowest usual {label}, which noise has too"
    return Check(BlockReason.BENCHMARK_TELLS_NOTHING, label, lowest, "above", 0.0)


def live_checks(
    predictions: Vector, features: npt.NDArray[np.int8], params: GateParams
) -> tuple[Check, ...]:
    """Look at the live predictions themselves.

    Parameters
    ----------
    predictions : float[n_rows]
        Of the live stocks, any scale.
    features : int8[n_rows, n_features]
        Rows as in `predictions`.
    """
    ranks = percentile_rank(predictions[:, None])
    exposure = float(max_exposure_of_era(predictions[:, None], features)[0])
    return (
        Check(
            BlockReason.LIVE_CONSTANT,
            "standard deviation of live ranks",
            float(ranks.std()),
            "at least",
            params.min_live_deviation,
        ),
        Check(
            BlockReason.LIVE_TIES,
            "share of distinct live predictions",
            len(np.unique(predictions)) / len(predictions),
            "at least",
            params.min_distinct_share,
        ),
        Check(
            BlockReason.LIVE_EXPOSURE_TOO_HIGH,
            "maximum live feature exposure",
            exposure,
            "at most",
            params.max_live_exposure,
        ),
    )
