"""What the gate asks of a slot's predictions: of their record, and of the live ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from numerai_kedro.statistics.gate import Check
from numerai_kedro.statistics.intervals import mean_interval
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
            "too_few_eras",
            "number of judged eras",
            float(interval.n_eras),
            "at least",
            float(params.min_judged_eras),
        ),
        Check(
            "corr_not_above_zero",
            f"CORR's one-sided {level} lower bound",
            bound,
            "above",
            params.min_corr_bound,
        ),
        Check(
            "corr_below_benchmark",
            "CORR",
            interval.mean,
            "at least",
            params.min_corr_of_benchmark * float(np.nanmean(benchmark_corr)),
        ),
        Check(
            "sharpe_below_benchmark",
            "Sharpe per era",
            sharpe(corr),
            "at least",
            params.min_sharpe_of_benchmark * sharpe(benchmark_corr),
        ),
        Check(
            "drawdown_too_deep",
            "maximum drawdown of CORR",
            max_drawdown(corr),
            "at most",
            params.max_drawdown_of_benchmark * max_drawdown(benchmark_corr),
        ),
        Check(
            "exposure_too_high",
            "mean maximum feature exposure",
            float(np.nanmean(ours["max_exposure"])),
            "at most",
            params.max_exposure_of_benchmark * float(np.nanmean(benchmark["max_exposure"])),
        ),
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
            "live_constant",
            "standard deviation of live ranks",
            float(ranks.std()),
            "at least",
            params.min_live_deviation,
        ),
        Check(
            "live_ties",
            "share of distinct live predictions",
            len(np.unique(predictions)) / len(predictions),
            "at least",
            params.min_distinct_share,
        ),
        Check(
            "live_exposure_too_high",
            "maximum live feature exposure",
            exposure,
            "at most",
            params.max_live_exposure,
        ),
    )
