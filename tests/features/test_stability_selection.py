"""Halves are complementary, and what passes by chance stays below the paper's bound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers

from numerai_kedro.features.stability_selection import (
    complementary_halves,
    expected_by_chance,
    largest_selection,
    selection_share,
)


@given(n_eras=integers(4, 300), block_eras=integers(1, 40), seed=integers(0, 99))
def test_halves_share_no_block_and_are_alike_in_size(n_eras, block_eras, seed):
    pairs = list(complementary_halves(n_eras, block_eras, 3, np.random.default_rng(seed)))
    assert len(pairs) == 3
    for pair in pairs:
        blocks = [set((half // block_eras).tolist()) for half in pair]
        assert not blocks[0] & blocks[1]
        assert len(blocks[0]) == len(blocks[1])
        assert all((np.diff(half) > 0).all() for half in pair)


def test_the_published_example():
    assert expected_by_chance(0.75, 25, 100, 2_000) == pytest.approx(5.2, abs=0.05)
    assert expected_by_chance(0.9, 50, 100, 2_000) < expected_by_chance(0.75, 50, 100, 2_000)


@given(floats(0.1, 20), floats(0.6, 1), integers(10, 60), integers(1, 3_000))
def test_a_half_selects_as_many_as_the_bound_allows(by_chance, threshold, n_pairs, n_candidates):
    most = largest_selection(by_chance, threshold, n_pairs, n_candidates)
    assert most <= n_candidates / np.sqrt(3)
    assert expected_by_chance(threshold, n_pairs, most, n_candidates) <= by_chance * (1 + 1e-9)
    if most + 1 <= n_candidates / np.sqrt(3):
        assert expected_by_chance(threshold, n_pairs, most + 1, n_candidates) > by_chance


def test_candidates_without_importance_are_never_selected():
    share = selection_share(np.array([[0.0, 3.0, 1.0, 2.0], [0.0, 0.0, 0.0, 1.0]]), 2)
    assert share.tolist() == [0, 0.5, 0, 1]


def test_what_passes_by_chance_is_below_the_bound_and_signal_passes():
    rng = np.random.default_rng(0)
    n_pairs, n_candidates, n_selected, false = 25, 200, 10, []
    for _ in range(20):
        noise = rng.random((2 * n_pairs, n_candidates))
        noise[:, 0] += 0.9
        share = selection_share(noise, n_selected)
        assert share[0] >= 0.75
        false.append((share[1:] >= 0.6).sum())
    assert np.mean(false) <= expected_by_chance(0.6, n_pairs, n_selected, n_candidates)


@pytest.mark.parametrize(
    ("threshold", "n_pairs", "factor"),
    [
        (0.75, 50, 1 / (2 * 0.49)),
        (0.6, 5, 1 / (2 * 0.1)),
        (0.9, 50, 4 * 0.11 / 1.02),
        (0.8, 5, 4 * 0.3 / 1.2),
    ],
)
def test_the_bound_has_one_form_up_to_three_quarters_and_another_above(threshold, n_pairs, factor):
    found = expected_by_chance(threshold, n_pairs, 20, 1_000)
    assert found == pytest.approx(factor * 400 / 1_000)
    # As many as have one by chance, and no more than where the bound holds.
    assert largest_selection(1.0, threshold, n_pairs, 1_000) == int((1_000 / factor) ** 0.5)
    assert largest_selection(1e6, threshold, n_pairs, 1_000) == 577
