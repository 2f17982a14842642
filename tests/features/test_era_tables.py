"""Tables are exact counts, and scores from them equal those that others compute from the rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numerai_tools.scoring import numerai_corr
from scipy import stats

from numerai_kedro.errors import PanelError
from numerai_kedro.features.era_tables import (
    AT_ONCE,
    corr,
    era_table,
    information_beyond_chance,
    mutual_information,
    spearman,
    target_levels,
)

TARGET = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


def era(n_rows, n_features, seed=0, unknown=0.0):
    rng = np.random.default_rng(seed)
    features = np.asfortranarray(rng.integers(0, 5, (n_rows, n_features)).astype(np.int8))
    signal = features[:, 0] + rng.normal(scale=5, size=n_rows)
    cuts = np.quantile(signal, [0.05, 0.25, 0.75, 0.95])
    target = TARGET[np.searchsorted(cuts, signal)]
    target[rng.random(n_rows) < unknown] = np.nan
    return features, target


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 200), st.integers(1, 20), st.integers(0, 9), st.sampled_from([0.0, 0.1, 0.9]))
def test_every_cell_is_a_count_of_rows(n_rows, n_features, seed, unknown):
    features, target = era(n_rows, n_features, seed, unknown)
    table = era_table(features, target, TARGET)
    for column in range(n_features):
        for value in range(5):
            for number, level in enumerate(TARGET):
                expected = ((features[:, column] == value) & (target == level)).sum()
                assert table[column, value, number] == expected


def test_more_features_than_are_taken_at_once_and_rows_by_rows():
    features, target = era(100, 2 * AT_ONCE + 3)
    whole = era_table(features, target, TARGET)
    np.testing.assert_array_equal(era_table(np.ascontiguousarray(features), target, TARGET), whole)
    np.testing.assert_array_equal(era_table(features[:, -2:], target, TARGET), whole[-2:])


@pytest.mark.parametrize("unknown", [0.0, 0.1])
def test_corr_is_numerais(unknown):
    features, target = era(733, 30, unknown=unknown)
    present = ~np.isnan(target)
    correlations = corr(era_table(features, target, TARGET), TARGET)
    theirs = numerai_corr(
        pd.DataFrame(features[present]).astype(float), pd.Series(target[present], name="t")
    )
    np.testing.assert_allclose(correlations, theirs.to_numpy(), rtol=0, atol=1e-10)
    assert correlations[0] > 0.1


def test_rank_correlation_and_information_are_scipys_and_the_definitions():
    features, target = era(500, 6)
    tables = era_table(features, target, TARGET)
    for column, (ranks, nats) in enumerate(
        zip(spearman(tables, TARGET), mutual_information(tables), strict=True)
    ):
        assert ranks == pytest.approx(stats.spearmanr(features[:, column], target)[0], abs=1e-12)
        joint = tables[column] / 500
        alone = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
        expected = stats.entropy(joint.ravel(), alone.ravel())
        assert nats == pytest.approx(expected, abs=1e-12)


def test_levels_that_nobody_has_change_no_score():
    """A feature without 0 and 4, and an era without the target's ends."""
    features, target = era(400, 3)
    features[:, 1] = np.clip(features[:, 1], 1, 3)
    target = np.clip(target, 0.25, 0.75)
    tables = era_table(features, target, TARGET)
    theirs = numerai_corr(pd.DataFrame(features).astype(float), pd.Series(target, name="t"))
    np.testing.assert_allclose(corr(tables, TARGET), theirs, rtol=0, atol=1e-10)
    ranks = [stats.spearmanr(features[:, column], target)[0] for column in range(3)]
    np.testing.assert_allclose(spearman(tables, TARGET), ranks, atol=1e-12)
    # Degrees of freedom of the levels that occur, over twice the rows.
    chance = np.array([4 * 2, 2 * 2, 4 * 2]) / 800
    beyond = information_beyond_chance(tables, TARGET)
    np.testing.assert_allclose(beyond, mutual_information(tables) - chance, atol=1e-15)
    features[:, 1] = 3
    assert np.isnan(information_beyond_chance(era_table(features, target, TARGET), TARGET)[1])


def test_tables_of_many_eras_are_scored_at_once():
    tables = np.stack([era_table(*era(200, 4, seed), TARGET) for seed in range(3)])
    assert corr(tables, TARGET).shape == (3, 4)
    np.testing.assert_allclose(corr(tables, TARGET)[1], corr(tables[1], TARGET))


@pytest.mark.parametrize("constant", ["feature", "target", "era"])
def test_what_does_not_vary_has_no_score(constant):
    features, target = era(100, 2)
    if constant == "feature":
        features[:, 1] = 3
    elif constant == "target":
        target[:] = 0.5
    else:
        target[:] = np.nan
    tables = era_table(features, target, TARGET)
    for scores in (corr(tables, TARGET), spearman(tables, TARGET)):
        assert np.isnan(scores[1])
        assert np.isnan(scores[0]) == (constant != "feature")
    information = mutual_information(tables)[1]
    assert np.isnan(information) if constant == "era" else information == pytest.approx(0)


def test_levels_of_a_target_and_one_that_has_too_many():
    assert target_levels(np.array([1.0, np.nan, 0.0, 1.0]), "t").tolist() == [0, 1]
    with pytest.raises(PanelError, match="t, era 0007: 50 values where 16 can be tabled"):
        target_levels(np.arange(50.0), "t, era 0007")


def test_a_target_without_any_value_is_an_empty_table():
    features, target = era(30, 2)
    assert era_table(features, np.full(30, np.nan), target[:0]).shape == (2, 5, 0)
