"""The feature that matters is found, every measurement is kept, and drift is named."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from tests.panels import era_rows, small_panel, with_holes
from tests.training.test_walk_forward import PURGE, TARGET, counted_fits, recipe

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute.isolation import Inline
from numerai_kedro.data import FeatureBlock, open_panel, write_panel
from numerai_kedro.data.folds import walk_forward_folds
from numerai_kedro.metrics.corr import corr_of_era
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


class Linear:
    """Predicts by known weights."""

    def __init__(self, *weights):
        self.weights = np.array(weights)

    def predict_rows(self, rows):
        return (rows @ self.weights).astype(np.float32)


def test_a_drop_is_the_corr_lost_when_a_feature_is_shuffled_by_the_eras_number(tmp_path):
    write_panel(tmp_path, [with_holes(7, only_known=False)])
    era, model = open_panel(tmp_path), Linear(1.0, 0.5, 0, 0, 0, 0, 0, 0)
    label = era.target(TARGET).astype(float)
    known = ~np.isnan(label)
    rows, label = era.features(7)[known], label[known]
    order = np.random.default_rng(7).permutation(len(rows))

    def corr(changed):
        return corr_of_era(model.predict_rows(changed)[:, None].astype(float), label)[0]

    def without(column):
        changed = rows.copy()
        changed[:, column] = rows[order, column]
        return corr(rows) - corr(changed)

    names = ["feature_1", "unknown", "feature_0", "feature_5"]
    found = importance.shuffled_drops(model, era, TARGET, names)
    assert found[1] is None
    assert found[0] == pytest.approx(without(1), abs=1e-12)
    assert found[2] == pytest.approx(without(0), abs=1e-12)
    assert found[2] > found[0] != 0
    assert found[3] == 0


def test_columns_of_one_transformation_are_shuffled_together(tmp_path):
    rows = era_rows(7)
    columns = [f"derived_pairs_00{k}_abcdef01" for k in range(2)]
    block = FeatureBlock.of([*rows.features.names[:6], *columns], np.array(rows.features.matrix))
    write_panel(tmp_path, [dataclasses.replace(rows, features=block)])
    era = open_panel(tmp_path)
    both = Linear(1.0, 0, 0, 0, 0, 0, 1.0, -1.0)
    order = np.random.default_rng(7).permutation(40)
    changed = era.features(7).copy()
    changed[:, 6:] = changed[order, 6:]
    label = era.target(TARGET).astype(float)
    corr = [
        corr_of_era(both.predict_rows(each)[:, None].astype(float), label)[0]
        for each in (era.features(7), changed)
    ]
    (drop,) = importance.shuffled_drops(both, era, TARGET, ["pairs"])
    assert drop == pytest.approx(corr[0] - corr[1], abs=1e-12)


@pytest.mark.parametrize(("overlap", "together"), [(12, 3.0), (4, 1.0), (2, 1.0)])
def test_errors_count_as_many_scores_as_targets_do_not_overlap(overlap, together):
    drops = np.array([[0.01, 0.02], [0.03, 0.02], [0.02, 0.05]])
    gain, fold = np.array([0.5, 0.2, 0.3]), FOLDS[0]
    frame = importance._frame(fold, ["a", "b", "c"], gain, ["a", "c"], drops, overlap)
    assert frame["drop"].tolist() == pytest.approx([0.02, np.nan, 0.03], nan_ok=True)
    error = np.sqrt(together / 3) * drops.std(axis=0, ddof=1)
    expected = [error[0], np.nan, error[1]]
    assert frame["drop_error"].tolist() == pytest.approx(expected, nan_ok=True)
    assert frame["gain"].tolist() == gain.tolist()
    assert frame["n_eras"].tolist() == [3] * 3
    assert set(zip(frame["first_era"], frame["last_era"], strict=True)) == {fold.test}
    one = importance._frame(fold, ["a", "b", "c"], gain, ["a", "c"], drops[:1], overlap)
    assert one["drop"].tolist() == pytest.approx([0.01, np.nan, 0.02], nan_ok=True)
    assert one["drop_error"].isna().all()
    none = importance._frame(fold, ["a", "b", "c"], gain, ["a", "c"], drops[:0], overlap)
    assert none["drop"].isna().all()


def test_every_fourth_era_with_a_target_is_looked_at(tmp_path):
    write_panel(tmp_path, [era_rows(era, resolved=era < 30) for era in range(1, 41)])
    eras = importance._test_eras(open_panel(tmp_path), FOLDS[0], TARGET)
    assert [era.eras.tolist() for era in eras] == [[21], [25], [29]]


def test_gains_and_drops_are_means_over_a_folds_fits(made):
    panel, store = made
    seeds = [recipe(seed=seed) for seed in (0, 1)]
    fold = FOLDS[:1]
    apart = []
    for each in seeds:
        walk_forward(panel, fold, [each], PURGE, FitRunner(store))
        apart.append(importance_by_fold(panel, fold, [each], TARGET, 12, FitRunner(store)))
    work = importance._Work(panel.feature_names, TARGET, store, Inline())
    fits = [fit for each in seeds for fit in each.fits(panel, FOLDS[0].train)]
    gains = np.mean([frame["gain"] for frame in apart], axis=0)
    np.testing.assert_allclose(work.gains(fits), gains)
    eras = importance._test_eras(panel, FOLDS[0], TARGET)
    drops = work.drops(fits, eras, panel.feature_names)
    assert drops.shape == (3, 8)
    expected = np.mean([frame["drop"] for frame in apart], axis=0)
    np.testing.assert_allclose(drops.mean(axis=0), expected)


def test_where_no_model_is_left_no_era_is_measured(made):
    panel, store = made
    work = importance._Work(panel.feature_names, TARGET, store, Inline())
    fits = recipe(seed=9).fits(panel, FOLDS[0].train)
    assert work.drops(
        fits, importance._test_eras(panel, FOLDS[0], TARGET), ["feature_1"]
    ).shape == (
        0,
        1,
    )
    assert work.gains(fits) is None


def test_progress_counts_folds(made):
    steps = []
    panel, store = made
    runner = FitRunner(store, progress=lambda *step: steps.append(step))
    importance_by_fold(panel, FOLDS, 2 * [recipe()], TARGET, 12, runner)
    assert steps == [(0, 2), (1, 2), (2, 2)]


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
