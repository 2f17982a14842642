"""What a record would have been paid is judged by intervals written out."""

import numpy as np
import pytest

from numerai_kedro.gate.paid_checks import paid_checks
from numerai_kedro.metrics.intervals import narrower_interval
from numerai_kedro.metrics.payout import PayoutRule, forecast_burn
from numerai_kedro.reasons import BlockReason

RULE = PayoutRule(3.0, 15.0, clip=0.5)
OVERLAP = 4


def record(corr=0.02, mmc=0.004, n_eras=80):
    rng = np.random.default_rng(0)
    return tuple(mean + 0.01 * rng.normal(size=n_eras) for mean in (corr, mmc, 2 * mmc))


def checks_of(scores, newest=52, level=0.9):
    given = {"level": level, "newest_eras": newest, "max_burn_chance": 0.3}
    return paid_checks(*scores, RULE, OVERLAP, **given)


def test_payoff_mmc_newest_eras_and_burn_are_checked_in_this_order():
    corr, mmc, bmc = record()
    returns = np.clip(3 * corr + 15 * mmc, -0.5, 0.5)
    series = (returns, mmc, returns[-52:])
    intervals = [narrower_interval(each, OVERLAP, 0.9) for each in series]
    payoff, of_mmc, newest, burn = checks_of((corr, mmc, bmc))
    assert [check.reason for check in (payoff, of_mmc, newest, burn)] == [
        BlockReason.PAYOFF_BELOW_ZERO,
        BlockReason.MMC_BELOW_ZERO,
        BlockReason.NEWEST_YEAR_BELOW_ZERO,
        BlockReason.BURN_LIKELY,
    ]
    values = [check.value for check in (payoff, of_mmc, newest)]
    assert values == pytest.approx([interval.high for interval in intervals])
    assert payoff.label == f"upper end of mean payoff ({intervals[0]}, 90%, 80 eras)"
    assert newest.label == (
        f"upper end of mean payoff of the newest 52 eras ({intervals[2]}, 90%, 52 eras)"
    )
    assert {(check.side, check.threshold) for check in (payoff, of_mmc, newest)} == {
        ("at least", 0.0)
    }
    forecast = forecast_burn(returns, OVERLAP)
    assert burn.value == pytest.approx(forecast.probability_of_burn)
    assert (burn.side, burn.threshold) == ("at most", 0.3)
    assert burn.label.startswith("chance that the next 12 weeks lose (mean payoff ")


def test_a_mean_below_zero_within_its_interval_warns_and_beyond_it_blocks():
    lightly = checks_of(record(corr=-0.001, mmc=-0.0002))
    assert lightly[0].reason is BlockReason.PAYOFF_NOT_POSITIVE
    assert lightly[0].value < 0
    assert lightly[0].label.startswith("mean payoff (")
    assert not lightly[0].passed
    surely = checks_of(record(corr=-0.02, mmc=-0.01))
    assert surely[0].reason is BlockReason.PAYOFF_BELOW_ZERO
    assert surely[1].reason is BlockReason.MMC_BELOW_ZERO
    assert surely[0].value < 0
    assert not surely[0].passed


def test_where_the_meta_model_reaches_back_too_little_bmc_is_paid():
    corr, mmc, bmc = record()
    mmc[:-11] = np.nan
    reasons = [check.reason for check in checks_of((corr, mmc, bmc))]
    assert BlockReason.MMC_BELOW_ZERO not in reasons
    payoff = checks_of((corr, mmc, bmc))[0]
    returns = np.clip(3 * corr + 15 * bmc, -0.5, 0.5)
    assert payoff.value == pytest.approx(narrower_interval(returns, OVERLAP, 0.9).high)


def test_too_few_eras_have_no_check():
    assert checks_of(record(n_eras=11), newest=5) == ()
    reasons = [check.reason for check in checks_of(record(n_eras=59))]
    assert BlockReason.BURN_LIKELY not in reasons
    assert len(reasons) == 3
