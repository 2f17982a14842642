import numpy as np
import pytest
from benchmarks.simulated import OVERLAP, overlapping

from numerai_kedro.metrics.intervals import (
    degrees_of_freedom,
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
