"""Tests of effects over eras hold their size where targets overlap, and find what is planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from numerai_kedro.features.invariance import (
    MIN_TARGETS,
    Regimes,
    by_known_eras,
    flips,
    heterogeneity,
    mean_test,
    n_cosines,
    partial_conjunction,
    q_values,
    regime_test,
)
from numerai_kedro.metrics.intervals import cosine_powers

OVERLAP = 12


def overlapping(n_eras, n_series, seed=0):
    """Noise of variance 1 whose neighbours share eleven twelfths, as 60-day targets do."""
    noise = np.random.default_rng(seed).normal(size=(n_eras + OVERLAP - 1, n_series))
    sums = np.cumsum(np.vstack([np.zeros(n_series), noise]), axis=0)
    return (sums[OVERLAP:] - sums[:-OVERLAP]) / np.sqrt(OVERLAP)


def test_the_mean_test_holds_its_size_where_the_naive_one_does_not():
    tested = mean_test(overlapping(574, 4000), OVERLAP)
    assert np.mean(tested.p < 0.05) == pytest.approx(0.05, abs=0.012)
    assert np.mean(tested.p < 1e-3) < 0.003
    assert np.mean(tested.naive_p < 0.05) == pytest.approx(0.576, abs=0.03)


def test_independent_eras_are_tested_at_the_level():
    tested = mean_test(np.random.default_rng(1).normal(size=(1040, 4000)), 1)
    assert np.mean(tested.p < 0.05) == pytest.approx(0.05, abs=0.011)
    np.testing.assert_allclose(
        tested.naive_p[:5],
        stats.ttest_1samp(np.random.default_rng(1).normal(size=(1040, 4000))[:, :5], 0).pvalue,
    )


def test_the_papers_rule_for_cosines_but_none_shorter_than_targets():
    assert [n_cosines(n, 4) for n in (574, 1180)] == [27, 44]
    assert [n_cosines(n, 12) for n in (36, 574)] == [2, 16]


def test_eras_that_are_not_known_are_as_if_they_were_not_there():
    effects = overlapping(300, 6)
    holes = effects.copy()
    holes[:100, 2:4] = np.nan
    holes[::3, 4] = np.nan
    tested, late = (mean_test(sample, OVERLAP) for sample in (holes, effects[100:, 2:4]))
    np.testing.assert_allclose(tested.t[2:4], late.t)
    np.testing.assert_allclose(tested.t[:2], mean_test(effects, OVERLAP).t[:2])
    assert tested.n_eras.tolist() == [300, 300, 200, 200, 200, 300]


@pytest.mark.parametrize("series", [np.full(100, 0.3), np.full(100, np.nan), np.zeros(100)])
def test_what_does_not_vary_or_is_not_there_has_no_p(series):
    effects = np.column_stack([series, overlapping(100, 1)[:, 0]])
    tested = mean_test(effects, OVERLAP)
    assert np.isnan(tested.p[0])
    assert not np.isnan(tested.p[1])
    regimes = regime_test(effects, Regimes.of(100, 3, 4), OVERLAP)
    assert np.isnan(regimes.t[:, 0]).all()
    assert partial_conjunction(2, regimes)[0] == 1
    assert np.isnan(heterogeneity(regimes)[0])


def test_too_few_eras_have_no_p():
    assert np.isnan(mean_test(overlapping(59, 3), OVERLAP).p).all()
    n_eras = 3 * MIN_TARGETS * OVERLAP
    short = regime_test(overlapping(n_eras, 3), Regimes.of(n_eras, 3, 4), OVERLAP)
    assert short.known.tolist() == [1, 1, 1]  # the gap leaves the others too short


def test_regimes_share_no_target():
    regimes = Regimes.of(100, 3, 16)
    assert [(part.start, part.stop) for part in regimes] == [(0, 33), (49, 67), (83, 100)]


REGIMES = Regimes.of(1040, 3, 16)


def planted(signs, size, n_series=400, seed=2):
    effects = overlapping(1040, n_series, seed)
    for sign, part in zip(signs, REGIMES, strict=True):
        effects[part] += sign * size
    return regime_test(effects, REGIMES, OVERLAP)


def test_an_effect_of_one_regime_is_not_replicated():
    tested = planted((1, 0, 0), 5)
    assert np.mean(partial_conjunction(2, tested) < 0.05) < 0.08
    assert np.mean(partial_conjunction(1, tested) < 1e-6) == 1


def test_an_effect_that_flips_is_not_replicated_and_is_heterogeneous():
    tested = planted((1, -1, 0), 5)
    assert np.mean(partial_conjunction(2, tested) < 0.05) < 0.08
    assert np.mean(heterogeneity(tested) < 1e-3) == 1
    assert flips(tested).all()


def test_an_effect_of_all_regimes_is_found_with_its_sign_and_is_homogeneous():
    tested = planted((-1, -1, -1), 1)
    assert np.mean(partial_conjunction(2, tested) < 1e-3) > 0.95
    assert np.mean(heterogeneity(tested) < 0.05) == pytest.approx(0.05, abs=0.04)
    assert not flips(tested).any()
    two = planted((1, 0, 1), 1.5)
    assert np.mean(partial_conjunction(2, two) < 1e-3) > 0.9


@pytest.mark.parametrize("n_eras", [251, 387, 574])
def test_sizes_hold_on_short_windows_too_and_in_the_tail(n_eras):
    """One regime of three has an effect: the null of two that is nearest to being false."""
    effects = overlapping(n_eras, 10_000, seed=n_eras)
    regimes = Regimes.of(n_eras, 3, 16)
    tested = regime_test(effects, regimes, OVERLAP)
    changed = effects.copy()
    changed[next(iter(regimes))] += 50
    replicated = partial_conjunction(2, regime_test(changed, regimes, OVERLAP))
    for level in (0.05, 0.01, 0.001):
        most = level + 3 * np.sqrt(level / 10_000)
        assert np.mean(heterogeneity(tested) < level) < 1.25 * most
        assert np.mean(replicated < level) < 1.25 * most
        assert np.mean(mean_test(effects, OVERLAP).p < level) < 1.25 * most


def test_regimes_of_three_targets_are_too_short():
    """They would call noise heterogeneous in .09 of all cases at .05."""
    assert regime_test(overlapping(157, 2), Regimes.of(157, 3, 16), OVERLAP).known.tolist() == [
        1,
        1,
    ]


def test_heterogeneity_is_the_f_of_weighted_means():
    tested = planted((1, 0, 0.5), 0.3, n_series=2)
    weights = 1 / tested.variances
    centre = np.average(tested.means, axis=0, weights=weights)
    q = (weights * (tested.means - centre) ** 2).sum(axis=0)
    np.testing.assert_allclose(heterogeneity(tested), stats.f.sf(q / 2, 2, tested.dof))


def test_two_tests_of_a_series_must_agree_in_sign():
    up = planted((1, 1, 1), 2)
    assert np.median(partial_conjunction(2, up)) < 1e-3
    sure, turned = (mean_test(overlapping(600, 400) + 2 * sign, OVERLAP) for sign in (1, -1))
    assert (partial_conjunction(2, up, turned) > 0.5).all()
    assert np.median(partial_conjunction(2, up, sure)) < 1e-3
    # Of both the larger p counts: a mean that is not sure makes nothing sure.
    unsure = mean_test(overlapping(600, 400), OVERLAP)
    together = partial_conjunction(2, up, unsure)
    np.testing.assert_array_less(np.minimum(1, unsure.p) - 1e-12, together)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.integers(100, 300))
def test_scale_changes_nothing_and_sign_turns_with_the_effects(seed, scale, n_eras):
    effects = overlapping(n_eras, 3, seed) + 0.1
    regimes = Regimes.of(n_eras, 3, 4)
    for ours, theirs in (
        (mean_test(scale * effects, 4).t, mean_test(effects, 4).t),
        (-mean_test(-effects, 4).t, mean_test(effects, 4).t),
        (regime_test(scale * effects, regimes, 4).t, regime_test(effects, regimes, 4).t),
        (
            partial_conjunction(2, regime_test(-effects, regimes, 4)),
            partial_conjunction(2, regime_test(effects, regimes, 4)),
        ),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_q_values_leave_out_what_has_no_p():
    p = np.array([0.001, np.nan, 0.02, 0.5])
    np.testing.assert_allclose(q_values(p), [0.003, np.nan, 0.03, 0.5])
    harmonic = 1 + 1 / 2 + 1 / 3
    np.testing.assert_allclose(q_values(p, True)[:1], [0.003 * harmonic])
    assert np.isnan(q_values(np.array([np.nan]))).all()


def test_a_mean_is_tested_by_its_long_run_variance_with_as_many_degrees_as_cosines():
    series = overlapping(100, 2)
    dof = n_cosines(100, 4)
    variance = cosine_powers(series, dof).mean(axis=0) / 100
    tested = mean_test(series, 4)
    expected = series.mean(axis=0) / np.sqrt(variance)
    np.testing.assert_allclose(tested.mean, series.mean(axis=0))
    np.testing.assert_allclose(tested.t, expected)
    np.testing.assert_allclose(tested.p, 2 * stats.t.sf(np.abs(expected), dof))
    naive = stats.ttest_1samp(series, 0).pvalue
    np.testing.assert_allclose(tested.naive_p, naive)
    for sign in (1, -1):
        np.testing.assert_allclose(tested.p_of(sign), stats.t.sf(sign * expected, dof))


def test_means_are_known_of_few_eras_and_tests_of_sixty():
    few = mean_test(np.array([[0.1], [0.3], [np.nan]]), 4)
    assert (few.mean[0], few.n_eras[0]) == (pytest.approx(0.2), 2)
    assert few.p_of(1)[0] == few.p_of(-1)[0] == 1
    assert not np.isnan(mean_test(overlapping(60, 1), 4).p[0])
    assert np.isnan(mean_test(np.full((3, 1), np.nan), 4).mean[0])


def test_regimes_have_their_means_and_one_variance_of_all():
    effects = overlapping(150, 2)
    regimes = Regimes.of(150, 3, 4)
    parts = [effects[0:50], effects[54:100], effects[104:150]]
    assert [(part.start, part.stop) for part in regimes] == [(0, 50), (54, 100), (104, 150)]
    counts = [n_cosines(len(part), 4) for part in parts]
    powers = sum(cosine_powers(part, n).sum(axis=0) for part, n in zip(parts, counts, strict=True))
    tested = regime_test(effects, regimes, 4)
    np.testing.assert_allclose(tested.means, [part.mean(axis=0) for part in parts])
    expected = [powers / sum(counts) / len(part) for part in parts]
    np.testing.assert_allclose(tested.variances, expected)
    assert tested.dof.tolist() == [sum(counts)] * 2
    t = tested.means / np.sqrt(expected)
    np.testing.assert_allclose(tested.p(-1), stats.t.cdf(t, sum(counts)))


@pytest.mark.parametrize("least", [1, 2, 3])
def test_a_conjunction_is_fishers_of_all_but_the_smallest(least):
    tested = regime_test(overlapping(150, 5) + 0.3, Regimes.of(150, 3, 4), 4)
    by_sign = []
    for sign in (1, -1):
        p = np.sort(stats.t.sf(sign * tested.t, tested.dof), axis=0)[least - 1 :]
        by_sign.append([stats.combine_pvalues(column).pvalue for column in p.T])
    expected = np.minimum(1, 2 * np.min(by_sign, axis=0))
    np.testing.assert_allclose(partial_conjunction(least, tested), expected)


def test_regimes_of_four_targets_are_long_enough():
    exact = regime_test(overlapping(48, 1), Regimes.of(48, 1, 4), OVERLAP)
    assert exact.known.tolist() == [1]
    assert np.isnan(heterogeneity(exact)[0])
    assert regime_test(overlapping(47, 1), Regimes.of(47, 1, 4), OVERLAP).known.tolist() == [0]


def test_series_are_grouped_by_the_eras_in_which_they_are_known():
    effects = np.array([[1.0, np.nan, 1], [2, 2, 2], [np.nan, np.nan, np.nan], [3, 3, 3]])
    groups = {tuple(columns): eras.tolist() for eras, columns in by_known_eras(effects)}
    assert groups == {(0, 2): [0, 1, 3], (1,): [1, 3]}
