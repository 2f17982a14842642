import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.demo.names import target_names
from numerai_kedro.demo.targets import (
    all_targets,
    draw_gaps,
    neutral_returns,
    style_basis,
    target_after,
)

N, N_STYLES = 400, 12


@pytest.fixture
def era():
    rng = np.random.default_rng(0)
    returns = rng.standard_normal((N, 12), dtype=np.float32)
    own = rng.standard_normal((20, N, 12), dtype=np.float32)
    styles = rng.standard_normal((N, N_STYLES), dtype=np.float32)
    return returns, own, styles


def column(targets, name):
    return targets[:, target_names().index(name)]


def test_neutral_returns_are_the_residuals_of_least_squares(era):
    returns, _, styles = era
    design = np.column_stack([np.ones(N), styles])
    slopes = np.linalg.lstsq(design, returns, rcond=None)[0]
    np.testing.assert_allclose(
        neutral_returns(returns, style_basis(styles)), returns - design @ slopes, atol=1e-5
    )


@pytest.mark.parametrize("days", [20, 60])
def test_on_its_last_day_a_target_is_the_ender_target(era, days):
    returns, own, styles = era
    basis = style_basis(styles)
    targets = all_targets(returns, own, basis, None)
    now = target_after(neutral_returns(returns, basis), days)
    np.testing.assert_array_equal(now, column(targets, f"target_ender_{days}"))


@given(days=st.integers(1, 59))
def test_a_target_moves_towards_its_end_day_by_day(days):
    weekly = np.zeros((100, 12), dtype=np.float32)
    week = (days - 1) // 5
    weekly[:50, week], weekly[50:, 11] = np.linspace(1, 2, 50), 100
    early = target_after(weekly, days)
    # The second half has earned nothing before its last week, whatever it earns then.
    if days <= 55:
        assert early[:50].min() >= early[50:].max()


def test_inside_a_week_returns_are_linear():
    weekly = np.zeros((100, 12), dtype=np.float32)
    weekly[:, 0] = np.arange(100)
    weekly[:, 1] = -3 * np.arange(100)
    np.testing.assert_array_equal(target_after(weekly, 6), target_after(weekly, 5))
    np.testing.assert_array_equal(target_after(weekly, 7), target_after(weekly, 10))
    np.testing.assert_array_equal(target_after(weekly, 7)[::-1], target_after(weekly, 5))


@pytest.mark.parametrize("days", [0, 61, -5])
def test_a_day_outside_the_target_is_refused(days):
    with pytest.raises(ValueError, match="outside 1 to 60"):
        target_after(np.zeros((100, 12), dtype=np.float32), days)


def test_the_alias_is_the_paid_target(era):
    returns, own, styles = era
    targets = all_targets(returns, own, style_basis(styles), None)
    np.testing.assert_array_equal(column(targets, "target"), column(targets, "target_ender_60"))


def test_targets_of_a_horizon_correlate_as_real_ones_and_none_is_a_copy(era):
    returns, own, styles = era
    targets = all_targets(returns, own, style_basis(styles), None)
    of_60 = [k for k, name in enumerate(target_names()) if name.endswith("_60")]
    between = np.corrcoef(targets[:, of_60].T)[np.triu_indices(20, 1)]
    assert between.min() > 0.4
    assert between.max() < 0.95
    ender = np.corrcoef(column(targets, "target_ender_20"), column(targets, "target_ender_60"))
    assert 0.35 < ender[0, 1] < 0.65  # .46 on real data


def test_gaps_touch_auxiliary_targets_only(era):
    returns, own, styles = era
    basis = style_basis(styles)
    gaps = draw_gaps(N, np.random.default_rng(0))
    missing = np.isnan(all_targets(returns, own, basis, gaps)).mean(axis=0)
    assert missing[target_names().index("target_ender_60")] == 0
    assert missing[target_names().index("target")] == 0
    assert (missing > 0).sum() == 16  # eight names, two horizons
    assert missing.max() < 0.1
