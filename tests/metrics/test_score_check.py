"""Two computations of each score agree, and a wrongly computed score stops the blend."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerai_kedro.errors import BlendError
from numerai_kedro.metrics.score_check import check_scores
from numerai_kedro.metrics.scoring import rank_scores

SHARES = (0.05, 0.20, 0.50, 0.20, 0.05)


def rows(seed, n_rows=300, n_levels=None):
    rng = np.random.default_rng(seed)
    target = rng.choice([0, 0.25, 0.5, 0.75, 1], size=2 * n_rows, p=SHARES)
    prediction = rng.normal(size=2 * n_rows) + 0.3 * target
    if n_levels:
        prediction = np.round(prediction * n_levels) / n_levels
    return prediction, target, rng.normal(size=2 * n_rows) + 0.3 * prediction


def checked(prediction, target, meta, change=lambda corr, mmc: (corr, mmc)):
    n = len(target) // 2
    corr, mmc = rank_scores(np.array([0, n, 2 * n]), prediction[:, None], target, [meta])[:, :, 0]
    eras = np.array([7, 8])
    of_rows = np.repeat(eras, n)
    return check_scores(eras, of_rows, prediction, target, meta, *change(corr, mmc))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), n_levels=st.sampled_from([None, 3]))
def test_right_scores_agree(seed, n_levels):
    assert np.isfinite(checked(*rows(seed, n_levels=n_levels))).all()


def test_rows_and_eras_without_scores_are_left_out():
    prediction, target, meta = rows(0)
    meta[:20] = np.nan
    meta[300:] = np.nan
    target[300:] = np.nan
    scores = checked(prediction, target, meta)
    assert np.isfinite(scores[0])
    assert np.isnan(scores[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda corr, mmc: (corr, mmc * 0.25), "MMC of the blend in era 0007 is"),
        (lambda corr, mmc: (corr, mmc + np.array([0, 1e-5])), "MMC of the blend in era 0008 is"),
        (lambda corr, mmc: (-corr - 0.4, mmc), "CORR of the blend in era 0007 is"),
    ],
)
def test_a_wrong_score_stops_the_blend(change, message):
    with pytest.raises(BlendError, match=message):
        checked(*rows(1), change)
