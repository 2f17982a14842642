import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.data.folds import Fold, live_fit_eras, walk_forward_folds
from numerai_kedro.errors import ConfigurationError, LeakError


@given(
    begin=st.integers(30, 300),
    length=st.integers(1, 200),
    fold_eras=st.integers(1, 60),
    purge_eras=st.integers(0, 20),
)
def test_no_fold_learns_from_targets_that_overlap_its_test_eras(
    begin, length, fold_eras, purge_eras
):
    period = (begin, begin + length - 1)
    folds = walk_forward_folds(period, fold_eras, purge_eras, "test")
    assert folds
    test_eras = [era for fold in folds for era in range(fold.test[0], fold.test[1] + 1)]
    assert test_eras == list(range(period[0], period[1] + 1))
    for fold in folds:
        assert fold.train[1] + purge_eras < fold.test[0]
        assert fold.train[0] == 1


@given(frontier=st.integers(268, 600), later=st.integers(1, 100))
def test_a_later_frontier_moves_no_finished_fold(frontier, later):
    before = walk_forward_folds((268, frontier), 40, 16, "test")
    after = walk_forward_folds((268, frontier + later), 40, 16, "test")
    assert after[: len(before) - 1] == before[:-1]
    assert after[len(before) - 1].train == before[-1].train


def test_the_demo_period_is_cut_as_the_design_says():
    folds = walk_forward_folds((268, 387), 40, 16, "test")
    assert [(fold.train, fold.test) for fold in folds] == [
        ((1, 251), (268, 307)),
        ((1, 291), (308, 347)),
        ((1, 331), (348, 387)),
    ]


def test_a_fold_that_would_leak_is_refused():
    with pytest.raises(LeakError, match="trains on era 0571, 4 before test era 0575"):
        Fold("test-7", (1, 571), (575, 626)).check_purge(8)


def test_an_empty_period_is_an_error_not_an_empty_list():
    with pytest.raises(ConfigurationError, match="is empty"):
        walk_forward_folds((268, 260), 40, 16, "test")
    with pytest.raises(ConfigurationError, match="too early"):
        walk_forward_folds((10, 60), 40, 16, "test")


def test_one_era_is_enough_to_learn_from():
    assert walk_forward_folds((18, 20), 40, 16, "test") == [Fold("test-1", (1, 1), (18, 20))]
    assert walk_forward_folds((22, 22), 40, 16, "test", 5) == [Fold("test-1", (5, 5), (22, 22))]
    for first, first_era in ((17, 1), (21, 5)):
        with pytest.raises(ConfigurationError, match="too early"):
            walk_forward_folds((first, 30), 40, 16, "test", first_era)


def test_the_live_fit_moves_on_a_grid_of_eras():
    assert live_fit_eras(268, 401, 13, 16) == (1, 381)
    fits = {live_fit_eras(268, era, 13, 16) for era in range(398, 411)}
    assert fits == {(1, 381)}
    assert live_fit_eras(268, 411, 13, 16) == (1, 394)
