"""Ranks keep ties, and ranks from the lookup table equal computed ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import ndtri
from scipy.stats import rankdata

from numerai_kedro.errors import PredictionError
from numerai_kedro.metrics.ranks import gaussian_rank, percentile_rank, rank_columns, tables

COLUMNS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=40),
    elements=st.integers(-3, 3).map(float),
)


@settings(deadline=None)
@given(columns=COLUMNS)
def test_ties_share_their_mean_rank(columns):
    expected = (rankdata(columns, axis=0) - 0.5) / len(columns)
    np.testing.assert_allclose(percentile_rank(columns), expected, atol=1e-15)
    np.testing.assert_allclose(gaussian_rank(columns), ndtri(expected), atol=1e-13)


@settings(deadline=None)
@given(columns=COLUMNS)
def test_sums_over_rows_need_no_order_of_rows(columns):
    ranked, table = rank_columns(columns), tables(len(columns)).gaussian
    vector = np.arange(len(columns), dtype=float)
    (products,) = ranked.dot(table, vector)
    whole = ranked.columns(table)
    np.testing.assert_allclose(products, vector @ whole, atol=1e-9)
    sums, squares = ranked.moments(table)
    np.testing.assert_allclose(sums, whole.sum(axis=0), atol=1e-9)
    np.testing.assert_allclose(squares, (whole**2).sum(axis=0), atol=1e-9)


def test_a_value_that_is_not_finite_is_refused():
    """Sorted, it would become the best of all."""
    for wrong in (np.nan, np.inf):
        columns = np.arange(10.0)[:, None]
        columns[3] = wrong
        with pytest.raises(PredictionError, match="column 0 holds 1 values that are not finite"):
            percentile_rank(columns)
