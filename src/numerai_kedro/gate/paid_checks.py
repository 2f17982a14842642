"""Checks of what a round pays: payoff, MMC, the newest year, and whether the next weeks burn."""

from __future__ import annotations

from numerai_kedro.gate.decision import Check
from numerai_kedro.metrics.intervals import Interval, narrower_interval
from numerai_kedro.metrics.payout import PayoutRule, contribution, forecast_burn
from numerai_kedro.metrics.ranks import Vector
from numerai_kedro.reasons import BlockReason


def paid_checks(
    corr: Vector,
    mmc: Vector,
    bmc: Vector,
    rule: PayoutRule,
    overlap_eras: int,
    *,
    level: float,
    newest_eras: int,
    max_burn_chance: float,
) -> tuple[Check, ...]:
    """Check what a record would have been paid; no check with too few eras.

    Parameters
    ----------
    corr, mmc, bmc : float64[n_eras]
        In time order; NaN where there is none. If the meta model does not reach back far enough,
        BMC stands in for MMC in the payoff.
    level
        Two-sided level of the intervals.
    newest_eras
        How many of the newest eras are checked separately.
    max_burn_chance
        Highest chance that the next weeks lose more than they earn.
    """
    returns = rule.returns(corr, contribution(mmc, bmc, overlap_eras))
    newest = returns[-newest_eras:]
    periods = (
        ("payoff", returns, BlockReason.PAYOFF_BELOW_ZERO, BlockReason.PAYOFF_NOT_POSITIVE),
        ("MMC", mmc, BlockReason.MMC_BELOW_ZERO, BlockReason.MMC_NOT_POSITIVE),
        (
            f"payoff of the newest {newest_eras} eras",
            newest,
            BlockReason.NEWEST_YEAR_BELOW_ZERO,
            BlockReason.NEWEST_YEAR_NOT_POSITIVE,
        ),
    )
    checks = []
    for name, series, blocks, warns in periods:
        interval = narrower_interval(series, overlap_eras, level)
        checks += _above_zero(name, interval, level, blocks, warns)
    return (*checks, *_burn_check(returns, overlap_eras, max_burn_chance))


def _above_zero(
    name: str, interval: Interval, level: float, blocks: BlockReason, warns: BlockReason
) -> list[Check]:
    """Block if even the upper end is below zero, warn if only the mean is."""
    if interval.high is None:
        return []
    evidence = f"{interval}, {level:.0%}, {interval.n_eras} eras"
    if interval.mean < 0 <= interval.high:
        return [Check(warns, f"mean {name} ({evidence})", interval.mean, "at least", 0.0)]
    return [Check(blocks, f"upper end of mean {name} ({evidence})", interval.high, "at least", 0.0)]


def _burn_check(returns: Vector, overlap_eras: int, max_burn_chance: float) -> list[Check]:
    forecast = forecast_burn(returns, overlap_eras)
    if forecast is None:
        return []
    mean = Interval(forecast.mean, *forecast.interval(), len(returns), None)
    label = f"chance that the next {forecast.weeks} weeks lose (mean payoff {mean})"
    chance = forecast.probability_of_burn
    return [Check(BlockReason.BURN_LIKELY, label, chance, "at most", max_burn_chance)]
