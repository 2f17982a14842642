import numpy as np
import pytest

from numerai_kedro.metrics.performance import drawdown_by_era, max_drawdown, sharpe


def test_drawdown_counts_from_the_start_too():
    assert max_drawdown(np.array([-0.1, 0.05])) == pytest.approx(0.1)


def test_drawdown_is_the_deepest_fall_from_a_peak():
    scores = np.array([0.10, -0.04, -0.02, 0.08, -0.01])
    assert max_drawdown(scores) == pytest.approx(0.06)
    np.testing.assert_allclose(drawdown_by_era(scores), [0, 0.04, 0.06, 0, 0.01], atol=1e-15)


def test_sharpe_is_per_era():
    scores = np.array([0.01, 0.02, 0.03, np.nan])
    assert sharpe(scores) == pytest.approx(2.0)


def test_constant_scores_have_no_sharpe():
    assert np.isnan(sharpe(np.full(5, 0.02)))
