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
    ledoit_wolf,
    own_weights,
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
