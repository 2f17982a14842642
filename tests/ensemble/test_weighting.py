"""Weights follow earnings only once these are known."""

import dataclasses

import numpy as np
import pytest
import yaml
from benchmarks.simulated import OVERLAP, member_history
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.project import ROOT

from numerai_kedro.ensemble.member_scores import MemberScores
from numerai_kedro.ensemble.weighting import (
    ALL_SCHEMES,
    EnsembleParams,
    _shrunk,
    decayed,
    greedy,
    ledoit_wolf,
    mean_variance,
    own_weights,
    shrunk_differences,
    walk_weights,
    weights_at,
)
from numerai_kedro.errors import BlendError, ConfigurationError

DELAY, MULTIPLIERS = 14, (3.0, 15.0)
CONF = ROOT / "conf/base/parameters_ensemble.yml"
PARAMS = EnsembleParams.model_validate(yaml.safe_load(CONF.read_text())["ensemble"])
ESTIMATED = [scheme for scheme in ALL_SCHEMES if scheme != "equal"]


def walk(scores, scheme, params=PARAMS):
    return walk_weights(scores, scores.eras, DELAY, scheme, MULTIPLIERS, OVERLAP, params)


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 1000),
    n_members=st.integers(1, 6),
    scheme=st.sampled_from(ALL_SCHEMES),
    n_eras=st.integers(1, 60),
)
def test_weights_are_shares(seed, n_members, scheme, n_eras):
    scores = member_history(seed, n_members, n_eras)
    weights = weights_at(scores, n_eras, scheme, MULTIPLIERS, OVERLAP, PARAMS)
    assert weights.shape == (n_members,)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("scheme", ALL_SCHEMES)
def test_what_has_not_resolved_moves_no_weight(scheme):
    scores = member_history(0, n_eras=80)
    later = scores.eras > 50
    turned = dataclasses.replace(
        scores,
        corr=np.where(later[:, None], -scores.corr, scores.corr),
        bmc=np.where(later[:, None], -scores.bmc, scores.bmc),
    )
    before, after = walk(scores, scheme), walk(turned, scheme)
    resolved = scores.eras < 51 + DELAY
    np.testing.assert_array_equal(before[resolved], after[resolved])
    if scheme != "equal":
        assert np.abs(before - after).max() > 0


@pytest.mark.parametrize("scheme", ALL_SCHEMES)
def test_weights_are_equal_until_something_has_resolved(scheme):
    np.testing.assert_array_equal(walk(member_history(0, n_eras=30), scheme)[:DELAY], 0.25)


@pytest.mark.parametrize("scheme", ESTIMATED)
def test_a_member_that_never_earns_loses_weight_to_those_that_do(scheme):
    histories = [member_history(seed, noise_from=0) for seed in range(10)]
    weights = [
        weights_at(history, 400, scheme, MULTIPLIERS, OVERLAP, PARAMS)[0] for history in histories
    ]
    assert np.mean(weights) < 0.25 * 0.85


@pytest.mark.parametrize("scheme", ALL_SCHEMES)
def test_the_same_seed_gives_the_same_weights(scheme):
    np.testing.assert_array_equal(
        walk(member_history(2, n_eras=60), scheme), walk(member_history(2, n_eras=60), scheme)
    )


def test_eras_without_a_benchmark_are_left_out():
    scores = member_history(3, n_eras=100)
    scores.bmc[:40] = np.nan
    whole = dataclasses.replace(
        scores,
        **{name: getattr(scores, name)[40:] for name in ("eras", "corr", "mmc", "bmc", "products")},
    )
    ours, theirs = (
        weights_at(history, 100, "decayed", MULTIPLIERS, OVERLAP, PARAMS)
        for history in (scores, whole)
    )
    np.testing.assert_allclose(ours, theirs)


def test_shrinkage_agrees_with_scikit_learn():
    from sklearn.covariance import ledoit_wolf as theirs

    samples = np.random.default_rng(0).normal(size=(20, 5)) @ np.diag([1, 2, 3, 4, 5])
    np.testing.assert_allclose(ledoit_wolf(samples), theirs(samples)[0], rtol=1e-10)


N_HISTORIES = 200
FAILURE = 200
HALF_OF_A_QUARTER = 0.125


def test_a_member_that_turns_to_noise_is_noticed_and_an_honest_one_rarely_suspected():
    """Within 104 eras of the failure's first resolved era."""
    noticed, suspected = [], []
    for seed in range(40_000, 40_000 + N_HISTORIES):  # none that the parameters were chosen on
        weights = walk(member_history(seed, noise_from=FAILURE), "decayed")
        window = weights[FAILURE + DELAY : FAILURE + DELAY + 105]
        lowest = window.min(axis=0)
        noticed.append(lowest[0] < HALF_OF_A_QUARTER)
        suspected.append(np.mean(lowest[1:] < HALF_OF_A_QUARTER))
    assert np.mean(noticed) >= 0.8
    assert np.mean(suspected) <= 0.2


def test_a_short_record_of_equal_members_keeps_them_nearly_equal():
    """Up to 60 eras weights are equal; then they rarely move much, as members do not differ."""
    largest, lowest = [], []
    for seed in range(40_000, 40_100):
        weights = walk(member_history(seed, n_eras=134), "decayed")
        np.testing.assert_array_equal(weights[: 60 + DELAY - 1], 0.25)
        largest.append(weights[-1].max())
        lowest.append(weights.min(axis=0))
    assert np.mean(np.array(largest) > 0.5) < 0.2
    assert np.mean(np.array(lowest) < HALF_OF_A_QUARTER) < 0.3


def test_a_member_that_collapses_costs_only_itself():
    """From era 81 on it predicts the same for every stock: that scores 0, and is not missing."""
    rng = np.random.default_rng(0)
    n_eras, n_rows = 160, 200
    target = rng.choice([0, 0.25, 0.5, 0.75, 1], size=n_eras * n_rows)
    members = rng.normal(size=(len(target), 2)) + target[:, None]
    members[80 * n_rows :, 1] = 7.0
    starts = np.arange(n_eras + 1) * n_rows
    reference = rng.normal(size=len(target))
    eras = np.arange(1, n_eras + 1)
    scores = MemberScores.of(eras, starts, members, target, reference, reference)
    assert np.isfinite(scores.corr).all()
    weights = walk(scores, "decayed")
    assert weights[-1, 1] < 0.8 * weights[79, 1]


@pytest.mark.parametrize(
    ("returned", "words"),
    [([1.0], "2 finite"), ([1.0, -1.0], "0 or more"), ([np.nan, 1.0], "2 finite")],
)
def test_what_is_no_weights_is_refused(returned, words):
    with pytest.raises(BlendError, match=words):
        own_weights("mine.f", lambda payoffs: returned, np.ones((70, 2)))


def test_own_weights_are_scaled_to_one():
    by_sum = lambda payoffs: payoffs.sum(axis=0)  # noqa: E731
    np.testing.assert_allclose(own_weights("f", by_sum, np.array([[1.0, 3.0]])), [0.25, 0.75])
    np.testing.assert_allclose(own_weights("f", by_sum, np.zeros((3, 2))), [0.5, 0.5])


def test_own_weights_know_only_what_had_resolved(monkeypatch):
    seen = []

    def first_only(payoffs):
        seen.append(len(payoffs))
        return [1.0, *[0.0] * (payoffs.shape[1] - 1)]

    monkeypatch.setattr("numerai_kedro.ensemble.weighting.import_own", lambda *_: first_only)
    history = member_history(0)
    weights = walk(history, "mine.f")
    assert weights[-1].tolist() == [1.0, *[0.0] * (weights.shape[1] - 1)]
    assert (weights[0] == weights[0, 0]).all()  # too few eras: equal
    assert 0 < max(seen) <= len(history.eras) - DELAY


def test_a_scheme_is_a_known_one_or_a_dotted_path():
    own = EnsembleParams.model_validate(PARAMS.model_dump() | {"scheme": "a.b"})
    assert own.schemes == (*ALL_SCHEMES, "a.b")
    with pytest.raises(ConfigurationError, match="'best' should be equal, decayed"):
        EnsembleParams.model_validate(PARAMS.model_dump() | {"scheme": "best"})
    with pytest.raises(
        ConfigurationError, match=r"ensemble\.scheme: nowhere\.f cannot be imported"
    ):
        walk(member_history(0), "nowhere.f")


def params_with(**changed):
    return PARAMS.model_copy(update=changed)


def variance_of(series, n_cosines):
    """The equal-weighted-cosine estimate, written out."""
    n = len(series)
    times = (np.arange(n) + 0.5) / n
    loadings = [
        np.sqrt(2 / n) * np.cos(np.pi * k * times) @ series for k in range(1, n_cosines + 1)
    ]
    return np.mean(np.square(loadings))


def shrunk_by_hand(earned, decay, n_cosines, doubt):
    means = decay @ earned
    differences = means - means.mean()
    own = earned - earned.mean(axis=1, keepdims=True)
    variances = [variance_of(one, n_cosines) for one in own.T]
    noise = doubt * sum(variances) / 2 * (decay @ decay)
    seen = (differences**2).sum() / 2
    return differences * max(0, 1 - noise / seen)


def test_differences_are_shrunk_by_the_share_that_noise_explains():
    rng = np.random.default_rng(0)
    earned = rng.normal([0.8, 0.0, -0.6], 1, size=(72, 3))
    decay = np.full(72, 1 / 72)
    found = shrunk_differences(earned, decay, 12, 1.5)
    expected = shrunk_by_hand(earned, decay, 2, 1.5)
    assert 0.3 < np.ptp(found) < np.ptp(earned.mean(axis=0))
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(shrunk_differences(earned, decay, 12, 0.0).sum(), 0, atol=1e-12)
    assert (shrunk_differences(earned, decay, 12, 1e6) == 0).all()
    assert (shrunk_differences(np.ones((72, 3)), decay, 12, 1.0) == 0).all()


def test_decayed_weights_are_exponentials_of_differences_in_units_of_what_all_earn():
    rng = np.random.default_rng(1)
    corr = 0.02 + 0.01 * rng.normal(size=(80, 3)) + [0.01, 0.0, -0.01]
    beyond = 0.01 + 0.01 * rng.normal(size=(80, 3)) + [0.004, 0.0, -0.004]
    params = params_with(half_life_eras=40, sharpness=0.7, doubt=0.5)
    decay = 0.5 ** (np.arange(79, -1, -1) / 40)
    decay /= decay.sum()
    both = [shrunk_by_hand(one, decay, 7, 0.5) for one in (corr, beyond)]
    common = (corr + beyond).mean(axis=1)
    tilt = 0.7 * sum(both) / (decay @ common)
    expected = np.exp(tilt) / np.exp(tilt).sum()
    products = np.zeros((80, 3, 3))
    found = decayed((corr, beyond), products, 4, params)
    np.testing.assert_allclose(found, expected)
    # Where all together earn next to nothing, its own error is the measure.
    error = np.sqrt(variance_of(common - 1.0, 7) * (decay @ decay))
    poor = decayed((corr - 1.0, beyond), products, 4, params)
    tilt = 0.7 * sum(both) / error
    np.testing.assert_allclose(poor, np.exp(tilt) / np.exp(tilt).sum())


def test_weights_are_trusted_by_the_eras_that_tell():
    params = params_with(prior_eras=40)
    found = _shrunk(np.array([1.0, 0.0]), 60, params)
    np.testing.assert_allclose(found, [0.6 + 0.2, 0.2])


def test_mean_and_variance_are_weighed_as_the_closed_form_says():
    """Two members: the best share of the first follows from the derivative."""
    rng = np.random.default_rng(2)
    payoff = rng.normal(size=(80, 2)) * [0.05, 0.08] + [0.02, 0.03]
    params = params_with(risk_aversion=3.0, prior_eras=20)
    blocks = np.stack([rows.mean(axis=0) for rows in np.array_split(payoff, 20)])
    cov, mean = ledoit_wolf(blocks), payoff.mean(axis=0)
    risk = 2 * 3.0 / np.abs(mean).max()
    share = (mean[0] - mean[1] + risk * (cov[1, 1] - cov[0, 1])) / (
        risk * (cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    )
    expected = np.array([share, 1 - share]) * 0.8 + 0.1
    assert 0 < share < 1
    half = payoff / 2
    found = mean_variance((half, half), np.zeros((80, 2, 2)), 4, params)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_greedy_steps_take_what_raises_the_blend_in_drawn_blocks():
    rng = np.random.default_rng(3)
    payoff = rng.normal(size=(30, 3))
    products = np.tile(np.eye(3), (30, 1, 1)) + 0.2
    params = params_with(bags=2, steps=3, seed=5, prior_eras=10)
    draws = np.random.default_rng([5, 30])
    blocks, total = np.array_split(np.arange(30), 7), np.zeros(3)
    for _ in range(2):
        drawn = np.concatenate([blocks[k] for k in draws.integers(7, size=7)])
        counts = np.zeros(3)
        for _ in range(3):
            values = []
            for k in range(3):
                weights = counts + np.eye(3)[k]
                spread = np.sqrt(np.einsum("i,eij,j->e", weights, products[drawn], weights))
                values.append((payoff[drawn] @ weights / spread).mean())
            counts[np.argmax(values)] += 1
        total += counts
    expected = total / 6 * 0.75 + 0.25 / 3
    found = greedy((payoff, np.zeros_like(payoff)), products, 4, params)
    np.testing.assert_allclose(found, expected)


def test_weights_are_found_anew_on_a_grid_from_the_first_era_and_hold_between(monkeypatch):
    asked = []

    def at(members, known_until, *others):
        asked.append(known_until)
        return np.full(2, float(known_until))

    monkeypatch.setattr("numerai_kedro.ensemble.weighting.weights_at", at)
    members = dataclasses.replace(member_history(0, 2, 40), eras=np.arange(5, 45))
    params = params_with(reweigh_eras=4)
    rows = walk_weights(members, np.arange(7, 15), 3, "decayed", MULTIPLIERS, OVERLAP, params)
    assert asked == [2, 6, 10]
    assert rows[:, 0].tolist() == [2, 2, 6, 6, 6, 6, 10, 10]


def test_sixty_known_eras_are_enough_and_one_member_has_all():
    history = member_history(0, n_eras=60)
    given = ("mean_variance", MULTIPLIERS, OVERLAP, PARAMS)
    assert np.ptp(weights_at(history, 60, *given)) > 0
    assert (weights_at(history, 59, *given) == 0.25).all()
    assert (weights_at(history, 60, "equal", *given[1:]) == 0.25).all()
    assert weights_at(member_history(0, 1, 80), 80, *given).tolist() == [1.0]
