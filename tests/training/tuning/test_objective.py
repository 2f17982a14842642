"""The objective of a trial, and when a gain is significant."""

import numpy as np
import pytest
from tests.panels import small_panel

from numerai_kedro.training.tuning.objective import (
    EraScores,
    block_means,
    era_scores,
    gain_bound,
    objective,
)

TARGET = "target_ender_60"


def test_payoff_is_what_the_round_pays():
    scores = EraScores((1, 2), (0.02, -0.01), (0.001, 0.002))
    np.testing.assert_allclose(scores.payoff(3.0, 15.0), [0.075, 0.0])
    assert (scores + scores).eras == (1, 2, 1, 2)


def test_scores_are_numerais_and_the_benchmark_adds_nothing_to_itself(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=5, n_rows=200)
    signal = panel.features(1)[:, 0]
    predictions = np.concatenate([panel.features(int(e))[:, 0] for e in panel.eras]).astype(float)
    predictions += np.random.default_rng(0).normal(size=len(predictions)) * 0.1
    same = era_scores(panel, predictions, predictions, TARGET)
    assert np.mean(same.corr) > 0.3
    np.testing.assert_allclose(same.bmc, 0, atol=1e-12)
    other = np.random.default_rng(1).random(panel.n_rows)
    assert np.mean(era_scores(panel, predictions, other, TARGET).bmc) > 0.1
    assert signal.max() == 4


def test_rows_without_a_benchmark_are_left_out_of_bmc_alone(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=3)
    predictions = np.random.default_rng(0).random(panel.n_rows)
    none = era_scores(panel, predictions, np.full(panel.n_rows, np.nan), TARGET)
    assert np.isfinite(none.corr).all()
    assert np.isnan(none.bmc).all()


def test_steady_is_worth_more_than_wild():
    rng = np.random.default_rng(0)
    steady, wild = 0.1 + 0.01 * rng.normal(size=96), 0.1 + 0.3 * rng.normal(size=96)
    wild += 0.1 - wild.mean()
    assert objective(steady, 12, 1.0) > objective(wild, 12, 1.0)
    assert objective(wild, 12, 0.0) == pytest.approx(0.1)


def test_few_eras_have_a_mean_and_none_have_nothing():
    assert objective(np.array([0.1, 0.3]), 12, 1.0) == pytest.approx(0.2)
    assert np.isnan(objective(np.array([np.nan]), 12, 1.0))


def test_blocks_are_as_long_as_a_target():
    assert block_means(np.arange(26.0), 12) == [6.0, 19.0]
    assert block_means(np.arange(5.0), 12) == [2.0]


def test_a_gain_is_adopted_when_it_is_sure_and_not_by_chance():
    """Planted: noise of overlapping eras keeps the level, and a real gain is found."""
    rng = np.random.default_rng(0)
    adopted = 0
    for _ in range(400):
        shocks = rng.normal(size=260 + 11)
        noise = np.convolve(shocks, np.ones(12) / 12, mode="valid")
        bound = gain_bound(noise, np.zeros(260), 12, 0.95)[1]
        adopted += bound > 0
    assert 4 <= adopted <= 40  # 5 % of 400 is 20
    gain, low = gain_bound(noise + 1.0, np.zeros(260), 12, 0.95)
    assert gain > low > 0


def test_too_few_eras_have_no_bound():
    assert gain_bound(np.ones(59), np.zeros(59), 12, 0.95) == (1.0, None)


def test_a_model_that_says_nothing_is_worth_nothing(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=3)
    scores = era_scores(
        panel, np.ones(panel.n_rows), np.random.default_rng(0).random(panel.n_rows), TARGET
    )
    assert scores.corr == (0.0, 0.0, 0.0)
    assert scores.payoff(3.0, 15.0) == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
