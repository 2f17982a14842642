"""Correlations, clusters and partial effects on cases that are known by hand."""

import numpy as np
import pytest

from numerai_kedro.features.clusters import clusters_of, correlation_of, partial_effects

NAN = float("nan")


def sums_of(rows):
    """Products, sums and shared rows of columns, NaN where a value is not known."""
    known = ~np.isnan(rows)
    filled = np.nan_to_num(rows)
    return filled.T @ filled, filled.sum(axis=0), (known.T @ known.astype(float)).astype(float)


def test_correlations_from_sums_are_pearsons():
    rows = np.random.default_rng(0).integers(0, 5, (50, 4)).astype(float)
    rows[:, 3] = 4 - rows[:, 0]
    np.testing.assert_allclose(correlation_of(*sums_of(rows)), np.corrcoef(rows.T), atol=1e-12)


def test_what_does_not_vary_has_none_and_what_is_never_known_together_0():
    rows = np.array([[1.0, 2, NAN], [3, 2, NAN], [2, 2, NAN], [NAN, NAN, 1], [NAN, NAN, 4]])
    found = correlation_of(*sums_of(rows))
    expected = [[1, NAN, 0], [NAN, NAN, NAN], [0, NAN, 1]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


CORRELATION = np.array(
    [
        [1.0, 0.9, 0.1, -0.8, 0.0],
        [0.9, 1.0, 0.0, -0.9, 0.0],
        [0.1, 0.0, 1.0, 0.1, NAN],
        [-0.8, -0.9, 0.1, 1.0, 0.0],
        [0.0, 0.0, NAN, 0.0, NAN],
    ]
)


def test_a_cluster_stands_by_its_most_typical_member_with_the_signs_to_it():
    found = clusters_of(CORRELATION, 0.85)
    # Column 1 has the highest mean: .9 to both others.
    assert found.representatives.tolist() == [1, 2]
    assert found.number.tolist() == [0, 0, 1, 0, -1]
    assert found.sign.tolist() == [1, 1, 1, -1, 0]


@pytest.mark.parametrize(
    ("least", "number"),
    [(0.84, [0, 0, 1, 0, -1]), (0.86, [0, 0, 1, 2, -1]), (0.91, [0, 1, 2, 3, -1])],
)
def test_members_are_alike_enough_on_average(least, number):
    """The third member is alike by .85, the mean of .8 and .9."""
    found = clusters_of(CORRELATION, least)
    groups = {tuple(np.flatnonzero(found.number == k)) for k in range(found.number.max() + 1)}
    wanted = {tuple(np.flatnonzero(np.array(number) == k)) for k in range(max(number) + 1)}
    assert groups == wanted
    assert found.number[-1] == -1


def test_only_features_known_longest_represent():
    found = clusters_of(CORRELATION, 0.84, np.array([9, 5, 9, 9, 9]))
    assert found.representatives.tolist() == [0, 2]
    assert found.sign.tolist() == [1, 1, 1, -1, 0]


def test_nothing_that_varies_is_no_cluster_and_one_feature_is_one():
    none = clusters_of(np.full((2, 2), NAN), 0.5)
    assert (none.number.tolist(), none.representatives.tolist()) == ([-1, -1], [])
    assert none.sign.tolist() == [0, 0]
    one = clusters_of(np.ones((1, 1)), 0.5)
    assert (one.number.tolist(), one.representatives.tolist(), one.sign.tolist()) == ([0], [0], [1])


def test_partial_effects_are_effects_times_the_inverse():
    correlation = np.array([[1.0, 0.5], [0.5, 1.0]])
    effects = np.array([[0.02, 0.01], [0.0, 0.03]])
    np.testing.assert_allclose(
        partial_effects(effects, correlation, 0.0),
        effects @ np.linalg.inv(correlation),
        atol=1e-15,
    )
    shrunk = effects @ np.linalg.inv(correlation + 0.5 * np.eye(2))
    np.testing.assert_allclose(partial_effects(effects, correlation, 0.5), shrunk)


def test_an_era_uses_the_features_that_it_knows_and_rare_gaps_are_no_effect():
    correlation = np.array([[1.0, 0.5], [0.5, 1.0]])
    often = np.tile([0.02, 0.01], (10, 1))
    often[:2, 1] = NAN  # two eras of ten
    found = partial_effects(often, correlation, 0.0)
    np.testing.assert_allclose(found[0], [0.02, NAN])
    np.testing.assert_allclose(found[2], [0.02, 0.0], atol=1e-15)
    rarely = np.tile([0.02, 0.01], (11, 1))
    rarely[0, 1] = NAN  # one of eleven: as if its effect were 0
    found = partial_effects(rarely, correlation, 0.0)
    np.testing.assert_allclose(found[0], [0.02 / 0.75, NAN])


def test_an_indefinite_matrix_is_solved_without_its_negative_direction():
    correlation = np.array([[1.0, 2.0], [2.0, 1.0]])  # eigenvalues 3 and -1
    found = partial_effects(np.array([[0.3, 0.3]]), correlation, 0.5)
    np.testing.assert_allclose(found, [[0.3 / 3.5, 0.3 / 3.5]])
    other = partial_effects(np.array([[0.3, -0.3]]), correlation, 0.5)
    np.testing.assert_allclose(other, [[0.6, -0.6]])
