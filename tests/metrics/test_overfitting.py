"""Known answers: noise, one really better configuration, and the published example."""

import numpy as np
import pytest
from benchmarks.simulated import OVERLAP, overlapping

from numerai_kedro.metrics.overfitting import (
    deflated_sharpe,
    expected_max_sharpe,
    minimum_detectable,
    overlap_sharpe,
    probabilistic_sharpe,
    probability_of_overfitting,
    superior_predictive_ability,
)

N_ERAS, N_CONFIGURATIONS = 260, 20


def noise(rng, n_eras=N_ERAS):
    return rng.normal(size=(n_eras, N_CONFIGURATIONS))


def test_noise_is_overfitted_half_of_the_time():
    rng = np.random.default_rng(0)
    probabilities = [probability_of_overfitting(noise(rng), 1) for _ in range(200)]
    assert np.mean(probabilities) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("n_eras", [78, 104, 260])
def test_overlapping_noise_is_overfitted_half_of_the_time_too(n_eras):
    rng = np.random.default_rng(n_eras)
    drawn = [overlapping(rng, n_eras, N_CONFIGURATIONS) for _ in range(200)]
    probabilities = [probability_of_overfitting(scores, OVERLAP) for scores in drawn]
    assert np.mean(probabilities) == pytest.approx(0.5, abs=0.05)
    # Why there is a purge: treated as independent eras, the same noise looks well chosen.
    assert np.mean([probability_of_overfitting(scores, 1) for scores in drawn]) < 0.42


def test_one_that_is_really_better_is_seldom_called_overfitted():
    rng = np.random.default_rng(0)
    probabilities = []
    for _ in range(100):
        scores = noise(rng)
        scores[:, 3] += 0.4
        probabilities.append(probability_of_overfitting(scores, 1))
    assert np.mean(np.array(probabilities) < 0.05) >= 0.9


def test_the_more_it_is_better_the_less_it_is_called_so():
    rng = np.random.default_rng(1)
    curve = []
    for sharpe in (0.0, 0.1, 0.2, 0.4):
        scores = [noise(rng) for _ in range(40)]
        for history in scores:
            history[:, 0] += sharpe
        curve.append(np.mean([probability_of_overfitting(history, 1) for history in scores]))
    assert curve == sorted(curve, reverse=True)


def test_configurations_that_are_the_same_are_neither():
    same = np.repeat(np.random.default_rng(0).normal(size=(N_ERAS, 1)), 5, axis=1)
    assert probability_of_overfitting(same, OVERLAP) == pytest.approx(0.5)


def test_too_little_is_said_to_be_too_little():
    rng = np.random.default_rng(0)
    assert probability_of_overfitting(noise(rng)[:, :1], 1) is None
    assert probability_of_overfitting(noise(rng, n_eras=47), OVERLAP) is None


def test_the_deflated_sharpes_published_example():
    """Bailey and Lopez de Prado (2014): 2.5 a year, 100 trials, 1,250 days: .1132 and .9004."""
    luck = expected_max_sharpe(variance=0.5 / 250, n_trials=100)
    assert luck == pytest.approx(0.1132, abs=5e-5)
    probability = probabilistic_sharpe(2.5 / np.sqrt(250), luck, 1250, skewness=-3, kurtosis=10)
    assert probability == pytest.approx(0.9004, abs=5e-5)


def test_more_procedures_deflate_more():
    scores = np.random.default_rng(0).normal(0.5, 1, size=240)
    values = [deflated_sharpe(scores, n, overlap_eras=12) for n in (1, 2, 10, 100)]
    assert values == sorted(values, reverse=True)
    assert np.isnan(deflated_sharpe(scores[:24], 1, overlap_eras=12))


def test_overlap_takes_away_from_the_sharpe_what_it_adds():
    rng = np.random.default_rng(0)
    shocks = rng.normal(size=4_011)
    overlapping = np.convolve(shocks, np.ones(12) / np.sqrt(12), "valid") + 1
    assert overlap_sharpe(overlapping, 12) == pytest.approx(1 / np.sqrt(12), rel=0.3)
    assert np.isnan(overlap_sharpe(overlapping[:20], 12))


def test_what_is_larger_than_the_detectable_effect_is_mostly_found():
    rng = np.random.default_rng(0)
    detectable = minimum_detectable(rng.normal(size=400), overlap_eras=1)
    assert detectable == pytest.approx((1.2816 + 0.8416) / 20, rel=0.2)


def test_superior_ability_is_seen_where_there_is_some_and_not_in_noise():
    rng = np.random.default_rng(0)
    against = rng.normal(size=200)
    models = rng.normal(size=(200, 4))
    assert superior_predictive_ability(models, against, 1, seed=0) > 0.1
    models[:, 2] += 0.6
    assert superior_predictive_ability(models, against, 1, seed=0) < 0.05
    assert superior_predictive_ability(models[:50], against[:50], 12, seed=0) is None
    assert superior_predictive_ability(against[:, None] + 0.1, against, 1, seed=0) is None


def test_superior_ability_is_seldom_seen_in_overlapping_noise():
    """A bootstrap saw it in .2 of such histories."""
    rng = np.random.default_rng(0)
    p_values = []
    for seed in range(120):
        drawn = overlapping(rng, 72, 7)
        p_values.append(superior_predictive_ability(drawn[:, 1:], drawn[:, 0], OVERLAP, seed))
    assert np.mean(np.array(p_values) < 0.05) <= 0.08


def test_models_that_are_the_same_count_once():
    rng = np.random.default_rng(0)
    against = rng.normal(size=200)
    model = rng.normal(0.3, 1, size=(200, 1))
    alone = superior_predictive_ability(model, against, 1, seed=0)
    assert superior_predictive_ability(np.repeat(model, 8, axis=1), against, 1, seed=0) == (
        pytest.approx(alone, abs=0.02)
    )


def test_what_is_far_worse_is_no_candidate():
    rng = np.random.default_rng(0)
    against = rng.normal(size=200)
    worse = rng.normal(-1.0, 1, size=(200, 40))
    assert superior_predictive_ability(worse, against, 1, seed=0) == 1.0
    better = rng.normal(0.25, 1, size=(200, 1))
    alone = superior_predictive_ability(better, against, 1, seed=0)
    beside = superior_predictive_ability(np.hstack([better, worse]), against, 1, seed=0)
    assert beside == pytest.approx(alone, abs=0.02)
