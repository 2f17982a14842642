"""Kilobytes an era score a blend nearly as its rows do."""

import numpy as np
import pytest

from numerai_kedro.ensemble.blending import blend
from numerai_kedro.ensemble.member_scores import MemberScores, blend_scores, mmc_share
from numerai_kedro.metrics.scoring import rank_scores

N_ERAS, N_ROWS, N_MEMBERS = 12, 2_000, 4
STARTS = np.arange(N_ERAS + 1) * N_ROWS


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=N_ERAS * N_ROWS)
    target = np.digitize(truth, [-1.6, -0.7, 0.7, 1.6]) / 4
    common = rng.normal(size=len(truth))
    members = [0.1 * truth + common + rng.normal(size=len(truth)) for _ in range(N_MEMBERS)]
    meta = 0.1 * truth + common + 0.5 * rng.normal(size=len(truth))
    return np.column_stack(members), target.astype(float), meta, meta + rng.normal(size=len(truth))


@pytest.fixture(scope="module")
def scores(rows):
    return MemberScores.of(np.arange(1, N_ERAS + 1), STARTS, *rows)


def test_a_member_alone_scores_exactly_what_it_scores(rows, scores):
    corr, mmc, bmc = rank_scores(STARTS, rows[0], rows[1], [rows[2], rows[3]])
    alone = np.eye(N_MEMBERS)
    for ours, exact in ((scores.corr, corr), (scores.mmc, mmc), (scores.bmc, bmc)):
        blended = blend_scores(alone, ours, scores.products).T
        np.testing.assert_allclose(blended, exact, rtol=2e-3, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_blend_scores_nearly_what_its_rows_score(rows, scores, seed):
    weights = np.random.default_rng(seed).dirichlet(np.ones(N_MEMBERS))
    blended = blend(rows[0], weights, STARTS)[:, None]
    corr, mmc, _ = rank_scores(STARTS, blended, rows[1], [rows[2], rows[3]])[:, :, 0]
    for ours, exact in ((scores.corr, corr), (scores.mmc, mmc)):
        near = blend_scores(weights, ours, scores.products)
        assert np.abs(near - exact).max() < 1e-2  # the blend is ranked again
        assert abs(near.mean() - exact.mean()) < 1e-3


def test_only_eras_up_to_one_are_known(scores):
    assert scores.until(3).eras.tolist() == [1, 2, 3]
    assert scores.until(3).products.shape == (3, N_MEMBERS, N_MEMBERS)


def test_mmc_counts_by_its_independent_eras():
    assert mmc_share(87, 12) == pytest.approx(7.25 / 47.25)
    assert mmc_share(0, 12) == 0


def test_payoff_takes_mmc_beside_bmc_where_it_is_known(scores):
    half = MemberScores(
        scores.eras,
        scores.corr,
        np.where(np.arange(N_ERAS)[:, None] < 6, np.nan, scores.mmc),
        scores.bmc,
        scores.products,
    )
    paid = half.payoff(3.0, 15.0, overlap_eras=1)
    np.testing.assert_allclose(paid[:6], 3 * scores.corr[:6] + 15 * scores.bmc[:6])
    share = mmc_share(6, 1)
    mixed = (1 - share) * scores.bmc[6:] + share * scores.mmc[6:]
    np.testing.assert_allclose(paid[6:], 3 * scores.corr[6:] + 15 * mixed)
    corr, beyond = half.earned(3.0, 15.0, overlap_eras=1)
    np.testing.assert_allclose(corr, 3 * scores.corr)
    np.testing.assert_allclose(corr + beyond, paid)
