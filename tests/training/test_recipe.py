"""Which eras a fit learns from, what its keys depend on, and what it costs where."""

import dataclasses
from types import SimpleNamespace

import pytest
from tests.models.sizes import SMALL, graph_of
from tests.panels import small_panel
from tests.training.test_walk_forward import TARGET, recipe

from numerai_kedro.cache import FoldStore
from numerai_kedro.data.folds import Fold
from numerai_kedro.errors import PanelError, ProcessDied, ResourceError
from numerai_kedro.models.registry import family
from numerai_kedro.training import recipe as module
from numerai_kedro.training.protocol import Cost, EarlyStoppingSplit
from numerai_kedro.training.recipe import Columns, Fit, Option, Recipe, cost_on

OTHER = "target_ender_20"


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel", n_eras=20)


def of(name, **changes):
    kind = family(name)
    params = kind.params_type.model_validate(SMALL[name])
    base = Recipe(name, kind, params, (TARGET,), 1, 1, 0, threads=1, code="code")
    return dataclasses.replace(base, **changes)


def test_a_fit_learns_every_nth_era_back_from_the_newest(panel):
    made = recipe(era_stride=3, n_offsets=2, targets=(TARGET, OTHER)).fits(panel, (2, 10))
    assert [(fit.target, fit.train.eras.tolist()) for fit in made] == [
        (TARGET, [4, 7, 10]), (TARGET, [3, 6, 9]), (OTHER, [4, 7, 10]), (OTHER, [3, 6, 9]),
    ]  # fmt: skip
    assert all(fit.keep and fit.base is None for fit in made)
    assert not recipe().fits(panel, (2, 10), keep=False)[0].keep
    assert recipe(era_stride=2, n_offsets=5).thinned(1).era_stride == 2
    assert list(recipe(era_stride=2, n_offsets=5).members()) == [(TARGET, 0), (TARGET, 1)]


def test_an_update_learns_the_newest_eras_on_top_of_a_kept_base(panel, monkeypatch):
    monkeypatch.setattr(module, "UPDATE_ERAS", 4)
    (fit,) = of("transformer", update="lora").fits(panel, (1, 9), keep=False, updated_to=15)
    assert fit.train.eras.tolist() == [12, 13, 14, 15]
    assert fit.base.train.eras.tolist() == list(range(1, 10))
    assert (fit.keep, fit.base.keep) == (False, True)


def test_a_fold_is_split_at_its_updates_each_a_purge_after_its_newest_era():
    fold = Fold("test-1", (1, 20), (31, 40))
    parts = of("transformer", update="lora", update_every=4, purge_eras=5).steps(fold)
    assert [(part.test, newest) for part, newest in parts] == [
        ((31, 34), None), ((35, 38), 29), ((39, 40), 33),
    ]  # fmt: skip
    assert {(part.name, part.train) for part, _ in parts} == {("test-1", (1, 20))}


def test_eras_that_decide_when_to_stop_shrink_with_the_stride():
    stop = of("tabm", valid_eras=9, purge_eras=5, era_stride=2).stop
    assert stop == EarlyStoppingSplit(4, 5)
    assert of("lightgbm", valid_eras=9, purge_eras=5).stop is None


def test_columns_choose_features_and_eras_that_have_what_is_derived(panel, tmp_path):
    assert Columns().of(panel) is panel
    chosen = Columns(features=("feature_5", "feature_1")).of(panel)
    assert chosen.feature_names == ["feature_5", "feature_1"]
    joined = Columns(features=("feature_5",), derived=(panel.select(eras=range(3, 9)),)).of(panel)
    assert joined.eras.tolist() == list(range(3, 9))
    assert joined.feature_names == ["feature_5", *panel.feature_names]


def test_a_recipe_may_thin_and_take_an_option_but_never_gets_more_eras():
    plain = recipe(era_stride=2)
    changed = plain.with_option(
        Option(era_stride=1, n_offsets=2, more_targets=(OTHER, TARGET), adaptive=True)
    )
    assert (changed.era_stride, changed.n_offsets, changed.adaptive) == (2, 2, True)
    assert changed.targets == (TARGET, OTHER)
    assert plain.with_option(Option(era_stride=4)).era_stride == 4
    assert plain.with_option(Option()) == plain
    assert plain.with_params("other").params == "other"


KEY = {"family": "LightGBM", "code": "code", "seed": 0, "target": TARGET}


def test_a_key_has_what_determines_the_fit_and_nothing_else():
    plain = of("lightgbm")
    assert plain.cache_key(TARGET) == KEY | {"params": SMALL["lightgbm"]}
    assert of("lightgbm", threads=8, groups=(("a",),)).cache_key(TARGET) == plain.cache_key(TARGET)
    network = of("transformer", valid_eras=4, purge_eras=3, device="cuda", groups=(("a",),))
    more = network.cache_key(TARGET).keys() - plain.cache_key(TARGET).keys()
    assert more == {"device", "held_back", "groups"}
    assert network.cache_key(TARGET)["held_back"] == [4, 3]
    graph = graph_of(["a", "b"])
    weighed = of("gin", columns=Columns(weights=(1.0, 0.5), graph=graph))
    assert weighed.cache_key(TARGET)["graph"] == graph.digest
    assert "weights" in weighed.cache_key(TARGET)
    other = of("gin", columns=Columns(weights=(1.0, 0.6), graph=graph))
    assert weighed.cache_key(TARGET) != other.cache_key(TARGET)


def test_plans_know_fits_by_eras_and_names():
    (key,) = of("lightgbm").plan_keys((1, 9), ["a"])
    params = SMALL["lightgbm"]
    place = {"eras": [1, 9], "stride": [1, 0], "features": ["a"]}
    assert key == {"fitted": KEY | {"params": params} | place}
    (adaptive,) = of("lightgbm", adaptive=True).plan_keys((1, 9), ["a"])
    assert "strength" not in adaptive["fitted"]["params"]
    graph = Columns(weights=(1.0,), graph=graph_of(["a"]))
    (built,) = of("gin", columns=graph, engineered_by="x").plan_keys((1, 9), ["a"])
    assert built["fitted"]["engineered"] == [[], "x"]
    assert not {"weights", "graph"} & built["fitted"].keys()


def test_a_gpu_takes_memory_from_the_host_and_is_quicker(monkeypatch):
    kind = SimpleNamespace(
        gpu_speed=4.0, cost=lambda *_: Cost(3.0, 8e9, 0.5, bins_gb=0.25, device_gb=2.0)
    )
    assert cost_on("cpu", kind, None, 1, 1).memory_gb == 3.0
    assert cost_on("cuda", kind, None, 1, 1) == Cost(1.0, 2e9, 0.5, 0.25, 2.0)


def test_what_was_repaired_in_a_fit_is_found_by_that_fit_alone(panel, tmp_path):
    store = FoldStore(tmp_path / "store")
    one, other = recipe(seed=1).fits(panel, (1, 9)) + recipe(seed=2).fits(panel, (1, 9))
    line = {"symptom": "a", "remedy": "b"}
    repaired = dataclasses.replace(one, repaired=(line,))
    repaired.model(store, lambda done, total: None)
    assert one.recoveries(store) == [line]
    assert other.recoveries(store) == []
    assert one.n_iterations(store) == 20
    assert other.n_iterations(store) is None


def test_unfinished_work_is_dropped_once_the_model_is_stored(panel, tmp_path):
    store = FoldStore(tmp_path / "store")
    (fit,) = recipe().fits(panel, (1, 9))
    store.work(fit.key).mkdir(parents=True)
    fit.model(store, lambda done, total: None)
    assert not store.work(fit.key).exists()
    assert store.has_model(fit.key)
    (trial,) = recipe(seed=1).fits(panel, (1, 9), keep=False)
    trial.model(store, lambda done, total: None)
    assert not store.has_model(trial.key)


def test_keys_depend_on_rows_and_on_the_base(panel):
    (fit,) = of("transformer", update="lora").fits(panel, (1, 9), updated_to=15)
    alone = dataclasses.replace(fit, base=None)
    assert fit.key == alone.key | {"updates": fit.base.key}
    assert fit.base.key != alone.key
    assert fit.prediction_key(panel) == {"fit": fit.key, "features": panel.digest()}
    assert fit.planned_gb == fit.recipe.cost(fit.train.n_rows, 8).memory_gb


def test_an_update_runs_on_the_device_of_its_fit(panel, monkeypatch):
    model = SimpleNamespace(device="auto", updated=lambda *given: model)
    monkeypatch.setattr(Fit, "model", lambda self, store, progress: model)
    (fit,) = of("transformer", update="lora", device="cuda").fits(panel, (1, 9), updated_to=15)
    store = SimpleNamespace(work=lambda key: None)
    assert fit._fitted(store, None).device == "cuda"
    assert dataclasses.replace(fit, on="cpu")._fitted(store, None).device == "cpu"


@pytest.mark.parametrize("error", [RuntimeError("CUDA error"), ResourceError("no memory")])
def test_a_gpu_that_fails_leaves_its_fit_to_the_cpu(panel, error):
    (fit,) = of("tabm", device="cuda").fits(panel, (1, 9))
    error.lines = ({"remedy": "first"},)
    there = fit.on_cpu(error)
    assert (there.device, there.key) == ("cpu", fit.key)
    first, line = there.repaired
    assert first == {"remedy": "first"}
    assert (line["symptom"], line["evidence"]) == ("the GPU failed", str(error))
    assert (line["place"], line["remedy"]) == ("tabm", "fitted on the CPU")
    assert line["result"] == "succeeded"


@pytest.mark.parametrize(
    "error",
    [PanelError("torn"), TypeError("bug"), ProcessDied("tabm", -9, 1.0, 8.0, kernel_killed=False)],
)
def test_no_gpu_is_blamed_for_other_errors_nor_is_the_cpu(panel, error):
    (fit,) = of("tabm", device="cuda").fits(panel, (1, 9))
    with pytest.raises(type(error)):
        fit.on_cpu(error)
    with pytest.raises(RuntimeError):
        dataclasses.replace(fit, on="cpu").on_cpu(RuntimeError("CUDA error"))
