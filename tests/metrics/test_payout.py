"""What rounds pay, and forecasts that keep their level."""

import numpy as np
import pytest
from benchmarks.simulated import OVERLAP, overlapping

from numerai_kedro.metrics.payout import PayoutRule, contribution, forecast_burn, growth


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
