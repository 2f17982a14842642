"""Verdicts against planted truth: persistent effects are found, drift and noise are not."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from numerai_kedro.features.clusters import (
    NO_CLUSTER,
    clusters_of,
    correlation_of,
    partial_effects,
)
from numerai_kedro.features.discovery import DiscoveryRule, discover

RULE = DiscoveryRule(q=0.1, n_regimes=3, least=2, gap=8, overlap_eras=4, alike=0.9, ridge=0.02)
N_ERAS, OVERLAP, NOISE, EFFECT = 1040, 4, 0.017, 0.0055
KINDS = {"causal": 24, "drifting": 36, "null": 180}


def overlapping(rng, n_series):
    noise = rng.normal(size=(N_ERAS + OVERLAP - 1, n_series))
    sums = np.cumsum(np.vstack([np.zeros(n_series), noise]), axis=0)
    return NOISE * (sums[OVERLAP:] - sums[:-OVERLAP]) / np.sqrt(OVERLAP)


def drift(rng):
    """A sign that stays for 30 to 80 eras, and then flips with probability .8."""
    signs = []
    sign = rng.choice([-1, 1])
    while len(signs) < N_ERAS:
        signs += [sign] * rng.integers(30, 81)
        sign *= -1 if rng.random() < 0.8 else 1
    return np.array(signs[:N_ERAS])


def planted(seed):
    """Effects era by era, and the kind of each feature."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(list(KINDS), list(KINDS.values()))
    effects = overlapping(rng, len(kinds))
    effects[:, kinds == "causal"] += EFFECT * rng.choice([-1, 1], KINDS["causal"])
    for column in np.flatnonzero(kinds == "drifting"):
        effects[:, column] += 2 * EFFECT * drift(rng)
    return effects, kinds


def report(effects, correlation=None):
    names = [f"f{number}" for number in range(effects.shape[1])]
    whole = np.eye(effects.shape[1]) if correlation is None else correlation
    return discover(names, effects, whole, RULE)


def test_what_persists_is_found_and_what_drifts_is_not():
    powers, by_mean, wrong, drifting, naive = [], [], [], [], []
    for seed in range(10):
        effects, kinds = planted(seed)
        verdicts = report(effects)
        called = (verdicts["verdict"] == "stable").to_numpy()
        powers.append(called[kinds == "causal"].mean())
        by_mean.append((verdicts["q"] <= 0.1)[kinds == "causal"].mean())
        wrong.append((called & (kinds != "causal")).sum() / max(1, called.sum()))
        drifting.append(called[kinds == "drifting"].mean())
        adjusted = np.sort(verdicts["naive_p"])
        passing = adjusted <= 0.1 * np.arange(1, len(adjusted) + 1) / len(adjusted)
        cut = adjusted[passing].max(initial=0)
        naive.append((verdicts["naive_p"] <= cut)[kinds == "drifting"].mean())
    assert np.mean(powers) > 0.75
    assert np.mean(by_mean) > 0.9
    assert np.mean(wrong) < 0.1
    assert np.mean(drifting) < 0.05
    assert np.mean(naive) > 0.25


def test_a_large_effect_that_turns_is_called_unstable():
    effects, _ = planted(0)
    effects[:500, -1] += 0.01
    effects[500:, -1] -= 0.01
    last = report(effects).iloc[-1]
    assert (last["verdict"], bool(last["flips"])) == ("unstable", True)
    assert last["half_delta"] < -0.015
    assert last["by_regime"][0] > 0.005 > -0.005 > last["by_regime"][2]


def test_a_cluster_has_one_verdict_and_each_member_its_own_sign():
    effects, kinds = planted(1)
    causal = int(np.flatnonzero(kinds == "causal")[0])
    effects = np.column_stack([effects, -effects[:, causal]])
    correlation = np.eye(effects.shape[1])
    correlation[-1, causal] = correlation[causal, -1] = -0.95
    verdicts = report(effects, correlation)
    original, other = verdicts.iloc[causal], verdicts.iloc[-1]
    assert original["cluster"] == other["cluster"]
    assert original["representative"] == other["representative"] == "f0"
    assert original["verdict"] == other["verdict"] == "stable"
    assert original["t"] == pytest.approx(-other["t"])
    assert original["effect"] == pytest.approx(-other["effect"])
    np.testing.assert_allclose(original["by_regime"], -np.array(other["by_regime"]))


def test_what_cannot_be_tested_is_untestable_and_the_rest_goes_on():
    effects, kinds = planted(2)
    before = report(effects)
    correlation = np.eye(effects.shape[1])
    constant, late, alike = 100, 101, 102
    effects[:, constant] = np.nan
    correlation[constant] = correlation[:, constant] = np.nan
    effects[:-50, late] = np.nan  # fewer eras than a test needs
    effects[:, alike] = 0.01  # an effect that never varies has no error
    verdicts = report(effects, correlation)
    assert verdicts["verdict"][[constant, late, alike]].tolist() == ["untestable"] * 3
    assert verdicts["cluster"][constant] == NO_CLUSTER
    assert pd.isna(verdicts["representative"][constant])
    rest = ~np.isin(np.arange(len(kinds)), [constant, late, alike])
    same = verdicts["verdict"][rest] == before["verdict"][rest]
    assert same.mean() > 0.98


def test_nothing_at_all_can_be_tested():
    effects = np.full((100, 3), np.nan)
    verdicts = report(effects, np.full((3, 3), np.nan))
    assert set(verdicts["verdict"]) == {"untestable"}


def test_a_copy_of_a_neighbour_has_no_effect_of_its_own():
    rng = np.random.default_rng(0)
    causal = 0.02 + overlapping(rng, 1)
    effects = np.column_stack([causal, 0.7 * causal + 0.001 * overlapping(rng, 1)])
    correlation = np.array([[1, 0.7], [0.7, 1]])
    own = partial_effects(effects, correlation, 0.0).mean(axis=0)
    np.testing.assert_allclose(own, [0.02, 0], atol=0.004)


def test_clusters_of_rows_and_their_representatives():
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(2000, 3))
    columns = [
        basis[:, 0] + 0.2 * rng.normal(size=2000),
        basis[:, 1],
        basis[:, 0],
        -basis[:, 0] + 0.2 * rng.normal(size=2000),
        np.ones(2000),
    ]
    table = np.column_stack(columns)
    correlation = correlation_of(table.T @ table, table.sum(axis=0), np.full((5, 5), 2000.0))
    np.testing.assert_allclose(correlation[:4, :4], np.corrcoef(table[:, :4].T), atol=1e-9)
    clusters = clusters_of(correlation, 0.9)
    assert clusters.number.tolist() == [1, 0, 1, 1, NO_CLUSTER]
    assert clusters.representatives.tolist() == [1, 2]
    assert clusters.sign.tolist() == [1, 1, 1, -1, 0]


def test_features_that_are_known_in_some_eras_correlate_as_where_both_are():
    rng = np.random.default_rng(1)
    feature = rng.normal(size=4000)
    other = feature + 0.3 * rng.normal(size=4000)
    present = np.column_stack([np.ones(4000), np.arange(4000) >= 2000])
    table = np.column_stack([feature, other]) * present
    correlation = correlation_of(table.T @ table, table.sum(axis=0), present.T @ present)
    assert correlation[0, 1] == pytest.approx(
        np.corrcoef(feature[2000:], other[2000:])[0, 1], abs=0.02
    )
    for n_known, stands_for_both in (([10, 5], 0), ([5, 10], 1)):
        clusters = clusters_of(correlation, 0.9, np.array(n_known))
        assert clusters.representatives.tolist() == [stands_for_both]


def test_a_neighbour_that_is_not_known_leaves_its_effect_to_the_others():
    rng = np.random.default_rng(2)
    own = np.array([0.02, 0.01])
    correlation = np.array([[1, 0.8], [0.8, 1]])
    effects = correlation @ own + 0.001 * overlapping(rng, 2)
    effects[:300, 0] = np.nan
    partial = partial_effects(effects, correlation, 0.0)
    np.testing.assert_allclose(partial[300:].mean(axis=0), own, atol=0.002)
    assert partial[:300, 1].mean() == pytest.approx(0.026, abs=0.002)
    assert np.isnan(partial[:300, 0]).all()


def test_a_correlation_that_is_none_is_still_solved():
    impossible = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    assert np.isfinite(partial_effects(np.ones((2, 3)), impossible, 0.02)).all()


def verdict_of_second(coefficients, rho, shift=0.0):
    """Verdict on the second of two features, whose coefficient shifts in the newest regime."""
    rng = np.random.default_rng(3)
    correlation = np.array([[1, rho], [rho, 1]])
    own = np.tile(np.asarray(coefficients, float), (N_ERAS, 1))
    own[2 * N_ERAS // 3 :, 1] += shift
    effects = own @ correlation + 0.1 * overlapping(rng, 2)
    return report(effects, correlation).iloc[1]


def test_what_a_feature_has_from_its_neighbour_alone_is_not_its_own():
    assert verdict_of_second((0.03, 0.03), 0.8)["verdict"] == "stable"
    assert verdict_of_second((0.015, 0.0), 0.8)["verdict"] == "null"
    suppressed = verdict_of_second((0.03, -0.012), 0.8)
    assert suppressed["effect"] > 0 > suppressed["partial_effect"]
    assert suppressed["verdict"] == "null"


def test_an_effect_that_turns_in_the_newest_regime_is_not_stable_and_one_that_fades_is():
    turned = verdict_of_second((0.0, 0.02), 0.0, shift=-0.03)
    assert turned["replicated_q"] < 0.01
    assert turned["verdict"] == "unstable"
    faded = verdict_of_second((0.0, 0.02), 0.0, shift=-0.015)
    assert faded["heterogeneity_q"] < 0.01
    assert (faded["verdict"], bool(faded["flips"])) == ("stable", False)


def test_of_nothing_but_noise_hardly_a_run_calls_anything():
    called = []
    for seed in range(20):
        rng = np.random.default_rng([9, seed])
        noise = rng.normal(size=(251 + 11, 100))
        sums = np.cumsum(np.vstack([np.zeros(100), noise]), axis=0)
        effects = sums[12:] - sums[:-12]
        rule = dataclasses.replace(RULE, overlap_eras=12, gap=16)
        verdicts = discover([str(k) for k in range(100)], effects, np.eye(100), rule)
        called.append(verdicts["verdict"].isin(["stable", "unstable"]).any())
    assert np.mean(called) <= 0.25
