"""The work still to be done is known before there is any data, and the budget relies on it."""

import dataclasses
import logging

import pytest
import yaml
from tests.models.sizes import NETWORKS
from tests.pipelines.test_base_model import PARAMS, PRESET, TUNING
from tests.pipelines.test_feature_engineering import PARAMS as DISCOVERY
from tests.pipelines.test_ingestion_nodes import FEATURES, METADATA
from tests.pipelines.test_ingestion_nodes import params as ingestion_params
from tests.project import ROOT

from numerai_kedro.cache import FoldStore
from numerai_kedro.cache.runner import IncrementalParams
from numerai_kedro.compute.machine import Machine
from numerai_kedro.compute.plan import FITS_SHARE, Data
from numerai_kedro.errors import ConfigurationError
from numerai_kedro.models.registry import family
from numerai_kedro.pipelines.ingestion import planning
from numerai_kedro.runtime.parameters import (
    EncoderParams,
    GraphParams,
    ModelParams,
    ResourceParams,
)
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.tuning.context import Search
from numerai_kedro.training.tuning.store import StudyStore

TARGET = "target_ender_60"
NO_ENCODER = EncoderParams(
    enabled=False, preset="small", seed=0, device="cpu", era_stride=1, presets={"small": {}}
)
GRAPH = GraphParams(neighbours=4, control_folds=0)
SMALL_VAE = NETWORKS["vae_head"] | {"more_heads": (), "head_weight": 0.0}
ENCODER = NO_ENCODER.model_copy(update={"enabled": True, "presets": {"small": SMALL_VAE}})
LAST_ERA = 130  # tested from 81, by folds of 20 eras; resolved to 117
MODEL = PARAMS.model_copy(update={"n_trials": 4, "try_options": False, "options": {}})


class Tournament:
    def newest_round(self):
        return None


class Given:
    """A plan's inputs, with finished work in two stores."""

    def __init__(self, folder):
        self.store, self.studies = FoldStore(folder / "store"), StudyStore(folder / "studies")
        self.last_era, self.params = LAST_ERA, ingestion_params()
        self.encoder = NO_ENCODER

    def plan(self, model=MODEL, hours=None, metadata=METADATA, name="lightgbm"):
        resources = ResourceParams(time_budget_hours=hours, isolate_gb=1, stall_minutes=10)
        decisions, readings, schedule = planning.plan(
            Tournament(),
            metadata,
            Machine(16.0, 2, 8.0, 100.0, 10.0),
            self.store,
            self.studies,
            self.params,
            resources,
            TUNING,
            IncrementalParams(run_all=False, cache_limit_gb=10, keep_fits_of_other_code=False),
            DISCOVERY,
            self.encoder,
            GRAPH,
            {},
            **{name: model.model_dump()},
        )
        self.seconds = {step["name"]: step["seconds"] for step in readings["steps"]}
        return decisions, schedule

    def recipe(self, **changed):
        kind = family("lightgbm")
        preset = kind.params_type.model_validate(PRESET | changed)
        return Recipe("lightgbm", kind, preset, (self.params.target,), 1, 1, 0, threads=2)

    def windows(self):
        return planning.windows_to_be(self.params, self.last_era)

    def make(self, recipe, eras):
        for key in recipe.plan_keys(eras, FEATURES):
            self.store.value(key, lambda: True)

    def decided(self, *decisions):
        presets = {"small": self.recipe().params}
        search = Search(self.recipe(), presets, MODEL.space, MODEL.n_trials)
        self.studies.note(search.plan_key(TUNING), decisions)


@pytest.fixture
def given(tmp_path, monkeypatch):
    inputs = Given(tmp_path)

    def read(*_):
        return planning.History(Data(0, 0, 130_000, 8), inputs.last_era, FEATURES, [FEATURES])

    monkeypatch.setattr(planning.History, "read", read)
    monkeypatch.setattr(planning, "lightgbm_work_per_second", lambda cores: 1e9)
    monkeypatch.setattr(planning, "too_late_for", lambda newest, seconds: None)
    return inputs


def decision(first_era, tuned_for, params=PRESET, **others):
    return {"first_era": first_era, "tuned_for": tuned_for, "params": params} | others


def test_seconds_of_fits_are_their_work_by_the_work_of_a_second(given, monkeypatch):
    monkeypatch.setattr(planning, "lightgbm_work_per_second", lambda cores: 2e9 * cores)
    given.plan(MODEL.model_copy(update={"n_trials": 0}))
    # 1,000 rows an era, 8 features.
    sizes = [1_000 * (last - first + 1) for first, last in given.windows()]
    work = sum(family("lightgbm").cost(given.recipe().params, rows, 8).work for rows in sizes)
    assert given.seconds["lightgbm fits"] == pytest.approx(work / 4e9)
    assert given.seconds["lightgbm trials"] == 0


def test_what_is_made_is_not_planned_again(given):
    given.plan()
    whole = given.seconds["lightgbm fits"]
    *folds, live = given.windows()
    for eras in folds:
        given.make(given.recipe(), eras)
    given.plan()
    assert 0 < given.seconds["lightgbm fits"] < whole
    given.make(given.recipe(), live)
    given.decided(decision(81, tuned_for=131))
    given.plan()
    assert given.seconds["lightgbm fits"] == given.seconds["lightgbm trials"] == 0


def test_adopted_parameters_are_fits_to_come(given):
    for eras in given.windows():
        given.make(given.recipe(), eras)
    deeper = PRESET | {"max_depth": 4}
    given.decided(decision(81, tuned_for=131, params=deeper))
    given.plan()
    assert given.seconds["lightgbm fits"] > 0
    for eras in given.windows():
        given.make(given.recipe(max_depth=4), eras)
    given.plan()
    assert given.seconds["lightgbm fits"] == 0


def test_an_adopted_option_counts_all_its_fits_and_rungs(given):
    given.decided(decision(81, tuned_for=131))
    given.plan()
    plain = given.seconds["lightgbm fits"]
    given.decided(decision(81, tuned_for=131, option={"more_targets": ["target_ender_20"]}))
    given.plan()
    assert given.seconds["lightgbm fits"] == pytest.approx(2 * plain)
    given.decided(decision(81, tuned_for=131, option={"adaptive": True}))
    given.plan()
    assert given.seconds["lightgbm fits"] > plain


def test_an_adaptive_fit_is_known_whatever_strength_it_found(given):
    model = MODEL.model_copy(update={"adaptive": True, "n_trials": 0})
    for eras in given.windows():
        given.make(dataclasses.replace(given.recipe(strength=0.7), adaptive=True), eras)
    given.plan(model)
    assert given.seconds["lightgbm fits"] == 0


def test_a_re_tuning_that_is_due_is_planned(given):
    given.decided(decision(81, tuned_for=131))
    given.plan()
    assert given.seconds["lightgbm trials"] == 0
    given.last_era = 160  # resolved to 147: the fold from 161 on may see eras up to 144
    given.plan()
    assert given.seconds["lightgbm trials"] > 0
    given.decided(decision(81, tuned_for=131), decision(161, tuned_for=161))
    given.plan()
    assert given.seconds["lightgbm trials"] == 0


def test_options_are_trials_too(given):
    given.plan()
    without = given.seconds["lightgbm trials"]
    options = {"targets": {"more_targets": ["target_ender_20"]}, "adaptive": {"adaptive": True}}
    both = MODEL.model_dump() | {"try_options": True, "options": options}
    given.plan(type(MODEL).model_validate(both))
    assert given.seconds["lightgbm trials"] > without


def test_an_options_target_is_checked_before_anything_starts(given):
    options = {"targets": {"more_targets": ["target_sunny_20"]}}
    wrong = type(MODEL).model_validate(MODEL.model_dump() | {"options": options})
    with pytest.raises(ConfigurationError, match="target_sunny_20"):
        given.plan(wrong)


def test_the_budget_postpones_and_says_so(given, caplog):
    caplog.set_level(logging.INFO)
    given.plan()
    fits = given.seconds["lightgbm fits"]
    enough = 1.01 * fits / 3600 / FITS_SHARE
    _, schedule = given.plan(hours=enough)
    assert schedule["postponed"] == ["lightgbm trials"]
    assert "lightgbm trials wait for a later run: time_budget_hours is" in caplog.text
    for eras in given.windows():
        given.make(given.recipe(), eras)
    _, later = given.plan(hours=enough)
    assert later["postponed"] == []


def test_the_encoder_comes_last_unless_a_model_learns_from_it(given):
    given.encoder = ENCODER
    decisions, _ = given.plan()
    fits = [name for name in given.seconds if name.endswith("fits")]
    assert fits == ["lightgbm fits", "vae fits"]
    assert "vae trials" not in given.seconds
    assert decisions["models"]["vae"]["preset"] == "small"
    given.plan(MODEL.model_copy(update={"features": ("latents",)}))
    assert [name for name in given.seconds if name.endswith("fits")] == fits[::-1]


def test_an_encoder_that_is_switched_off_is_no_step(given):
    decisions, _ = given.plan()
    assert decisions["models"]["vae"]["reason"] == "switched off (enabled: false)"
    assert not any(name.startswith("vae") for name in given.seconds)


@pytest.mark.parametrize(
    ("device", "memory_gb", "hybrid", "apart"),
    [
        ("cuda", 16.0, True, ["tabm"]),
        ("cuda", 16.0, False, []),
        ("cuda", 3.0, True, []),
        ("cpu", 16.0, True, []),
    ],
)
def test_networks_train_beside_boosting_where_both_fit(given, device, memory_gb, hybrid, apart):
    network = yaml.safe_load((ROOT / "conf/base/parameters_deep_learning.yml").read_text())["tabm"]
    network |= {"n_trials": 0, "device": device, "preset": "cpu"}
    resources = ResourceParams(isolate_gb=1, stall_minutes=10, hybrid=hybrid)
    decisions, _, _ = planning.plan(
        Tournament(),
        METADATA | {"targets": [TARGET, "target_ender_20"]},
        Machine(memory_gb, 2, 8.0, 100.0, 10.0),
        *(given.store, given.studies, given.params, resources, TUNING),
        IncrementalParams(run_all=False, cache_limit_gb=10, keep_fits_of_other_code=False),
        DISCOVERY,
        NO_ENCODER,
        GRAPH,
        {},
        lightgbm=MODEL.model_dump(),
        tabm=network,
    )
    assert decisions["apart"] == apart
    assert decisions["models"]["tabm"]["device"] == device


@pytest.mark.parametrize(
    ("gb", "preset"), [(12.0, "large_gpu"), (11.5, "large_gpu"), (6.0, "small_gpu"), (0.0, "cpu")]
)
def test_a_networks_preset_follows_the_card(given, monkeypatch, gb, preset):
    monkeypatch.setattr(planning, "gpu_memory_gb", lambda: gb)
    device = "cuda" if gb else "cpu"
    monkeypatch.setattr(planning, "device_of", lambda *_: device)
    network = yaml.safe_load((ROOT / "conf/base/parameters_deep_learning.yml").read_text())["tabm"]
    decisions, _ = given.plan(
        metadata=METADATA | {"targets": [TARGET, "target_ender_20"]},
        model=ModelParams.model_validate(network | {"n_trials": 0}),
        name="tabm",
    )
    assert decisions["models"]["tabm"]["preset"] == preset


def test_a_network_is_refused_what_only_trees_can(given):
    network = yaml.safe_load((ROOT / "conf/base/parameters_deep_learning.yml").read_text())["tabm"]
    for changed, words in (
        ({"adaptive": True}, "tabm.adaptive: tabm has no strength"),
        ({"update": "lora"}, "tabm.update: tabm cannot be updated"),
    ):
        model = ModelParams.model_validate(network | {"n_trials": 0} | changed)
        metadata = METADATA | {"targets": [TARGET, "target_ender_20"]}
        with pytest.raises(ConfigurationError, match=words):
            given.plan(metadata=metadata, model=model, name="tabm")


def test_fits_on_one_core_are_planned_side_by_side_in_less_time(given, monkeypatch):
    network = yaml.safe_load((ROOT / "conf/base/parameters_gnn.yml").read_text())["gin"]
    plans = {}
    for enough, device in ((1e-9, "cpu"), (1e18, "cpu"), (1e-9, "cuda")):
        monkeypatch.setattr("numerai_kedro.compute.plan.WORTH_A_PROCESS", enough)
        monkeypatch.setattr(planning, "device_of", lambda *_, on=device: on)
        decisions, _ = given.plan(
            metadata=METADATA | {"targets": [TARGET, "target_ender_20"]},
            model=ModelParams.model_validate(network | {"n_trials": 2, "preset": "cpu"}),
            name="gin",
        )
        at_once = decisions["models"]["gin"]["at_once"]
        plans[enough, device] = at_once, given.seconds["gin fits"], given.seconds["gin trials"]
    at_once, fits, trials = plans[1e-9, "cpu"]
    alone, slow_fits, slow_trials = plans[1e18, "cpu"]
    assert (at_once, alone, plans[1e-9, "cuda"][0]) == (2, 1, 1)
    assert 0.5 * slow_fits <= fits < 0.7 * slow_fits
    assert 0.5 * slow_trials <= trials < 0.7 * slow_trials


def test_one_fit_that_is_to_come_is_not_quicker_for_being_one_of_many(given, monkeypatch):
    network = yaml.safe_load((ROOT / "conf/base/parameters_gnn.yml").read_text())["gin"]
    network = ModelParams.model_validate(network | {"n_trials": 0, "preset": "cpu"})
    monkeypatch.setattr(planning, "device_of", lambda *_: "cpu")
    seconds = []
    for enough in (1e18, 1e-9):
        monkeypatch.setattr("numerai_kedro.compute.plan.WORTH_A_PROCESS", enough)
        options = {"metadata": METADATA | {"targets": [TARGET, "target_ender_20"]}, "name": "gin"}
        monkeypatch.setattr(planning, "windows_to_be", lambda params, last_era: [(1, 100)])
        given.plan(model=network, **options)
        seconds.append(given.seconds["gin fits"])
    assert seconds[0] == seconds[1] > 0
