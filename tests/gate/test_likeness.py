"""Rank correlations by era agree with pandas, and say nothing where there is nothing."""

import numpy as np
import pandas as pd
import pytest

from numerai_kedro.gate.likeness import likeness_of_eras, rank_correlation

STARTS = np.array([0, 100, 150, 300])


def test_each_era_has_spearmans_correlation_with_ties():
    rng = np.random.default_rng(0)
    ours = rng.integers(0, 8, size=300).astype(float)
    theirs = ours + 3 * rng.normal(size=300)
    correlations = likeness_of_eras(ours, theirs, STARTS)
    frame = pd.DataFrame({"a": ours, "b": theirs})
    parts = [frame[a:b].corr("spearman").iloc[0, 1] for a, b in zip(STARTS, STARTS[1:])]  # noqa: B905, RUF007
    assert correlations == pytest.approx(parts, abs=1e-12)


def test_an_era_without_reference_has_none_and_missing_rows_are_left_out():
    rng = np.random.default_rng(0)
    ours = rng.normal(size=300)
    theirs = ours.copy()
    theirs[100:150] = np.nan
    theirs[:30] = np.nan
    correlations = likeness_of_eras(ours, theirs, STARTS)
    assert np.isnan(correlations).tolist() == [False, True, False]
    assert correlations[[0, 2]] == pytest.approx(1.0)


def test_predictions_that_are_all_equal_are_like_nothing():
    assert np.isnan(rank_correlation(np.ones(50), np.arange(50.0)))
