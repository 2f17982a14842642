"""No look-ahead, shown by changing later targets; and nothing finished is computed twice."""

import dataclasses
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.panels import era_rows, small_panel
from tests.runners import runner_at

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute.worker_pool import WorkerPool
from numerai_kedro.data import EraRows, open_panel, write_panel
from numerai_kedro.data.folds import Fold, walk_forward_folds
from numerai_kedro.errors import LeakError
from numerai_kedro.models.registry import family
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.walk_forward import (
    fit_live,
    predictions_frame,
    recoveries_of,
    walk_forward,
)

TARGET = "target_ender_60"
PURGE = 4
FOLDS = walk_forward_folds((21, 32), 6, PURGE, "test")
PARAMS = {
    "n_estimators": 20,
    "learning_rate": 0.1,
    "max_depth": 3,
    "num_leaves": 7,
    "colsample_bytree": 0.5,
    "min_data_in_leaf": 10,
    "lambda_l2": 0.0,
    "path_smooth": 0.0,
    "strength": 0.0,
}


def recipe(era_stride=1, n_offsets=1, seed=0, targets=(TARGET,), **changes):
    model_class = family("lightgbm")
    params = model_class.params_type.model_validate(PARAMS | changes)
    return Recipe("lightgbm", model_class, params, targets, era_stride, n_offsets, seed, threads=1)


def permuted_after(folder, last_era, n_eras=36):
    """The same history with the targets of all later eras shuffled."""
    rng = np.random.default_rng(1)
    blocks = []
    for era in range(1, n_eras + 1):
        rows = era_rows(era)
        if era > last_era:
            order = pa.array(rng.permutation(len(rows.ids)))
            targets = rows.targets.take(order)
            rows = EraRows(era, rows.data_type, rows.ids, rows.features, targets)
        blocks.append(rows)
    write_panel(folder, blocks)
    return open_panel(folder)


@pytest.mark.parametrize("number", [0, 1])
def test_targets_after_a_folds_training_window_change_nothing_of_it(tmp_path, number):
    fold = FOLDS[number]
    honest = small_panel(tmp_path / "a", n_eras=36)
    changed = permuted_after(tmp_path / "b", last_era=fold.train[1])
    frames = [
        walk_forward(panel, [fold], [recipe()], PURGE, runner_at(tmp_path / f"store-{k}"))[0]
        for k, panel in enumerate((honest, changed))
    ]
    np.testing.assert_array_equal(frames[0]["prediction"], frames[1]["prediction"])


def test_the_check_above_can_fail(tmp_path):
    """A target inside the training window does change the fold."""
    fold = FOLDS[0]
    honest = small_panel(tmp_path / "a", n_eras=36)
    changed = permuted_after(tmp_path / "b", last_era=fold.train[1] - 1)
    frames = [
        walk_forward(panel, [fold], [recipe()], PURGE, runner_at(tmp_path / f"store-{k}"))[0]
        for k, panel in enumerate((honest, changed))
    ]
    assert (frames[0]["prediction"] != frames[1]["prediction"]).any()


def test_the_live_fit_is_blind_to_later_targets_too(tmp_path):
    honest = small_panel(tmp_path / "a", n_eras=36)
    changed = permuted_after(tmp_path / "b", last_era=25)
    predictions = [
        predictions_frame(
            fit_live(panel, (1, 25), recipe(), runner_at(tmp_path / f"store-{k}")),
            honest,
        )["prediction"]
        for k, panel in enumerate((honest, changed))
    ]
    np.testing.assert_array_equal(*predictions)


def test_a_planted_leak_is_refused(tmp_path):
    panel = small_panel(tmp_path / "a", n_eras=36)
    leaking = Fold("test-1", (1, 19), (21, 26))
    with pytest.raises(LeakError, match="trains on era 0019, 2 before test era 0021"):
        walk_forward(panel, [leaking], [recipe()], PURGE, runner_at(tmp_path / "store"))


def counted_fits(monkeypatch):
    model_class = family("lightgbm")
    calls, real = [], model_class.fit

    def fit(self, train, *others):
        calls.append(int(train.eras[-1]))
        return real(self, train, *others)

    monkeypatch.setattr(model_class, "fit", fit)
    return calls


BROKEN = recipe().with_params(recipe().params.model_copy(update={"num_leaves": 1}))


def test_folds_that_are_fitted_at_once_are_the_folds_fitted_in_turn(tmp_path, caplog):
    caplog.set_level("INFO")
    panel = small_panel(tmp_path / "panel", n_eras=34)
    steps = []
    with WorkerPool(2, "lightgbm") as pool:
        store = FoldStore(tmp_path / "at-once")
        progress = lambda done, of: steps.append(done / of)  # noqa: E731 - handed on
        arguments = (panel, FOLDS, 2 * [recipe()], PURGE)
        beside = [fit for spec in (recipe(), BROKEN) for fit in spec.fits(panel, (1, 29))]
        at_once, iterations = walk_forward(
            *arguments, FitRunner(store, pool, progress), prefetch=beside
        )
        assert caplog.text.count(", fitted") == 2
        assert [store.has_model(fit.key) for fit in beside] == [True, False]
        assert pool.readings() != []
    with WorkerPool(2, "lightgbm") as idle:
        walk_forward(*arguments, FitRunner(store, idle))
        assert idle.readings() == []
        assert caplog.text.count("from the fold store") == 2
    in_turn, as_many = walk_forward(panel, FOLDS, 2 * [recipe()], PURGE, runner_at(tmp_path / "b"))
    pd.testing.assert_frame_equal(at_once, in_turn)
    assert iterations == as_many
    assert steps == sorted(steps)
    assert steps[-1] == 1


def test_a_new_era_adds_a_prediction_and_no_refit(tmp_path, monkeypatch):
    calls = counted_fits(monkeypatch)
    store = FoldStore(tmp_path / "store")
    panel = small_panel(tmp_path / "panel", n_eras=34)
    before, _ = walk_forward(panel, FOLDS, 2 * [recipe()], PURGE, FitRunner(store))
    assert len(calls) == 2
    panel = small_panel(tmp_path / "panel", n_eras=35)
    later = walk_forward_folds((21, 33), 6, PURGE, "test")
    after, _ = walk_forward(panel, later[:2], 2 * [recipe()], PURGE, FitRunner(store))
    assert len(calls) == 2
    np.testing.assert_array_equal(before["prediction"], after["prediction"])
    walk_forward(panel, later, 3 * [recipe()], PURGE, FitRunner(store))
    assert len(calls) == 3


@pytest.mark.parametrize("changed", [{"seed": 1}, {"era_stride": 2}, {"num_leaves": 6}])
def test_whatever_decides_a_fit_is_part_of_its_key(tmp_path, monkeypatch, changed):
    calls = counted_fits(monkeypatch)
    store = FoldStore(tmp_path / "store")
    panel = small_panel(tmp_path / "panel", n_eras=34)
    walk_forward(panel, FOLDS, 2 * [recipe()], PURGE, FitRunner(store))
    walk_forward(panel, FOLDS, 2 * [recipe(**changed)], PURGE, FitRunner(store))
    assert len(calls) == 4


def test_the_stride_thins_from_the_newest_era_back(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=20)
    (thinned,) = recipe(era_stride=3).fits(panel, (1, 20))
    assert thinned.train.eras.tolist() == [2, 5, 8, 11, 14, 17, 20]


def test_offsets_share_out_all_eras_and_never_meet(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=20)
    fits = recipe(era_stride=3, n_offsets=3).fits(panel, (1, 20))
    eras = [set(fit.train.eras.tolist()) for fit in fits]
    assert set.union(*eras) == set(range(1, 21))
    assert sum(map(len, eras)) == 20


def test_several_fits_are_blended_era_by_era(tmp_path, monkeypatch):
    calls = counted_fits(monkeypatch)
    panel, store = small_panel(tmp_path / "panel", n_eras=34), FoldStore(tmp_path / "store")
    both = recipe(era_stride=2, n_offsets=2)
    averaged, iterations = walk_forward(panel, FOLDS[:1], [both], PURGE, FitRunner(store))
    assert len(calls) == 2
    assert iterations == {"test-1": 40}
    single, _ = walk_forward(panel, FOLDS[:1], [recipe(era_stride=2)], PURGE, FitRunner(store))
    assert len(calls) == 2  # the newest offset was made before
    by_era = averaged.assign(one=single["prediction"]).groupby("era")
    assert (by_era[["prediction", "one"]].corr("spearman").iloc[0::2, 1] > 0.5).all()
    assert by_era["prediction"].max().max() < 1  # ranks, not the fits' own scale


def test_more_targets_are_models_of_their_own(tmp_path):
    panel, store = small_panel(tmp_path / "panel", n_eras=34), FoldStore(tmp_path / "store")
    two = recipe(targets=(TARGET, "target_ender_20"))
    models = fit_live(panel, (1, 20), two, FitRunner(store))
    assert len(models) == 2
    assert len(predictions_frame(models, panel)) == panel.n_rows


def test_unresolved_eras_are_not_learned_from(tmp_path):
    blocks = [era_rows(era, resolved=era <= 15) for era in range(1, 21)]
    write_panel(tmp_path / "panel", blocks)
    (fit,) = recipe().fits(open_panel(tmp_path / "panel"), (1, 20))
    assert fit.train.eras[-1] == 15


def test_a_gpu_that_fails_falls_back_to_the_cpu_and_is_said(tmp_path, monkeypatch, caplog):
    model_class = family("lightgbm")
    devices, real = [], model_class.fit

    def fit(self, *others):
        devices.append(self.device)
        if self.device == "cuda":
            raise RuntimeError("CUDA error 35:\n driver too old")
        return real(self, *others)

    monkeypatch.setattr(model_class, "fit", fit)
    panel, store = small_panel(tmp_path / "panel", n_eras=34), FoldStore(tmp_path / "store")
    on_gpu = dataclasses.replace(recipe(), device="cuda")
    oof, _ = walk_forward(panel, FOLDS[:1], [on_gpu], PURGE, FitRunner(store))
    assert devices == ["cuda", "cpu"]
    assert "the GPU failed (CUDA error 35: driver too old): fitted on the CPU" in caplog.text
    (line,) = recoveries_of(panel, FOLDS[:1], [on_gpu], store)
    assert (line["place"], line["remedy"]) == ("test-1, lightgbm", "fitted on the CPU")
    assert line["result"] == "succeeded"
    on_cpu, _ = walk_forward(panel, FOLDS[:1], [recipe()], PURGE, runner_at(tmp_path / "other"))
    pd.testing.assert_frame_equal(oof, on_cpu)


KILLED = """
import os, signal, sys
from tests.training.test_walk_forward import FOLDS, PURGE, recipe
from numerai_kedro.cache import FoldStore
from numerai_kedro.data import open_panel
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.walk_forward import walk_forward
def kill_in_the_second_fold(done, total):
    if done == 1:
        os.kill(os.getpid(), signal.SIGKILL)
runner = FitRunner(FoldStore(sys.argv[2]), progress=kill_in_the_second_fold)
walk_forward(open_panel(sys.argv[1]), FOLDS, 2 * [recipe()], PURGE, runner)
"""


def test_a_killed_walk_forward_goes_on_after_the_last_finished_fold(tmp_path, monkeypatch):
    panel = small_panel(tmp_path / "panel", n_eras=34)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(panel.folder), str(tmp_path / "store")],
        check=False,
        cwd=os.getcwd(),
    )
    assert killed.returncode == -signal.SIGKILL
    calls = counted_fits(monkeypatch)
    resumed, _ = walk_forward(panel, FOLDS, 2 * [recipe()], PURGE, runner_at(tmp_path / "store"))
    assert calls == [FOLDS[1].train[1]]
    unbroken, _ = walk_forward(panel, FOLDS, 2 * [recipe()], PURGE, runner_at(tmp_path / "other"))
    np.testing.assert_array_equal(resumed["prediction"], unbroken["prediction"])


def test_a_damaged_number_of_iterations_is_read_from_the_model(tmp_path):
    panel, runner = small_panel(tmp_path / "panel", n_eras=34), runner_at(tmp_path / "store")
    _, iterations = walk_forward(panel, FOLDS, 2 * [recipe()], PURGE, runner)
    assert set(iterations.values()) == {20}
    for note in (tmp_path / "store" / "values").iterdir():
        note.write_bytes(b"")
    _, again = walk_forward(panel, FOLDS, 2 * [recipe()], PURGE, runner)
    assert again == iterations
