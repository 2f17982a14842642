"""The demo's data looks like Numerai's: at 260 eras x 2,000 stocks x 240 features, signal scale 1.

Bounds are those of the generator's recipe; values of real data are given beside them.
"""

import itertools
from collections import deque

import numpy as np
import pytest

from numerai_kedro.demo import market, targets
from numerai_kedro.demo.sizes import DemoSize
from numerai_kedro.demo.truth import draw_truth
from numerai_kedro.metrics.corr import corr_of_era
from numerai_kedro.metrics.mmc import contribution_of_era

pytestmark = pytest.mark.slow
SIZE = DemoSize("realism", 260, 2_000, 240, last_train_era=100)
TRAIN_UNTIL, PURGE_20 = 180, 8
SHARES = (0.05, 0.20, 0.50, 0.20, 0.05)
LIGHTGBM = {
    "objective": "regression",
    "learning_rate": 0.05,
    "max_depth": 5,
    "num_leaves": 31,
    "feature_fraction": 0.1,
    "max_bin": 5,
    "seed": 1,
    "verbosity": -1,
    "force_col_wise": True,
    "num_threads": 2,
}


class Simulated:
    """Eras 1 to 260 in memory: features, both paid-style targets, and the truth."""

    def __init__(self, seed: int) -> None:
        self.truth = draw_truth(SIZE, seed)
        simulated = market.Market(SIZE, seed, self.truth, 1.0)
        state, waiting = simulated.first_state(), deque()
        self.features, self.target = {}, {20: {}, 60: {}}
        while len(self.features) < SIZE.n_eras:
            waiting.append(simulated.week(state))
            if len(waiting) == targets.MAX_WEEKS:
                first = waiting[0]
                returns = np.column_stack([week.returns[first.slots] for week in waiting])
                weekly = targets.neutral_returns(returns, targets.style_basis(first.styles))
                self.features[first.era] = np.ascontiguousarray(first.features)
                for days in (20, 60):
                    final = targets.target_after(weekly, days).astype(float)
                    self.target[days][first.era] = final
                waiting.popleft()
            simulated.step_(state)

    def feature_corr(self, days: int) -> np.ndarray:
        """CORR of each feature by era, after the eras in which features are missing."""
        return np.stack(
            [
                corr_of_era(self.features[era].astype(float), self.target[days][era])
                for era in range(41, SIZE.n_eras + 1)
            ]
        )


@pytest.fixture(scope="module")
def world() -> Simulated:
    return Simulated(seed=0)


@pytest.fixture(scope="module")
def corr(world) -> dict[int, np.ndarray]:
    return {days: world.feature_corr(days) for days in (20, 60)}


@pytest.fixture(scope="module")
def live_scores(world) -> dict[str, np.ndarray]:
    """LightGBM on eras 1 to 180, and on permuted targets: CORR of eras 181 on."""
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    eras = range(1, TRAIN_UNTIL + 1)
    features = np.concatenate([world.features[era] for era in eras])
    honest = np.concatenate([world.target[20][era] for era in eras])
    permuted = np.concatenate([rng.permutation(world.target[20][era]) for era in eras])
    scores = {}
    for name, label in (("honest", honest), ("permuted", permuted)):
        model = lgb.train(LIGHTGBM, lgb.Dataset(features, label=label), num_boost_round=300)
        scores[name] = np.array(
            [
                corr_of_era(model.predict(world.features[era])[:, None], world.target[20][era])[0]
                for era in range(TRAIN_UNTIL + 1, SIZE.n_eras + 1)
            ]
        )
    return scores


def test_features_hold_a_fifth_in_each_bin(world):
    for era in (60, 150, 260):
        features = world.features[era]
        counts = np.stack([(features == level).sum(axis=0) for level in range(5)])
        assert np.abs(counts - len(features) / 5).max() <= 1


def test_targets_have_numerais_histogram(world):
    for days in (20, 60):
        for era in (1, 130, 260):
            target = world.target[days][era]
            counts = [(target == level).sum() for level in (0, 0.25, 0.5, 0.75, 1)]
            np.testing.assert_allclose(counts, np.array(SHARES) * len(target), atol=1)


def test_features_of_a_group_are_more_alike_than_others(world):
    correlation = np.abs(np.corrcoef(world.features[200].T))
    np.fill_diagonal(correlation, np.nan)
    group = world.truth.group
    same = (group[:, None] == group) & (group[:, None] >= 0)
    assert np.nanmean(correlation[same]) > 2 * np.nanmean(correlation[~same])


@pytest.mark.parametrize(("days", "weeks"), [(20, 4), (60, 12)])
def test_scores_are_alike_while_targets_overlap_and_then_no_more(corr, days, weeks):
    centred = corr[days] - corr[days].mean(axis=0)

    def autocorrelation(lag: int) -> float:
        product = (centred[:-lag] * centred[lag:]).mean(axis=0)
        return float(np.mean(product / centred.var(axis=0)))

    near = [autocorrelation(lag) for lag in range(1, weeks)]
    far = [autocorrelation(lag) for lag in range(weeks + 1, weeks + 9)]
    assert near[0] > 0.3
    assert all(first > second for first, second in itertools.pairwise(near[:4]))
    assert max(np.abs(far)) < 0.08


def test_no_single_feature_is_a_strategy(corr):
    """Real data: largest per-feature Sharpe .60, standard deviation over features .25."""
    sharpe = np.abs(corr[20].mean(axis=0)) / corr[20].std(axis=0)
    assert sharpe.max() < 0.6


def test_lightgbm_scores_as_on_real_data(live_scores):
    purged = live_scores["honest"][PURGE_20:]
    assert 0.015 <= purged.mean() <= 0.035
    assert 0.012 <= purged.std() <= 0.022


def test_without_purge_a_model_scores_higher(world):
    """Overlapping targets leak: without a purge scores are inflated."""

    def score(era: int, later: int) -> float:
        predictions = world.features[later].astype(float) @ slopes
        return float(corr_of_era(predictions[:, None], world.target[20][later])[0])

    inside, outside = [], []
    for era in range(50, SIZE.n_eras - 12, 4):
        features = world.features[era] - 2.0
        slopes = np.linalg.lstsq(features, world.target[20][era] - 0.5, rcond=None)[0]
        inside.append(score(era, era + 1))
        outside.append(score(era, era + PURGE_20 + 1))
    difference = np.array(inside) - np.array(outside)
    assert difference.mean() > 3 * difference.std(ddof=1) / np.sqrt(len(difference))


def test_permuted_targets_teach_nothing(live_scores):
    scores = live_scores["permuted"][PURGE_20:]
    error = scores.std(ddof=1) / np.sqrt(len(scores) / 4)
    assert abs(scores.mean()) < 2.5 * error


def test_drifting_features_turn_when_their_regime_does(world, corr):
    drifting = world.truth.with_role("drifting")
    eras = np.arange(41, SIZE.n_eras + 1)
    sign = np.sign(world.truth.regimes[:, eras]).T
    along = (corr[20][:, drifting] * sign).mean()
    against = np.abs(corr[20][:, drifting].mean(axis=0)).mean()
    assert along > 2 * against


def test_a_collapsing_feature_dies(world):
    collapsed = world.truth.with_role("collapsed")
    sign = np.sign(world.truth.effect[collapsed])
    scores = {
        era: corr_of_era(world.features[era][:, collapsed].astype(float), world.target[60][era])
        for era in range(41, SIZE.n_eras + 1)
    }
    end = world.truth.collapse_era
    before = np.mean([scores[era] * sign for era in range(41, end - 12)])
    after = np.mean([scores[era] * sign for era in range(end + 1, SIZE.n_eras + 1)])
    assert before > after + 0.002


def test_the_meta_model_has_no_contribution_to_itself(world):
    crowd = np.random.default_rng(0).normal(size=len(world.target[60][100]))
    own = contribution_of_era(crowd[:, None], crowd, world.target[60][100])
    assert abs(own[0]) < 1e-12
