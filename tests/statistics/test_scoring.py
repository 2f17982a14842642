"""numerai-tools is the oracle: equal to 1e-12, under heavy ties too."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numerai_tools import scoring as tools

from numerai_kedro.errors import PredictionError
from numerai_kedro.statistics.scoring import (
    contribution_of_era,
    corr_of_era,
    max_exposure_of_era,
    neutral_corr_of_era,
    neutralise,
    score_by_era,
)

SHARES = (0.05, 0.20, 0.50, 0.20, 0.05)


def era(seed: int, n_rows: int = 200, n_models: int = 3, n_levels: int | None = None):
    rng = np.random.default_rng(seed)
    predictions = rng.normal(size=(n_rows, n_models))
    if n_levels is not None:
        predictions = np.round(predictions * n_levels) / n_levels
    target = rng.choice([0, 0.25, 0.5, 0.75, 1], size=n_rows, p=SHARES)
    ids = [f"n{number:04d}" for number in range(n_rows)]
    frame = pd.DataFrame(predictions, index=ids, columns=[f"m{k}" for k in range(n_models)])
    return predictions, target, frame, pd.Series(target, index=ids, name="target")


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), n_levels=st.sampled_from([None, 1, 2, 20]))
def test_corr_agrees_with_numerai_tools_under_ties(seed, n_levels):
    predictions, target, frame, series = era(seed, n_levels=n_levels)
    expected = tools.numerai_corr(frame, series).to_numpy()
    np.testing.assert_allclose(corr_of_era(predictions, target), expected, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), n_levels=st.sampled_from([None, 1, 20]))
def test_contribution_agrees_with_numerai_tools_under_ties(seed, n_levels):
    predictions, target, frame, series = era(seed, n_levels=n_levels)
    reference = np.random.default_rng(seed + 1).normal(size=len(target))
    meta = pd.Series(reference, index=frame.index, name="meta")
    expected = tools.correlation_contribution(frame, meta, series).to_numpy()
    ours = contribution_of_era(predictions, reference, target)
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_the_meta_model_contributes_nothing_to_itself():
    predictions, target, _, _ = era(3)
    scores = contribution_of_era(predictions, predictions[:, 0], target)
    assert abs(scores[0]) < 1e-12
    assert abs(scores[1]) > 1e-6


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_fnc_agrees_with_numerai_tools(seed):
    predictions, target, frame, series = era(seed, n_rows=400)
    features = np.random.default_rng(seed).integers(0, 5, size=(400, 30)).astype(np.int8)
    names = [f"f{k}" for k in range(30)]
    neutralisers = pd.DataFrame(features.astype(float), index=frame.index, columns=names)
    expected = tools.feature_neutral_corr(frame, neutralisers, series).to_numpy()
    ours = neutral_corr_of_era(predictions, features, target)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_constant_and_doubled_features_do_not_break_neutralising():
    predictions, _, _, _ = era(5)
    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, size=(200, 6)).astype(np.int8)
    features[:, 2] = 2
    features[:, 4] = features[:, 1]
    residuals = neutralise(predictions, features)
    centred = features - features.mean(axis=0)
    assert np.abs(centred.T @ residuals).max() < 1e-4
    assert np.abs(residuals.mean(axis=0)).max() < 1e-12


def test_exposure_agrees_with_numerai_tools():
    predictions, _, frame, _ = era(7)
    features = np.random.default_rng(1).integers(0, 5, size=(200, 12)).astype(np.int8)
    table = pd.DataFrame(features, index=frame.index, columns=[f"f{k}" for k in range(12)])
    for column, name in enumerate(frame):
        ranks = frame[name].rank()
        expected = tools.max_feature_correlation(ranks, table.astype(float))[1]
        assert max_exposure_of_era(predictions, features)[column] == pytest.approx(expected)


def test_eras_are_scored_apart_and_unresolved_ones_are_nan():
    first, second, third = (era(seed) for seed in (1, 2, 3))
    predictions = np.vstack([first[0], second[0], third[0]])
    target = np.concatenate([first[1], np.full(200, np.nan), third[1]])
    scores = score_by_era(corr_of_era, np.array([0, 200, 400, 600]), predictions, target)
    np.testing.assert_allclose(scores[0], corr_of_era(first[0], first[1]))
    assert np.isnan(scores[1]).all()
    np.testing.assert_allclose(scores[2], corr_of_era(third[0], third[1]))


def test_a_nan_prediction_is_named_not_scored():
    predictions, target, _, _ = era(1)
    predictions[17, 1] = np.nan
    with pytest.raises(PredictionError, match="column 1 holds 1 values"):
        score_by_era(corr_of_era, np.array([0, 200]), predictions, target)
