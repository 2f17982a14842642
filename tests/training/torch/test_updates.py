"""Between full fits adapters learn the newer eras, a purge behind, in folds as in the live fit."""

import dataclasses

import numpy as np
import pytest
from tests.folds import folds_with
from tests.models.sizes import NETWORKS
from tests.panels import small_panel
from tests.pipelines.test_base_model import DECIDED, PARAMS
from tests.runners import runner_at

from numerai_kedro.cache import FoldStore
from numerai_kedro.data.folds import Fold
from numerai_kedro.errors import LeakError
from numerai_kedro.models.registry import family
from numerai_kedro.pipelines.recipes import live_recipe
from numerai_kedro.training import recipe as recipe_module
from numerai_kedro.training.engineered import Engineered
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.recipe import Option, Recipe
from numerai_kedro.training.walk_forward import predict_fold, walk_forward

TARGET = "target_ender_60"
PURGE, EVERY = 3, 4
FOLD = Fold("test-1", (1, 20), (24, 33))


def recipe(**changed):
    kind = family("transformer")
    params = kind.params_type.model_validate(NETWORKS["transformer"] | {"epochs": 2})
    base = Recipe("transformer", kind, params, (TARGET,), 1, 1, 0, threads=1, purge_eras=PURGE)
    return dataclasses.replace(base, **{"update": "lora", "update_every": EVERY} | changed)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return small_panel(tmp_path_factory.mktemp("updates") / "panel", n_eras=40)


@pytest.fixture
def ten_eras(monkeypatch):
    monkeypatch.setattr(recipe_module, "UPDATE_ERAS", 10)


def test_a_fold_is_cut_every_so_many_eras_and_each_part_learns_up_to_a_purge_before_it():
    parts = [(part.test, newest) for part, newest in recipe().steps(FOLD)]
    assert parts == [((24, 27), None), ((28, 31), 24), ((32, 33), 28)]
    assert recipe(update="none").steps(FOLD) == [(FOLD, None)]


def test_the_first_part_is_the_full_fits_and_the_others_are_updates_of_it(
    history, tmp_path, ten_eras
):
    store = FoldStore(tmp_path / "store")
    plain, _ = walk_forward(history, [FOLD], [recipe(update="none")], PURGE, FitRunner(store))
    updated, _ = walk_forward(history, [FOLD], [recipe()], PURGE, FitRunner(store))
    same = (plain["prediction"] == updated["prediction"]).groupby(plain["era"]).all()
    assert same[same].index.tolist() == [24, 25, 26, 27]
    assert len(list((tmp_path / "store" / "models").glob("*"))) == 3
    parts = list(predict_fold(recipe(), history, FOLD, PURGE, FitRunner(store)))
    assert not any(part.computed for part in parts)
    (fit,) = parts[2].fits
    assert fit.train.eras.tolist() == list(range(19, 29))
    assert fit.base.train.eras[-1] == 20


def test_an_update_that_learns_too_near_is_a_leak(history, tmp_path, monkeypatch):
    near = [(FOLD, None), (Fold("test-1", (1, 20), (28, 31)), 25)]
    monkeypatch.setattr(Recipe, "steps", lambda self, fold: near)
    with pytest.raises(LeakError, match="trains on era 0025"):
        list(predict_fold(recipe(), history, FOLD, PURGE, runner_at(tmp_path / "store")))


def test_eras_that_come_later_change_no_update(history, tmp_path, ten_eras):
    """Removing the newest eras changes no prediction before them."""
    shorter = history.select(eras=range(1, 32))
    short = Fold("test-1", FOLD.train, (24, 31))
    whole, _ = walk_forward(history, [FOLD], [recipe()], PURGE, runner_at(tmp_path / "a"))
    early, _ = walk_forward(shorter, [short], [recipe()], PURGE, runner_at(tmp_path / "b"))
    both = whole[whole["era"] <= 31]["prediction"].to_numpy()
    np.testing.assert_array_equal(both, early["prediction"].to_numpy())


@pytest.mark.parametrize(
    ("live_era", "learned_to", "updated_to"),
    [(66, 50, None), (70, 50, None), (79, 50, 63), (105, 50, 89), (106, 90, None)],
)
def test_the_live_fit_is_the_newest_fold_updated_as_that_would_be(live_era, learned_to, updated_to):
    folds = folds_with(
        target=TARGET,
        purge_eras=15,
        valid_eras=4,
        refit_eras=13,
        groups=[],
        features=[],
        history=[1, live_era - 1],
        periods={"test": [66, live_era - 14]},
        test_fold_eras=40,
        live_fit=[1, live_era - 16],
    )
    params = PARAMS.model_copy(
        update={"presets": {"small": NETWORKS["transformer"]}, "update": "lora", "options": {}}
    )
    plan = {"threads": 1, "models": {"transformer": DECIDED}}
    best = {
        "decisions": [{"first_era": 1, "params": NETWORKS["transformer"], "source": "preset small"}]
    }
    live, eras, newest = live_recipe("transformer", folds, plan, params, best, Engineered())
    assert (live.update, eras, newest) == ("lora", (1, learned_to), updated_to)


def test_an_option_switches_updates_on():
    assert recipe(update="none").with_option(Option(update="lora")).update == "lora"
    assert recipe(update="none").with_option(Option()).update == "none"
