"""numerai-tools is the oracle: equal to 1e-12, under heavy ties, NaN and constants too."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numerai_tools import scoring as tools

from numerai_kedro.errors import PredictionError
from numerai_kedro.metrics.corr import corr_of_era
from numerai_kedro.metrics.fnc import Neutraliser, feature_scores, max_exposure_of_era
from numerai_kedro.metrics.mmc import contribution_of_era
from numerai_kedro.metrics.ranks import gaussian_rank, signed_power
from numerai_kedro.metrics.scoring import rank_scores

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


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_targets_in_single_precision_score_as_numerai_tools_scores_them_in_double(seed):
    """Seven bins, as some targets have: their mean in float32 is off by 1e-8."""
    predictions, _, frame, _ = era(seed, n_rows=401)
    rng = np.random.default_rng(seed + 1)
    target = (rng.integers(0, 7, size=401) / 6).astype(np.float32)
    series = pd.Series(target.astype(np.float64), index=frame.index, name="target")
    reference = rng.normal(size=401)
    features = rng.integers(0, 5, size=(401, 30)).astype(np.int8)
    meta = pd.Series(reference, index=frame.index, name="meta")
    neutralisers = pd.DataFrame(features.astype(float), frame.index, [f"f{k}" for k in range(30)])
    expected = (
        tools.numerai_corr(frame, series),
        tools.correlation_contribution(frame, meta, series),
        tools.feature_neutral_corr(frame, neutralisers, series),
    )
    starts = np.array([0, 401])
    corr, mmc = rank_scores(starts, predictions, target, [reference])[:, 0]
    (fnc,), _ = feature_scores(starts, predictions, target, lambda era: features)
    alone = (
        corr_of_era(predictions, target),
        contribution_of_era(predictions, reference, target),
        fnc,
    )
    for ours in ((corr, mmc, fnc), alone):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-10)


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
    (ours,), _ = feature_scores(np.array([0, 400]), predictions, target, lambda era: features)
    np.testing.assert_allclose(ours, expected, atol=1e-10)


def test_constant_and_doubled_features_do_not_break_neutralising():
    predictions, _, _, _ = era(5)
    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, size=(200, 6)).astype(np.int8)
    features[:, 2] = 2
    features[:, 4] = features[:, 1]
    residuals = Neutraliser(features).residuals(predictions)
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
    (scores,) = rank_scores(np.array([0, 200, 400, 600]), predictions, target)
    np.testing.assert_allclose(scores[0], corr_of_era(first[0], first[1]))
    assert np.isnan(scores[1]).all()
    np.testing.assert_allclose(scores[2], corr_of_era(third[0], third[1]))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    n_levels=st.sampled_from([None, 2, 20]),
    missing=st.sampled_from([0.0, 0.02, 0.08]),
)
def test_rows_that_lack_something_are_left_out_as_numerai_does(seed, n_levels, missing):
    predictions, target, frame, series = era(seed, n_levels=n_levels)
    rng = np.random.default_rng(seed + 2)
    reference = rng.normal(size=len(target))
    # Counted, not drawn: numerai-tools refuses eras that lack more than a fifth.
    few, fewer = round(200 * missing), round(200 * missing / 3)
    predictions[rng.permutation(200)[:few], 1] = np.nan
    target[rng.permutation(200)[:fewer]] = np.nan
    reference[rng.permutation(200)[:fewer]] = np.nan
    frame[:], series[:] = predictions, target
    meta = pd.Series(reference, index=frame.index, name="meta")
    corr, mmc = rank_scores(np.array([0, 200]), predictions, target, [reference])[:, 0]
    for column, name in enumerate(frame):
        alone = frame[[name]]
        assert corr[column] == pytest.approx(tools.numerai_corr(alone, series)[name], abs=1e-12)
        expected = tools.correlation_contribution(alone, meta, series)[name]
        assert mmc[column] == pytest.approx(expected, abs=1e-12)


def test_constants_score_what_they_score_at_numerai():
    predictions, target, frame, series = era(2)
    predictions[:, 1] = 7.0
    frame[:] = predictions
    reference = np.random.default_rng(0).normal(size=200)
    meta = pd.Series(reference, index=frame.index, name="meta")
    scores = rank_scores(np.array([0, 200]), predictions, target, [reference, np.ones(200)])[:, 0]
    np.testing.assert_allclose(scores[0], tools.numerai_corr(frame, series), atol=1e-12)
    expected = tools.correlation_contribution(frame, meta, series)
    np.testing.assert_allclose(scores[1], expected, atol=1e-12)
    assert np.isnan(scores[0, 1])
    assert scores[1, 1] == 0
    assert np.isnan(scores[2]).all()  # beyond a constant reference
    assert np.isnan(rank_scores(np.array([0, 200]), predictions, np.full(200, 0.5))).all()


def test_numerais_own_examples():
    """The documented examples of numerai_corr's parts and of the submission rules."""
    frame = pd.DataFrame({"a": [1.0, 2, 3, 3, 4]}, index=list("abcde"))
    expected = tools.tie_kept_rank__gaussianize__pow_1_5(frame)["a"].to_numpy()
    tails = signed_power(gaussian_rank(frame.to_numpy()), 1.5)[:, 0]
    np.testing.assert_allclose(tails, expected, atol=1e-12)


def test_a_column_that_lacks_too_much_is_named():
    predictions, target, frame, series = era(1)
    predictions[:41, 1] = np.nan
    with pytest.raises(AssertionError):
        tools.numerai_corr(pd.DataFrame({"a": predictions[:, 1]}, index=frame.index), series)
    with pytest.raises(PredictionError, match="column 1 lacks 41 of 200 rows in era number 0"):
        rank_scores(np.array([0, 200]), predictions, target)


def test_an_infinite_prediction_is_named():
    predictions, target, _, _ = era(1)
    predictions[17, 2] = np.inf
    with pytest.raises(PredictionError, match="column 2 is infinite in era number 1"):
        rank_scores(np.array([0, 10, 200]), predictions, target)


def test_an_era_of_one_row_is_a_sentence():
    predictions, target, frame, series = era(1)
    with pytest.raises(AssertionError):
        tools.numerai_corr(frame.iloc[:1], series.iloc[:1])
    with pytest.raises(PredictionError, match="era number 1 of those scored has one row"):
        rank_scores(np.array([0, 199, 200]), predictions, target)


def test_a_reference_that_covers_too_little_scores_nothing():
    predictions, target, _, _ = era(1)
    reference = np.random.default_rng(0).normal(size=200)
    reference[:41] = np.nan
    corr, mmc = rank_scores(np.array([0, 200]), predictions, target, [reference])[:, 0]
    assert not np.isnan(corr).any()
    assert np.isnan(mmc).all()


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_a_singular_gram_falls_back_and_neutralises_all_the_same(precision):
    predictions, _, _, _ = era(5)
    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, size=(200, 8)).astype(np.int8)
    features[:, 7] = features[:, 1] + features[:, 2] - features[:, 3]
    alone = Neutraliser(features[:, :7], precision).residuals(predictions)
    both = Neutraliser(features, precision).residuals(predictions)
    np.testing.assert_allclose(both, alone, atol=1e-10 if precision is np.float64 else 1e-3)


@pytest.mark.parametrize("largest", [4, 3_000])
def test_integers_are_neutralised_as_floats_are(largest):
    """Small ones by an exact product in single precision, larger ones not."""
    predictions, _, _, _ = era(5)
    rng = np.random.default_rng(0)
    features = rng.integers(0, largest + 1, size=(200, 20)).astype(np.int16)
    ours = Neutraliser(features).residuals(predictions)
    expected = Neutraliser(features.astype(np.float64)).residuals(predictions)
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_fewer_rows_than_features_leave_nothing():
    predictions, _, _, _ = era(5, n_rows=10)
    features = np.random.default_rng(0).integers(0, 5, size=(10, 30)).astype(np.int8)
    assert np.abs(Neutraliser(features).residuals(predictions)).max() < 1e-10


@pytest.mark.parametrize(
    ("n_features", "scored"), [(30, False), (20, False), (19, False), (18, True)]
)
def test_fnc_against_as_many_features_as_rows_is_nan(n_features, scored):
    """A constant counts as one: 19 features and it explain any 20 values."""
    predictions, target, _, _ = era(5, n_rows=20)
    features = np.random.default_rng(0).integers(0, 5, size=(20, n_features)).astype(np.int8)
    fnc, exposure = feature_scores(np.array([0, 20]), predictions, target, lambda era: features)
    assert (~np.isnan(fnc)).all() == scored
    assert np.isnan(fnc).all() != scored
    assert not np.isnan(exposure).any()


def test_feature_scores_are_those_of_each_era_and_left_out_where_unresolved():
    first, second = era(1), era(2)
    rng = np.random.default_rng(0)
    features = [rng.integers(0, 5, size=(200, 6)).astype(np.int8) for _ in range(2)]
    predictions = np.vstack([first[0], second[0]])
    target = np.concatenate([first[1], np.full(200, np.nan)])
    steps = []
    fnc, exposure = feature_scores(
        np.array([0, 200, 400]),
        predictions,
        target,
        features.__getitem__,
        lambda *step: steps.append(step),
    )
    neutral = Neutraliser(features[0]).residuals(gaussian_rank(first[0]))
    np.testing.assert_allclose(fnc[0], corr_of_era(neutral, first[1]))
    assert np.isnan(fnc[1]).all()
    np.testing.assert_allclose(exposure[1], max_exposure_of_era(second[0], features[1]))
    assert steps == [(1, 2), (2, 2)]
