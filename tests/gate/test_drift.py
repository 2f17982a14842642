"""Measures of the live era have the values that they have by hand."""

import numpy as np
import pytest
from scipy import stats

from numerai_kedro.gate.drift import (
    Drift,
    adversarial_auc,
    constant_features,
    features_shown,
    moved_correlations,
)


def rows(seed, n=100, n_features=3):
    return np.random.default_rng(seed).integers(0, 5, (n, n_features)).astype(np.int8)


def test_deviations_are_counted_from_the_mean_in_sample_spreads():
    assert Drift(7.0, (1.0, 3.0, 5.0)).deviations == pytest.approx(2.0)
    assert Drift(7.0, (3.0, 3.0, 3.0), 0.5).deviations == pytest.approx(8.0)
    assert Drift(1.0, (1.0, 3.0, 5.0), 4.0).deviations == pytest.approx(-0.5)


def test_at_most_two_hundred_features_are_looked_at_evenly_spaced():
    assert features_shown(5).tolist() == [0, 1, 2, 3, 4]
    shown = features_shown(2_000)
    assert (len(shown), shown[0], shown[-1]) == (200, 0, 1_999)
    assert set(np.diff(shown)) == {10, 11}


def test_features_of_one_value_are_counted_era_by_era():
    live, one, none = rows(0), rows(1), rows(2)
    live[:, :2] = 3
    one[:, 2] = 0
    drift = constant_features(live, [one, none])
    assert (drift.value, drift.past, drift.smallest_spread) == (2.0, (1.0, 0.0), 0.0)


def test_correlations_are_compared_with_the_mean_of_the_others():
    eras = [rows(k) for k in range(4)]
    live, *past = eras
    matrices = [np.corrcoef(each.T) for each in eras]

    def distance(k, others):
        mean = np.mean([matrices[other] for other in others], axis=0)
        return np.sqrt(((matrices[k] - mean) ** 2).mean())

    drift = moved_correlations(live, past)
    assert drift.value == pytest.approx(distance(0, (1, 2, 3)))
    expected = [distance(1, (2, 3)), distance(2, (1, 3)), distance(3, (1, 2))]
    assert drift.past == pytest.approx(expected)
    assert drift.smallest_spread == 0.002


def test_a_constant_feature_has_no_correlation_and_no_warning():
    live = rows(0)
    live[:, 1] = 2
    past = [rows(1), rows(2)]
    ours = np.corrcoef(live[:, [0, 2]].T)[0, 1]
    theirs = np.mean([np.corrcoef(each.T) for each in past], axis=0)
    expected = np.array([[1, 0, ours], [0, 0, 0], [ours, 0, 1]])
    assert moved_correlations(live, past).value == pytest.approx(
        np.sqrt(((expected - theirs) ** 2).mean())
    )


def test_an_era_like_the_others_is_not_told_apart_and_another_is():
    past = [rows(k, 400) for k in range(1, 6)]
    alike = adversarial_auc(rows(0, 400), past)
    assert alike.value == pytest.approx(0.5, abs=0.08)
    assert len(alike.past) == 5
    assert np.abs(np.array(alike.past) - 0.5).max() < 0.1
    moved = rows(0, 400)
    moved[:, 1] = 4
    assert adversarial_auc(moved, past).value == pytest.approx(0.9, abs=0.03)
    assert alike.smallest_spread == 0.01


def area_by_hand(era, others):
    """Of Fisher's direction, learned on even rows, over the odd ones."""
    one, other = era[::2].astype(float), others[::2].astype(float)
    centred = np.vstack([one - one.mean(axis=0), other - other.mean(axis=0)])
    covariance = centred.T @ centred / len(centred)
    covariance += 0.01 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    direction = np.linalg.solve(covariance, one.mean(axis=0) - other.mean(axis=0))
    ours, theirs = era[1::2] @ direction, others[1::2] @ direction
    return stats.mannwhitneyu(ours, theirs).statistic / (len(ours) * len(theirs))


def test_the_area_is_that_of_ranks_on_rows_that_were_not_learned():
    live, *past = (rows(k, 31) for k in range(4))
    live[:, 0] = np.maximum(live[:, 0], 2)
    drift = adversarial_auc(live, past)
    assert drift.value == pytest.approx(area_by_hand(live, np.vstack(past)))
    expected = [
        area_by_hand(past[k], np.vstack([past[j] for j in range(3) if j != k])) for k in range(3)
    ]
    assert drift.past == pytest.approx(expected)


def test_of_long_eras_two_hundred_rows_are_taken():
    live, *past = (rows(k, 500) for k in range(3))
    few = [each[np.unique(np.linspace(0, 499, 200).astype(int))] for each in past]
    assert adversarial_auc(live, past).value == pytest.approx(area_by_hand(live, np.vstack(few)))


def test_at_most_thirteen_past_eras_are_controls():
    past = [rows(k, 20) for k in range(30)]
    assert len(adversarial_auc(rows(99, 20), past).past) == 13
