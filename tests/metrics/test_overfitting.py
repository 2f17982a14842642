"""Known answers: noise, one really better configuration, and the published example."""

import itertools

import numpy as np
import pytest
from benchmarks.simulated import OVERLAP, overlapping
from scipy import stats

from numerai_kedro.metrics.intervals import implied_variance, long_run_variance
from numerai_kedro.metrics.overfitting import (
    blocks_for,
    deflated_sharpe,
    expected_max_sharpe,
    largest_t,
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


def by_hand(scores, overlap, n_blocks):
    """The probability split by split: means over eras that are left after the purge."""
    blocks = np.array_split(scores, n_blocks)
    logits = []
    for chosen in itertools.combinations(range(n_blocks), n_blocks // 2):
        halves = ([], [])
        for k, block in enumerate(blocks):
            is_cut = k > 0 and (k in chosen) != (k - 1 in chosen)
            halves[k not in chosen].append(block[overlap - 1 :] if is_cut else block)
        inside, outside = (np.vstack(half).mean(axis=0) for half in halves)
        rank = stats.rankdata(outside)[inside.argmax()]
        relative = rank / (scores.shape[1] + 1)
        logits.append(np.log(relative / (1 - relative)))
    return np.mean(np.array(logits) < 0) + np.mean(np.array(logits) == 0) / 2


@pytest.mark.parametrize(("n_eras", "overlap", "n_blocks"), [(24, 4, 6), (17, 4, 4), (50, 3, 16)])
def test_the_probability_is_that_of_all_splits(n_eras, overlap, n_blocks):
    scores = np.random.default_rng(n_eras).normal(size=(n_eras, 5))
    if n_blocks == 16:
        scores = scores[:, :2]
    assert blocks_for(n_eras, overlap) == n_blocks
    found = probability_of_overfitting(scores, overlap)
    if n_blocks < 16:
        assert found == pytest.approx(by_hand(scores, overlap, n_blocks))
    holed = np.insert(scores, 3, np.nan, axis=0)
    assert probability_of_overfitting(holed, overlap) == found


def test_four_blocks_are_enough_and_sixteen_the_most():
    assert [blocks_for(n, 4) for n in (15, 16, 23, 24, 64, 640)] == [2, 4, 4, 6, 16, 16]
    scores = np.random.default_rng(0).normal(size=(16, 2))
    assert probability_of_overfitting(scores, 4) is not None
    assert probability_of_overfitting(scores[:15], 4) is None


def test_the_sharpe_of_overlapping_eras_is_mean_over_long_run_deviation():
    scores = np.random.default_rng(0).normal(0.5, 1, size=25)
    cosines = [
        np.sqrt(2 / 24) * np.cos(np.pi * k * (np.arange(24) + 0.5) / 24) @ scores[:24]
        for k in (1, 2)
    ]
    variance = np.mean(np.square(cosines))
    holed = np.insert(scores[:24], 5, np.nan)
    assert overlap_sharpe(holed, 12) == pytest.approx(scores[:24].mean() / np.sqrt(variance))
    assert np.isnan(overlap_sharpe(scores[:23], 12))
    assert np.isnan(overlap_sharpe(np.zeros(24), 12))


@pytest.mark.parametrize("n_procedures", [1, 2, 50])
def test_a_deflated_sharpe_is_that_of_the_paper_with_independent_eras(n_procedures):
    scores = np.random.default_rng(0).gamma(2.0, size=36) - 1.8
    sharpe = scores.mean() / scores.std(ddof=1)
    luck = expected_max_sharpe(1 / 2, n_procedures)  # three independent eras
    skewness, kurtosis = stats.skew(scores), stats.kurtosis(scores, fisher=False)
    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    expected = stats.norm.cdf((sharpe - luck) * np.sqrt(2) / np.sqrt(spread))
    assert deflated_sharpe(np.append(scores, np.nan), n_procedures, 12) == pytest.approx(expected)
    assert np.isnan(deflated_sharpe(scores[:35], n_procedures, 12))
    assert np.isnan(deflated_sharpe(np.ones(36), n_procedures, 12))
    assert np.isnan(deflated_sharpe(np.full(36, np.nan), n_procedures, 12))


def test_one_procedure_has_no_luck_and_two_have_some():
    assert expected_max_sharpe(4.0, 1) == 0
    first, second = stats.norm.ppf(1 / 2), stats.norm.ppf(1 - 1 / (2 * np.e))
    expected = 2 * ((1 - np.euler_gamma) * first + np.euler_gamma * second)
    assert expected_max_sharpe(4.0, 2) == pytest.approx(expected)


def test_the_detectable_effect_is_two_quantiles_of_its_error():
    differences = np.random.default_rng(0).normal(size=90)
    for overlap, n_cosines in ((12, 2), (4, 8)):
        error = np.sqrt(long_run_variance(differences, n_cosines) / 90)
        quantiles = stats.t.ppf([0.9, 0.8], n_cosines).sum()
        found = minimum_detectable(np.append(differences, np.nan), overlap)
        assert found == pytest.approx(quantiles * error)
    wider = minimum_detectable(differences, 4, level=0.99)
    assert wider == pytest.approx(stats.t.ppf([0.99, 0.8], 8).sum() * error)
    assert np.isnan(minimum_detectable(differences[:23], 12))
    assert not np.isnan(minimum_detectable(differences[:24], 12))


def test_the_p_value_compares_the_largest_t_with_draws():
    rng = np.random.default_rng(3)
    ours, against = rng.normal(0.2, 1, size=(24, 3)), rng.normal(size=24)
    ours[:, 2] -= 3  # far worse, so it is not counted
    differences = ours - against[:, None]
    variance, freedom = implied_variance(differences, 4)
    statistics = differences.mean(axis=0) / np.sqrt(variance / 24)
    drawn = largest_t(np.corrcoef(differences[:, :2].T), round(freedom), np.random.default_rng(7))
    expected = (1 + (drawn >= statistics[:2].max()).sum()) / 2_001
    assert superior_predictive_ability(ours, against, 4, seed=7) == pytest.approx(expected)
    holed = np.vstack([ours, np.full(3, np.nan)])
    found = superior_predictive_ability(holed, np.append(against, 0.0), 4, seed=7)
    assert found == pytest.approx(expected)
    assert superior_predictive_ability(ours[:23], against[:23], 4, seed=7) is None


def test_the_largest_of_one_t_is_a_t_and_of_many_larger():
    drawn = largest_t(np.ones((1, 1)), 5, np.random.default_rng(0))
    assert len(drawn) == 2_000
    assert stats.kstest(drawn, stats.t(5).cdf).pvalue > 0.01
    many = largest_t(np.eye(6), 5, np.random.default_rng(0))
    assert np.median(many) == pytest.approx(1.3, abs=0.15)
