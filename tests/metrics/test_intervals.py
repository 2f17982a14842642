import numpy as np
import pytest
from benchmarks.simulated import OVERLAP, overlapping
from scipy import stats

from numerai_kedro.metrics.intervals import (
    degrees_of_freedom,
    implied_variance,
    mean_interval,
    narrower_interval,
    short,
    short_interval,
)


@pytest.mark.parametrize("n_eras", [87, 120, 400])
def test_intervals_of_overlapping_scores_cover_as_they_promise(n_eras):
    rng = np.random.default_rng(n_eras)
    n_histories = 2_000
    covered = 0
    for _ in range(n_histories):
        interval = mean_interval(overlapping(rng, n_eras, 1)[:, 0], OVERLAP)
        covered += interval.low <= 0 <= interval.high
    assert 0.93 <= covered / n_histories <= 0.97


def test_treating_eras_as_independent_would_cover_far_less():
    """Why the interval is needed: the naive one fails on the same histories."""
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(1000):
        scores = overlapping(rng, 120, 1)[:, 0]
        reach = 1.98 * scores.std(ddof=1) / np.sqrt(120)
        covered += abs(scores.mean()) <= reach
    assert covered / 1000 < 0.6


def test_too_few_eras_have_no_interval():
    interval = mean_interval(np.full(59, 0.02), overlap_eras=12)
    assert interval.low is None
    assert str(interval) == ".0200 [too few eras]"


def test_unresolved_eras_do_not_count():
    scores = np.r_[np.nan, np.linspace(0, 1, 60), np.nan]
    assert mean_interval(scores, overlap_eras=12).n_eras == 60


def test_degrees_of_freedom_follow_the_design():
    assert degrees_of_freedom(120, 12) == 3
    assert degrees_of_freedom(60, 12) == 2
    assert degrees_of_freedom(353, 12) == 10
    assert degrees_of_freedom(120, 4) == 10


def test_counts_and_zeros_are_written_as_they_are():
    assert [short(120.0), short(-1e-9), short(0.5), short(-0.0123), short(1.3)] == [
        "120",
        ".0000",
        ".5000",
        "-.0123",
        "1.3000",
    ]


def test_text_keeps_sign_and_four_decimals():
    rng = np.random.default_rng(0)
    text = str(mean_interval(np.full(100, -0.0123) + rng.normal(scale=1e-6, size=100), 4))
    assert text == "-.0123 [-.0123, -.0123]"


@pytest.mark.parametrize("n_eras", [36, 52, 72])
def test_intervals_of_few_eras_cover_as_they_promise(n_eras):
    rng = np.random.default_rng(n_eras)
    for share, least, most in ((1.0, 0.93, 0.98), (0.5, 0.98, 1.0)):
        drawn = np.sqrt(share) * overlapping(rng, n_eras, 1_000)
        drawn += np.sqrt(1 - share) * rng.normal(size=drawn.shape)
        intervals = [short_interval(scores, OVERLAP) for scores in drawn.T]
        assert least <= np.mean([bounds.low <= 0 <= bounds.high for bounds in intervals]) <= most


def test_the_narrower_of_two_intervals_seldom_leaves_a_mean_of_zero_out():
    drawn = overlapping(np.random.default_rng(0), 52, 1_000).T
    assert np.mean([narrower_interval(scores, OVERLAP).high < 0 for scores in drawn]) <= 0.05
    # Why there are two: what full overlap implies is too wide for independent eras.
    independent = np.random.default_rng(1).normal(-0.6, 1, size=(200, 93))
    shares = [
        np.mean([interval(scores, OVERLAP).high < 0 for scores in independent])
        for interval in (short_interval, narrower_interval)
    ]
    assert shares[0] < 0.6
    assert shares[1] > 0.9


def test_below_three_spans_there_is_no_interval_at_all():
    for interval in (short_interval, narrower_interval):
        assert interval(np.full(35, 0.02), 12).low is None
        assert np.isnan(interval(np.full(35, np.nan), 12).mean)


def test_an_interval_by_cosines_is_mean_and_t_times_the_error():
    scores = np.random.default_rng(0).normal(0.02, 0.03, size=60)
    times = (np.arange(60) + 0.5) / 60
    loadings = [np.sqrt(2 / 60) * np.cos(np.pi * k * times) @ scores for k in range(1, 6)]
    error = np.sqrt(np.mean(np.square(loadings)) / 60)
    for level, quantile in ((0.95, 0.975), (0.8, 0.9)):
        found = mean_interval(np.append(scores, np.nan), 4, level)
        reach = stats.t.ppf(quantile, 5) * error
        bounds = (scores.mean(), scores.mean() - reach, scores.mean() + reach)
        assert (found.mean, found.low, found.high) == pytest.approx(bounds)
        assert (found.n_eras, found.degrees_of_freedom) == (60, 5)
    assert mean_interval(scores, 4) == mean_interval(scores, 4, 0.95)


def test_the_implied_variance_is_that_of_a_mean_of_overlapping_eras():
    series = np.random.default_rng(0).normal(size=(9, 2))
    # Lags 1 to 3 share 3/4, 2/4 and 1/4, over 8, 7 and 6 pairs of 9 eras.
    of_mean = 1 + 2 * (3 / 4 * 8 + 2 / 4 * 7 + 1 / 4 * 6) / 9
    spread = series.var(axis=0) / (1 - of_mean / 9)
    variance, freedom = implied_variance(series, 4)
    np.testing.assert_allclose(variance, spread * of_mean)
    assert freedom == pytest.approx(9 / (1 + 2 * (9 + 4 + 1) / 16))
    few, _ = implied_variance(series[:3, 0], 4)
    of_mean = 1 + 2 * (3 / 4 * 2 + 2 / 4 * 1) / 3
    assert few == pytest.approx(series[:3, 0].var() / (1 - of_mean / 3) * of_mean)


def test_a_short_interval_uses_it_from_three_spans_on():
    scores = np.random.default_rng(0).normal(size=12)
    variance, freedom = implied_variance(scores, 4)
    reach = stats.t.ppf(0.95, freedom) * np.sqrt(variance / 12)
    found = short_interval(np.insert(scores, 2, np.nan), 4, 0.9)
    assert (found.low, found.high) == pytest.approx((scores.mean() - reach, scores.mean() + reach))
    assert (found.n_eras, found.degrees_of_freedom) == (12, round(freedom))
    none = short_interval(scores[:11], 4)
    assert (none.mean, none.low, none.n_eras) == (pytest.approx(scores[:11].mean()), None, 11)
    assert str(short_interval(np.full(3, np.nan), 4)) == "none [no era has it]"


def test_the_narrower_interval_is_one_of_the_two():
    for seed in range(6):
        scores = np.random.default_rng(seed).normal(size=60)
        both = [short_interval(scores, 12), mean_interval(scores, 12)]
        assert narrower_interval(scores, 12) == min(both, key=lambda found: found.high - found.low)


def test_large_integers_are_written_as_they_are_and_others_with_four_decimals():
    assert [short(10.0), short(9.0), short(-10.0), short(10.5), short(-0.5), short(1.0)] == [
        "10", "9.0000", "-10", "10.5000", "-.5000", "1.0000",
    ]  # fmt: skip
