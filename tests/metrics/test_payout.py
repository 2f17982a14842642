"""What rounds pay, and forecasts that keep their level."""

import numpy as np
import pytest
from benchmarks.simulated import OVERLAP, overlapping
from scipy import stats

from numerai_kedro.metrics.intervals import long_run_variance
from numerai_kedro.metrics.payout import (
    BurnForecast,
    PayoutRule,
    contribution,
    forecast_burn,
    growth,
)


def test_a_round_pays_its_multipliers_within_the_clip():
    rule = PayoutRule(corr=3.0, mmc=15.0, clip=0.5, factor=0.5)
    paid = rule.returns(np.array([0.02, 0.1, -0.1, np.nan]), np.array([0.01, 0.1, -0.1, 0.0]))
    np.testing.assert_allclose(paid, [0.5 * 0.21, 0.5, -0.5, np.nan])


def test_a_stake_grows_by_its_share_of_overlapping_rounds():
    grown = growth(np.array([0.64, np.nan, -0.64]))
    np.testing.assert_allclose(grown, [1.05, 1.05, 1.05 * 0.95])


@pytest.mark.parametrize("share", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("n_eras", [87, 120, 400])
@pytest.mark.parametrize("overlap", [4, OVERLAP])
def test_forecasts_hold_their_level(n_eras, share, overlap):
    """Forecasts of twelve live weeks, by a record that ends with the last resolved era.

    Predictions that change from week to week share less of what overlapping targets allow.
    """
    rng = np.random.default_rng(n_eras)
    n_series, live = 1_000, n_eras + OVERLAP
    drawn = np.sqrt(share) * overlapping(rng, live + 12, n_series, overlap)
    drawn += np.sqrt(1 - share) * rng.normal(size=drawn.shape)
    forecasts = [forecast_burn(history[:n_eras], overlap).interval() for history in drawn.T]
    low, high = np.transpose(forecasts)
    came = drawn[live:].mean(axis=0)
    assert 0.93 <= np.mean((low <= came) & (came <= high)) <= 0.97


def test_a_forecast_of_unlike_weeks_is_narrower():
    """A mean over uncorrelated weeks varies less, which the record shows."""
    rng = np.random.default_rng(0)
    alike, unlike = overlapping(rng, 200, 1)[:, 0], rng.normal(size=200)
    assert forecast_burn(unlike, OVERLAP).scale < 0.7 * forecast_burn(alike, OVERLAP).scale


def test_the_probability_of_a_burn_falls_with_the_mean():
    series = overlapping(np.random.default_rng(0), 200, 1)[:, 0]
    chances = [
        forecast_burn(series - series.mean() + mean, OVERLAP).probability_of_burn
        for mean in (-1.0, 0.0, 1.0)
    ]
    assert chances == sorted(chances, reverse=True)
    assert chances[1] == pytest.approx(0.5)
    assert forecast_burn(series[:59], OVERLAP) is None


def test_payouts_are_never_made_of_two_scores():
    mmc, bmc = np.full(100, np.nan), np.zeros(100)
    mmc[-40:] = 0.01
    np.testing.assert_array_equal(contribution(mmc, bmc, OVERLAP), mmc)
    np.testing.assert_array_equal(contribution(mmc[:80], bmc[:80], OVERLAP), bmc[:80])


@pytest.mark.parametrize(("overlap", "weeks", "n_cosines"), [(12, 12, 2), (4, 12, 5), (4, 3, 5)])
def test_a_forecast_adds_the_windows_variance_and_that_of_the_mean(overlap, weeks, n_cosines):
    returns = np.random.default_rng(0).normal(0.01, 0.05, size=60)
    of_mean = long_run_variance(returns, n_cosines) / 60
    sums = [returns[k : k + weeks].mean() - returns.mean() for k in range(60 - weeks + 1)]
    of_window = (np.mean(np.square(sums)) + of_mean) * (1 + weeks / 60)
    found = forecast_burn(np.append(returns, np.nan), overlap, weeks)
    n_windows = 60 / max(overlap, weeks)
    scale = np.sqrt(of_window + of_mean)
    freedom = scale**4 / (of_window**2 / n_windows + of_mean**2 / n_cosines)
    assert found.mean == pytest.approx(returns.mean())
    assert found.scale == pytest.approx(scale)
    assert found.degrees_of_freedom == pytest.approx(freedom)
    assert (found.n_windows, found.weeks) == (n_windows, weeks)


def test_a_forecast_is_a_t_distribution():
    forecast = BurnForecast(0.02, 0.01, 4.0, 5.0, 12)
    low, high = forecast.interval()
    reach = 0.01 * stats.t.ppf(0.975, 4)
    assert (low, high) == pytest.approx((0.02 - reach, 0.02 + reach))
    assert forecast.interval(0.8)[0] == pytest.approx(0.02 - 0.01 * stats.t.ppf(0.9, 4))
    assert forecast.probability_of_burn == pytest.approx(stats.t.cdf(-2, 4))
    assert forecast.quantile(0.1) == pytest.approx(0.02 + 0.01 * stats.t.ppf(0.1, 4))
    assert forecast.density(np.array([0.03]))[0] == pytest.approx(100 * stats.t.pdf(1, 4))


def test_a_forecast_needs_sixty_eras_and_three_spans():
    returns = np.random.default_rng(0).normal(size=75)
    assert forecast_burn(returns[:60], 20) is not None
    assert forecast_burn(returns[:59], 4) is None
    assert forecast_burn(returns[:62], 21) is None
    assert forecast_burn(returns[:63], 21) is not None


def test_mmc_counts_from_three_spans_on():
    mmc, bmc = np.full(40, np.nan), np.zeros(40)
    mmc[-12:] = 0.01
    assert contribution(mmc, bmc, 4) is mmc
    mmc[-12] = np.nan
    assert contribution(mmc, bmc, 4) is bmc


def test_by_default_nothing_is_clipped_below_the_stake_and_all_is_paid():
    paid = PayoutRule(corr=1.0, mmc=2.0).returns(np.array([0.3, 0.5]), np.array([0.3, 0.5]))
    np.testing.assert_allclose(paid, [0.9, 1.0])
