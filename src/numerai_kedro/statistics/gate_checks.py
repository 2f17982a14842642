"""What the gate asks of a slot's predictions: of their record, and of the live ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from numerai_kedro.reasons import BlockReason
from numerai_kedro.statistics.gate import Check
from numerai_kedro.statistics.intervals import mean_interval, short
from numerai_kedro.statistics.live_drift import constant_features, moved_correlations, told_apart
from numerai_kedro.statistics.overfitting import minimum_detectable
from numerai_kedro.statistics.performance import max_drawdown, sharpe
from numerai_kedro.statistics.ranks import Vector, percentile_rank
from numerai_kedro.statistics.scoring import max_exposure_of_era
from numerai_kedro.strict import Block


class GateParams(Block):
    """Thresholds; what each does stands in parameters_backtest.yml."""

    min_judged_eras: int = Field(ge=0)
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
    max_overfitting: float = Field(gt=0, le=1)
    comparison_level: float = Field(gt=0.5, lt=1)
    min_champion_correlation: float = Field(ge=-1, le=1)
    max_champion_rounds: int = Field(gt=0)
    max_drift: float = Field(gt=0)
    drift_eras: int = Field(ge=3)
    override_round: int | None
    override_reason: str | None


def backtest_checks(
    scores: pd.DataFrame, entry: str, overlap_eras: int, params: GateParams
) -> tuple[Check, ...]:
    """Compare an entry's out-of-fold record with the thresholds.

    Parameters
    ----------
    scores : DataFrame
        As `backtest.score_columns` makes it, with the rows of `entry` and of ``benchmark``.
    entry
        What feeds the slot: ``ensemble`` or a model.
    overlap_eras
        Eras that the paid target spans.
    """
    ours, benchmark = (
        scores.loc[scores["model"] == name].sort_values("era") for name in (entry, "benchmark")
    )
    corr, benchmark_corr = ours["corr"].to_numpy(), benchmark["corr"].to_numpy()
    # A one-sided bound of level .9 is the lower end of a two-sided interval of level .8.
    interval = mean_interval(corr, overlap_eras, level=2 * params.corr_bound_level - 1)
    bound = float("nan") if interval.low is None else interval.low
    level = f"{params.corr_bound_level:.0%}"
    return (
        Check(
            BlockReason.TOO_FEW_ERAS,
            "number of judged eras",
            float(interval.n_eras),
            "at least",
            float(params.min_judged_eras),
        ),
        Check(
            BlockReason.CORR_NOT_ABOVE_ZERO,
            f"CORR's one-sided {level} lower bound",
            bound,
            "above",
            params.min_corr_bound,
        ),
        Check(
            BlockReason.CORR_BELOW_BENCHMARK,
            "CORR",
            interval.mean,
            "at least",
            params.min_corr_of_benchmark * float(np.nanmean(benchmark_corr)),
        ),
        Check(
            BlockReason.SHARPE_BELOW_BENCHMARK,
            "Sharpe per era",
            sharpe(corr),
            "at least",
            params.min_sharpe_of_benchmark * sharpe(benchmark_corr),
        ),
        Check(
            BlockReason.DRAWDOWN_TOO_DEEP,
            "maximum drawdown of CORR",
            max_drawdown(corr),
            "at most",
            params.max_drawdown_of_benchmark * max_drawdown(benchmark_corr),
        ),
        Check(
            BlockReason.EXPOSURE_TOO_HIGH,
            "mean maximum feature exposure",
            float(np.nanmean(ours["max_exposure"])),
            "at most",
            params.max_exposure_of_benchmark * float(np.nanmean(benchmark["max_exposure"])),
        ),
        Check(
            BlockReason.RECORD_TOO_GOOD,
            f"too good to be true: CORR's one-sided {level} lower bound",
            bound,
            "at most",
            max(
                params.max_plausible_corr,
                params.max_corr_of_benchmark * float(np.nanmean(benchmark_corr)),
            ),
        ),
    )


def honesty_checks(
    windows: Sequence[tuple[int, int]],
    choices: Sequence[tuple[int, int]],
    last_scored: int,
    live_era: int,
    overlap_eras: int,
) -> tuple[Check, ...]:
    """Look for what makes a record worthless: learning, choosing or scoring too late.

    Parameters
    ----------
    windows
        Of each judged fold: the last era learned, the first predicted.
    choices
        Of each choice of parameters: the last era looked at, the first served.
    last_scored
        Newest era with a score.
    """
    learned = min((test - train - 1 for train, test in windows), default=overlap_eras + 1)
    looked = min((serves - seen - 1 for seen, serves in choices), default=overlap_eras + 1)
    wanted = float(overlap_eras + 1)
    return (
        Check(
            BlockReason.PURGE_TOO_SHORT,
            "eras between what a fold learns and predicts",
            float(learned),
            "at least",
            wanted,
        ),
        Check(
            BlockReason.SELECTED_ON_JUDGED,
            "eras between what a choice saw and serves",
            float(looked),
            "at least",
            wanted,
        ),
        Check(
            BlockReason.UNRESOLVED_SCORED,
            "newest era that counts",
            float(last_scored),
            "at most",
            float(live_era - overlap_eras - 2),
        ),
    )


def overfitting_check(probability: float, params: GateParams) -> Check:
    """Whether adopted parameters are the best of their study by luck."""
    return Check(
        BlockReason.OVERFITTED,
        "probability that the adopted parameters are overfitted",
        probability,
        "at most",
        params.max_overfitting,
    )


def champion_check(
    ours: Mapping[int, float],
    champion: Mapping[int, float],
    overlap_eras: int,
    params: GateParams,
) -> Check | None:
    """Compare payoffs in the eras that both have; None where those are too few.

    The challenger is turned down where it is surely worse: where even the upper bound of the
    difference is below zero. What is smaller than the minimum detectable effect stays unseen.
    """
    common = sorted(ours.keys() & champion.keys())
    differences = np.array([ours[era] - champion[era] for era in common])
    interval = mean_interval(differences, overlap_eras, level=2 * params.comparison_level - 1)
    if interval.high is None:
        return None
    found = minimum_detectable(differences, overlap_eras, params.comparison_level)
    return Check(
        BlockReason.WORSE_THAN_CHAMPION,
        f"payoff against the champion's, {params.comparison_level:.0%} upper bound over "
        f"{len(common)} common eras (less than {short(found)} an era goes unseen)",
        interval.high,
        "at least",
        0.0,
    )


def version_check(live: str, learned: Collection[str]) -> Check:
    """Whether live features are of the data version that every model learned from.

    Parameters
    ----------
    learned
        Versions of all members whose version is known.
    """
    others = sorted(set(learned) - {live})
    return Check(
        BlockReason.DATA_VERSION_DIFFERS,
        f"other data versions than {live} that models learned from ({', '.join(others) or 'none'})",
        float(len(others)),
        "at most",
        0.0,
    )


def constant_check(
    live: npt.NDArray[np.int8], past: Sequence[npt.NDArray[np.int8]]
) -> tuple[Check, ...]:
    """Count features that stand still, in the live era and in past ones; nothing without those."""
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
    """Compare the live features with those of past eras; nothing where those are too few.

    Parameters
    ----------
    live : int8[n_rows, n_features]
    past : sequence of int8[n_rows, n_features]
        One an era, oldest first.
    """
    if len(past) < params.drift_eras:
        return ()
    measures = (
        (BlockReason.LIVE_CORRELATIONS_MOVED, "correlations", moved_correlations(live, past)),
        (BlockReason.LIVE_TOLD_APART, "classifier", told_apart(live, past)),
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


def likeness_check(predictions: Vector, champion: Vector, params: GateParams) -> Check:
    """Rank correlation of live predictions with those of the models submitted before."""
    one, other = percentile_rank(np.column_stack([predictions, champion])).T
    return Check(
        BlockReason.LIVE_UNLIKE_CHAMPION,
        "rank correlation with what the models submitted before predict",
        float(np.corrcoef(one, other)[0, 1]),
        "at least",
        params.min_champion_correlation,
    )


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
