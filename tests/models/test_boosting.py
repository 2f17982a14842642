"""Regularisation by one strength, threads by cells, and the matrix of rows with a target."""

import numpy as np
import pytest
from tests.models.sizes import TREES
from tests.panels import small_panel

from numerai_kedro.models.boosting import (
    BoostingParams,
    Strength,
    in_eras,
    matrix_of,
    threads_for,
)

N_ROWS = 8_000  # the largest leaf has 1,000


def test_no_strength_changes_nothing():
    none = Strength(0.0, N_ROWS)
    assert (none.shrinkage(2.5), none.leaf(20.4), none.depth(6)) == (2.5, 20, 6)
    assert (none.columns(0.1), none.rows(0.9)) == (0.1, 0.9)


def test_full_strength_makes_shrunk_stumps_of_large_leaves():
    full = Strength(1.0, N_ROWS)
    assert full.shrinkage(2.5) == pytest.approx(1002.5)
    assert (full.leaf(20), full.depth(6)) == (1000, 1)
    assert full.columns(0.8) == pytest.approx(0.2)
    assert full.rows(0.8) == pytest.approx(0.4)


def test_half_strength_lies_between():
    half = Strength(0.5, N_ROWS)
    assert half.shrinkage(2.5) == pytest.approx(12.5)  # a hundredth of the largest leaf more
    assert half.leaf(10) == 100  # the geometric mean of 10 and 1,000
    assert half.depth(7) == 4
    assert half.columns(0.8) == pytest.approx(0.5)
    assert half.rows(0.8) == pytest.approx(0.6)


def test_leaves_larger_than_the_largest_stay_and_few_rows_have_leaves_of_one():
    assert Strength(1.0, N_ROWS).leaf(5_000) == 5_000
    assert Strength(1.0, 4).leaf(0.2) == 1
    assert Strength(1.0, 4).shrinkage(0.0) == 1.0


@pytest.mark.parametrize(
    ("n_trees", "rate", "trees", "faster"),
    [(10, 0.1, 10, 0.4), (2, 0.1, 2, 1.0), (99, 0.1, 40, 0.1)],
)
def test_low_fidelity_is_as_far_with_fewer_trees(n_trees, rate, trees, faster):
    cheap = BoostingParams(**TREES | {"learning_rate": rate}).low_fidelity(n_trees, 0.25)
    assert cheap.n_estimators == trees
    assert cheap.learning_rate == pytest.approx(faster)
    assert cheap.max_depth == TREES["max_depth"]


def test_one_thread_for_few_cells_all_for_many(tmp_path, monkeypatch):
    panel = small_panel(tmp_path, n_eras=3)  # 120 rows of 8 features
    monkeypatch.setattr("numerai_kedro.models.boosting.CELLS_FOR_THREADS", 960)
    assert threads_for(panel, 6) == 1
    monkeypatch.setattr("numerai_kedro.models.boosting.CELLS_FOR_THREADS", 959)
    assert threads_for(panel, 6) == 6


def test_the_matrix_has_the_known_rows_of_all_eras_in_order(tmp_path):
    panel = small_panel(tmp_path, n_eras=3)
    known = np.random.default_rng(0).random(panel.n_rows) < 0.7
    matrix = matrix_of(panel, known)
    rows = np.vstack([panel.features(era) for era in (1, 2, 3)])
    np.testing.assert_array_equal(matrix, rows[known])
    assert matrix.dtype == np.int8
    assert matrix.flags.f_contiguous


def test_eras_are_predicted_one_by_one_and_none_give_none(tmp_path):
    panel = small_panel(tmp_path, n_eras=3)
    sizes = []
    predicted = in_eras(panel, lambda rows: sizes.append(len(rows)) or rows[:, 0])
    assert sizes == [40, 40, 40]
    np.testing.assert_array_equal(predicted[40:80], panel.features(2)[:, 0])
    assert predicted.dtype == np.float32
    assert in_eras(panel.select(eras=[]), len).shape == (0,)
