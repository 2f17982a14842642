import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from numerai_kedro.demo.binning import quintiles, share_bins
from numerai_kedro.demo.targets import FIVE_BINS, SEVEN_BINS


@given(n=st.integers(5, 700), seed=st.integers(0, 2**32 - 1))
def test_quintiles_are_floor_of_five_times_rank_over_n(n, seed):
    scores = np.random.default_rng(seed).standard_normal((3, n), dtype=np.float32)
    slow = np.floor(5 * (rankdata(scores, method="ordinal", axis=1) - 1) / n)
    np.testing.assert_array_equal(quintiles(scores), slow)


@given(n=st.integers(5, 300), levels=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_quintile_counts_stay_exact_where_scores_are_tied(n, levels, seed):
    scores = np.random.default_rng(seed).integers(0, levels, (2, n)).astype(np.float32)
    exact = np.bincount((5 * np.arange(n)) // n, minlength=5)
    for row in quintiles(scores):
        np.testing.assert_array_equal(np.bincount(row, minlength=5), exact)


@pytest.mark.parametrize("shares", [FIVE_BINS, SEVEN_BINS])
@given(n=st.integers(20, 2_000), seed=st.integers(0, 2**32 - 1))
def test_the_targets_histogram_is_exact_up_to_rounding(shares, n, seed):
    values = np.random.default_rng(seed).standard_normal((2, n))
    levels = np.linspace(0, 1, len(shares), dtype=np.float32)
    for row, value in zip(share_bins(values, shares), values, strict=True):
        counts = (row[:, None] == levels).sum(axis=0)
        assert counts.sum() == n
        assert np.abs(counts - np.array(shares) * n).max() <= 1
        assert (np.diff(row[np.argsort(value)]) >= 0).all()


def test_a_target_of_a_round_number_of_stocks_has_5_20_50_20_5_percent():
    values = share_bins(np.random.default_rng(0).standard_normal(2_000), FIVE_BINS)
    np.testing.assert_array_equal(
        np.unique(values, return_counts=True)[1], [100, 400, 1000, 400, 100]
    )
