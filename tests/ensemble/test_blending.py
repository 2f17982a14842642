import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerai_kedro.ensemble.blending import blend, not_linear_in, partly_neutral
from numerai_kedro.errors import BlendError

STARTS = np.array([0, 50, 120])


def predictions(seed: int, n_models: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(120, n_models))


@settings(deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100), shift=st.floats(-5, 5))
def test_only_ranks_inside_an_era_count(seed, scale, shift):
    columns = predictions(seed)
    weights = np.array([0.2, 0.3, 0.5])
    moved = columns * scale
    moved[:50] += shift
    np.testing.assert_array_equal(blend(columns, weights, STARTS), blend(moved, weights, STARTS))


def test_one_member_keeps_its_order():
    column = predictions(0, 1)
    blended = blend(column, np.ones(1), STARTS)
    assert (np.argsort(blended[:50]) == np.argsort(column[:50, 0])).all()
    assert blended.min() > 0
    assert blended.max() < 1


def test_a_member_that_says_nothing_in_an_era_changes_nothing_there():
    columns = predictions(1, 2)
    alone = blend(columns[:, :1], np.ones(1), STARTS)
    columns[:50, 1] = 0.5
    np.testing.assert_allclose(blend(columns, np.ones(2), STARTS)[:50], alone[:50])


def test_no_member_is_an_error_that_says_so():
    with pytest.raises(BlendError, match="nothing to blend"):
        blend(np.empty((120, 0)), np.empty(0), STARTS)


def test_a_blend_of_which_nothing_would_be_left_is_refused():
    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, size=(20, 19)).astype(np.int8)
    with pytest.raises(BlendError, match=r"era number 0 .* has 20 rows and 19 features"):
        partly_neutral(
            rng.normal(size=(20, 1)), np.array([0, 20]), not_linear_in(lambda era: features), [1.0]
        )
    fewer = not_linear_in(lambda era: features[:, :18])
    neutral = partly_neutral(rng.normal(size=(20, 1)), np.array([0, 20]), fewer, [1.0])
    assert np.unique(neutral).size > 1
