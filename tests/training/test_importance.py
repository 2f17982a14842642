"""The feature that matters is found, every measurement is kept, and drift is named."""

import numpy as np
import pandas as pd
import pytest
from tests.panels import small_panel
from tests.training.test_walk_forward import PURGE, TARGET, counted_fits, recipe

from numerai_kedro.cache import FoldStore
from numerai_kedro.data.folds import walk_forward_folds
from numerai_kedro.reporting.importance import drifting
from numerai_kedro.training import importance
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.importance import importance_by_fold
from numerai_kedro.training.walk_forward import walk_forward

FOLDS = walk_forward_folds((21, 44), 12, PURGE, "test")


@pytest.fixture
def made(tmp_path):
    panel, store = small_panel(tmp_path / "panel", n_eras=48), FoldStore(tmp_path / "store")
    walk_forward(panel, FOLDS, 2 * [recipe()], PURGE, FitRunner(store))
    return panel, store


def measured(panel, store, folds=FOLDS):
    return importance_by_fold(panel, folds, len(folds) * [recipe()], TARGET, 12, FitRunner(store))


def test_the_planted_feature_carries_gain_and_corr_in_every_fold(made):
    frame = measured(*made)
    assert len(frame) == 2 * 8
    for _, rows in frame.groupby("fold"):
        assert rows["gain"].sum() == pytest.approx(1)
        best = rows.set_index("feature")
        assert best["gain"].idxmax() == best["drop"].idxmax() == "feature_0"
        assert best["drop"]["feature_0"] > 5 * best["drop"].drop("feature_0").max()
        assert best["n_eras"].unique().tolist() == [3]


def test_a_second_look_measures_nothing(made, monkeypatch):
    first = measured(*made)
    monkeypatch.setattr(importance, "corr_of_era", pytest.fail)
    pd.testing.assert_frame_equal(measured(*made), first)


def test_nothing_is_fitted_for_it(made, monkeypatch):
    calls = counted_fits(monkeypatch)
    panel, store = made
    store.keep_within(0)
    assert measured(panel, store).empty
    assert calls == []


def test_what_was_measured_stays_when_the_models_go(made):
    panel, store = made
    first = measured(panel, store)
    store.keep_within(0)
    pd.testing.assert_frame_equal(measured(panel, store), first)


def test_only_the_features_with_the_most_gain_are_shuffled(made, monkeypatch):
    monkeypatch.setattr(importance, "N_SHUFFLED", 2)
    frame = measured(*made)
    shuffled = frame.dropna(subset=["drop"]).groupby("fold")["feature"].apply(list)
    assert all(len(features) == 2 and "feature_0" in features for features in shuffled)


def blocks(drops, error=0.0002):
    eras = np.arange(len(drops)) * 40 + 268
    return pd.DataFrame({"first_era": eras, "feature": "f", "drop": drops, "drop_error": error})


@pytest.mark.parametrize(
    ("drops", "kind"),
    [
        ([0.004, 0.005, 0.0001], "dies"),
        ([0.004, 0.005, -0.003], "flips"),
        ([0.004, 0.005, 0.004], None),
        ([0.0001, 0.0002, -0.003], None),  # it never mattered significantly
        ([0.004, -0.003], None),  # one block before is too few
    ],
)
def test_an_importance_that_dies_or_flips_is_named(drops, kind):
    named = drifting(blocks(drops))
    assert [feature["kind"] for feature in named] == ([kind] if kind else [])


def test_noise_is_seldom_called_drift():
    rng = np.random.default_rng(0)
    named = [
        len(drifting(blocks(0.003 + 0.0005 * rng.normal(size=6), error=0.0005))) for _ in range(500)
    ]
    assert np.mean(named) < 0.02
