"""A model that cannot be trained becomes an outcome with a reason, which later nodes pass on."""

import lightgbm
import numpy as np
import pandas as pd
import pytest
from tests.folds import changed_folds, folds_with
from tests.panels import small_panel

from numerai_kedro.cache import FoldStore
from numerai_kedro.errors import ConfigurationError, Failed, LeakError, ResourceError
from numerai_kedro.pipelines import base_model
from numerai_kedro.pipelines.base_model import create_model_pipeline
from numerai_kedro.reporting.dashboard.summary import remedies_of
from numerai_kedro.runtime.parameters import SWITCHED_OFF, ModelParams, ResourceParams
from numerai_kedro.training.tuning.context import TuningParams
from numerai_kedro.training.tuning.store import StudyStore

PRESET = {
    "n_estimators": 5,
    "learning_rate": 0.1,
    "max_depth": 3,
    "num_leaves": 7,
    "colsample_bytree": 0.5,
    "min_data_in_leaf": 5,
    "lambda_l2": 0.0,
    "path_smooth": 0.0,
    "strength": 0.0,
}
PARAMS = ModelParams(
    enabled=True,
    preset="small",
    seed=0,
    device="auto",
    era_stride=1,
    n_offsets=1,
    more_targets=(),
    adaptive=False,
    features=(),
    n_trials=2,
    try_options="auto",
    options={"adaptive": {"adaptive": True}},
    space={"max_depth": {"low": 2, "high": 4}},
    presets={"small": PRESET},
)
RESOURCES = ResourceParams(isolate_gb=10, stall_minutes=10)
ADAPTIVE = {
    "rungs": 2,
    "valid_eras": 4,
    "target_gap": 0.5,
    "rate": 0.6,
    "low_fidelity_stride": 1,
    "low_fidelity_trees": 5,
}
TUNING = TuningParams(
    low_fidelity_stride=1,
    low_fidelity_trees=5,
    risk_aversion=1.0,
    adopt_level=0.95,
    max_overfitting=0.7,
    retune_weeks=13,
    weights={"corr": 3, "mmc": 15},
    seed=0,
    adaptive=ADAPTIVE,
)
ASKED = {
    "enabled": True,
    "device": "auto",
    "era_stride": 1,
    "n_offsets": 1,
}
DECIDED = {
    "era_stride": 1,
    "n_offsets": 1,
    "device": "cpu",
    "at_once": 1,
    "preset": "small",
    "asked": ASKED,
}
PLAN = {"threads": 1, "models": {"lightgbm": DECIDED}}
ALL_RUNS = {"postponed": []}
WEIGHTS = {"corr": 3.0, "mmc": 15.0}
NONE = Failed("compress", "never made", kind="not run")
VERSION = {"data_version": "v5.3"}


class Given:
    """Inputs of the nodes of one model."""

    def __init__(self, folder):
        self.history = small_panel(folder / "history", n_eras=60)
        self.folds = folds_with(
            target="target_ender_20",
            paid_target="target_ender_20",
            size="tiny",
            purge_eras=5,
            features=self.history.feature_names,
            history=[1, 60],
            periods={"validation": [14, 19], "test": [26, 50]},
            test_fold_eras=13,
            valid_eras=4,
            refit_eras=5,
            groups=[self.history.feature_names],
            validation=[{"name": "validation-1", "train": [1, 8], "test": [14, 19]}],
            test=[
                {"name": "test-1", "train": [1, 20], "test": [26, 38]},
                {"name": "test-2", "train": [1, 33], "test": [39, 50]},
            ],
            live_fit=[1, 46],
        )
        ids = self.history.ids()
        rng = np.random.default_rng(0)
        self.benchmarks = pd.DataFrame({"v53_lgbm_ender20": rng.random(len(ids))}, index=ids)
        self.store, self.studies = FoldStore(folder / "store"), StudyStore(folder / "studies")

    def tune(self, plan=PLAN, schedule=ALL_RUNS, params=PARAMS):
        return base_model.tune(
            *(self.history, self.folds, plan, schedule, self.store, params, RESOURCES),
            *(TUNING, NONE, NONE, NONE, self.studies, self.benchmarks, WEIGHTS, "lightgbm"),
        )

    def out_of_fold(self, best, plan=PLAN, schedule=ALL_RUNS, params=PARAMS):
        return base_model.predict_out_of_fold(
            *(self.history, self.folds, plan, schedule, self.store, params, RESOURCES),
            *(TUNING, NONE, NONE, NONE, best, self.benchmarks, VERSION, "lightgbm"),
        )

    def fit(self, best, recovery, params=PARAMS, version=VERSION):
        return base_model.fit(
            *(self.history, self.folds, PLAN, ALL_RUNS, self.store, params, RESOURCES),
            *(TUNING, NONE, NONE, NONE, NONE, NONE, best, recovery, version, "lightgbm"),
        )


@pytest.fixture
def given(tmp_path):
    return Given(tmp_path)


WHOLE = {"lighter": 0, "lines": [], "rungs": {}}


def test_a_model_that_finishes_says_what_it_made(given, tmp_path):
    live = small_panel(tmp_path / "live", n_eras=1, seed=3)
    best, trials, tuned, _ = given.tune()
    oof, iterations, recovery, _ = given.out_of_fold(best)
    model, report, _ = given.fit(best, recovery)
    assert report == {"failed": None, "lines": []}
    predictions = base_model.predict_live(model, live, {}, PARAMS, best, name="lightgbm")
    outcome = base_model.outcome(
        best, trials, oof, iterations, recovery, model, report, predictions
    )
    assert outcome["status"] == "finished"
    assert (outcome["oof_rows"], outcome["oof_eras"], outcome["live_rows"]) == (1000, 25, 40)
    assert outcome["iterations"] == {"test-1": 5, "test-2": 5, "live": 5}
    assert outcome["n_trials"] == len(trials) == 2
    assert outcome["source"] == "preset small"  # six eras are too few to decide
    assert (outcome["remedies"], outcome["refit_failed"]) == ([], None)
    assert predictions["id"].tolist() == live.ids().tolist()
    assert tuned["era"].unique().tolist() == list(range(14, 20))


def test_live_and_out_of_fold_predictions_say_by_what_they_were_made(given, tmp_path):
    """A refit on newer eras keeps the configuration's digest; any other choice changes it."""
    live = small_panel(tmp_path / "live", n_eras=1, seed=3)
    best = given.tune()[0]

    def made_by(best=best, params=PARAMS, version=VERSION, recovery=WHOLE):
        model = given.fit(best, recovery, params, version)[0]
        return base_model.predict_live(model, live, {}, params, best, name="lightgbm").attrs

    oof = given.out_of_fold(best)[0]
    assert oof.attrs["configuration"] == made_by()["configuration"]
    assert made_by()["data_version"] == "v5.3"
    given.folds = changed_folds(given.folds, live_fit=[1, 41])
    assert made_by()["configuration"] == oof.attrs["configuration"]
    deeper = {**best, "decisions": [{**best["decisions"][0], "params": PRESET | {"max_depth": 2}}]}
    for changed in (
        {"best": deeper},
        {"params": PARAMS.model_copy(update={"seed": 7})},
        {"version": {"data_version": "v5.4"}},
        {"recovery": WHOLE | {"lighter": 1}},
    ):
        assert made_by(**changed)["configuration"] != oof.attrs["configuration"]
    more = PARAMS.model_copy(update={"n_trials": 5})
    assert made_by(params=more)["configuration"] == oof.attrs["configuration"]


def test_a_fit_predicts_from_live_data_of_the_version_that_it_learned(given, tmp_path):
    """The round's data are newer; the older file has the same stocks, in another order."""
    live = small_panel(tmp_path / "live", n_eras=1, seed=3)
    best = given.tune()[0]
    model = given.fit(best, WHOLE)[0]
    alone = base_model.predict_live(model, live, {}, PARAMS, best, name="lightgbm")
    assert alone.attrs["data_version"] == "v5.3"
    own = small_panel(tmp_path / "own", n_eras=1, seed=3)
    there = base_model.predict_live(model, live, {"v5_3": own}, PARAMS, best, name="lightgbm")
    pd.testing.assert_frame_equal(there, alone)
    assert there.attrs == alone.attrs | {"data_version": ""}
    turned = base_model.rows_of(alone.iloc[::-1], live)
    assert turned["prediction"].tolist() == alone["prediction"].tolist()
    assert isinstance(base_model.rows_of(alone.iloc[1:], live), Failed)


def test_folds_and_live_fit_made_at_once_are_those_made_in_turn(given, tmp_path, caplog):
    caplog.set_level("INFO")
    at_once = {"threads": 1, "models": {"lightgbm": DECIDED | {"at_once": 2}}}
    best, trials, _, _ = given.tune(at_once)
    oof, iterations, recovery, readings = given.out_of_fold(best, at_once)
    assert readings["memory"][0]["peak_gb"] > 0
    given.fit(best, recovery)
    assert "live fit: 46 eras up to 0046, from the fold store" in caplog.text
    other = Given(tmp_path / "other")
    alone, other_trials, _, _ = other.tune()
    assert alone == best
    pd.testing.assert_frame_equal(trials, other_trials)
    in_turn, as_many, _, _ = other.out_of_fold(best)
    pd.testing.assert_frame_equal(oof, in_turn)
    assert iterations == as_many


def test_no_memory_is_tried_again_with_less_and_then_an_outcome(given, monkeypatch):
    tried = []

    def fail(panel, folds, recipes, *_, **__):
        tried.append(recipes[0].era_stride)
        raise MemoryError("needs 12 GB")

    best, trials, _, _ = given.tune()
    monkeypatch.setattr(base_model, "walk_forward", fail)
    oof, iterations, recovery, _ = given.out_of_fold(best)
    assert tried == [1, 2, 4]
    model, report, _ = given.fit(best, recovery)
    live = base_model.predict_live(model, None, {}, PARAMS, best, name="lightgbm")
    outcome = base_model.outcome(best, trials, oof, iterations, recovery, model, report, live)
    assert (outcome["status"], outcome["stage"]) == ("failed", "walk_forward")
    assert (outcome["symptom"], outcome["kind"]) == ("needs 12 GB", "resource")
    assert remedies_of(outcome) == [
        "not enough memory: fitted again on every second era",
        "not enough memory: fitted again on every fourth era",
    ]
    assert [line["result"] for line in outcome["remedies"]] == 2 * ["it did not help"]
    assert live is model


def test_what_went_through_with_less_predicts_live_with_less(given, monkeypatch):
    real = base_model.walk_forward

    def fail_whole(panel, folds, recipes, *others, **options):
        if recipes[0].era_stride == 1:
            raise ResourceError("killed")
        return real(panel, folds, recipes, *others, **options)

    best = given.tune()[0]
    monkeypatch.setattr(base_model, "walk_forward", fail_whole)
    _, _, recovery, _ = given.out_of_fold(best)
    (line,) = recovery["lines"]
    assert (recovery["lighter"], line["symptom"]) == (1, "not enough memory")
    assert (line["remedy"], line["result"]) == ("fitted again on every second era", "succeeded")
    seen = []
    monkeypatch.setattr(
        base_model, "fit_live", lambda panel, eras, recipe, *_: seen.append(recipe.era_stride) or []
    )
    given.fit(best, recovery)
    assert seen == [2]


def test_a_librarys_own_word_for_no_memory_is_an_outcome(given, monkeypatch):
    def fail(*_, **__):
        raise lightgbm.basic.LightGBMError("std::bad_alloc")

    best = given.tune()[0]
    monkeypatch.setattr(base_model, "fit_live", fail)
    model, report, _ = given.fit(best, WHOLE)
    assert (model.symptom, model.kind) == ("no memory left (std::bad_alloc)", "resource")
    assert report["failed"] == model.symptom


def test_a_bug_is_a_crash(given, monkeypatch):
    def fail(*_, **__):
        raise IndexError("ours")

    best = given.tune()[0]
    monkeypatch.setattr(base_model, "fit_live", fail)
    with pytest.raises(IndexError, match="ours"):
        given.fit(best, WHOLE)


def test_what_is_postponed_or_switched_off_is_an_outcome_of_its_own(given):
    late = {"postponed": ["lightgbm trials"]}
    best, trials, _, _ = given.tune(schedule=late)
    assert best["decisions"][0]["source"] == "preset small"
    assert trials.kind == "postponed"
    later = {"postponed": ["lightgbm fits", "lightgbm trials"]}
    assert given.out_of_fold(best, schedule=later)[0].kind == "postponed"
    off = {"threads": 1, "models": {"lightgbm": {"reason": SWITCHED_OFF, "asked": ASKED}}}
    assert given.tune(plan=off)[0] == Failed("tune", SWITCHED_OFF, kind="off")


def test_a_plan_for_other_parameters_is_a_sentence(given):
    """The pipeline gbm alone does not plan: it would silently use the old values."""
    with pytest.raises(ConfigurationError, match="the plan was made for another era_stride; run"):
        given.tune(params=PARAMS.model_copy(update={"era_stride": 4}))


def test_without_trials_the_preset_stays(given):
    best, trials, tuned, _ = given.tune(params=PARAMS.model_copy(update={"n_trials": 0}))
    assert [decision["source"] for decision in best["decisions"]] == ["preset small"]
    assert len(trials) == len(tuned) == 0


def test_tuned_parameters_serve_the_folds_that_begin_with_them(given, monkeypatch):
    """Finished folds keep the parameters that were the incumbent's at the time."""
    best = given.tune()[0]
    deeper = PRESET | {"max_depth": 2}
    best["decisions"].append({"first_era": 39, "source": "trial 1", "params": deeper})
    seen = []
    monkeypatch.setattr(
        base_model,
        "walk_forward",
        lambda panel, folds, recipes, *_, **__: seen.append([r.params.max_depth for r in recipes]),
    )
    with pytest.raises(TypeError):
        given.out_of_fold(best)
    assert seen == [[3, 2]]


def test_each_fold_of_an_adaptive_model_keeps_its_rungs(given):
    best = given.tune()[0]
    best["decisions"][0]["option"] = {"adaptive": True}
    _, _, recovery, _ = given.out_of_fold(best)
    assert {name: len(rungs) for name, rungs in recovery["rungs"].items()} == {
        "test-1": 2,
        "test-2": 2,
    }
    assert set(recovery["rungs"]["test-1"][0]) == {"strength", "train_corr", "valid_corr"}


def test_the_template_shares_what_all_models_share_and_keeps_the_rest_apart():
    for name, more in (("lightgbm", set()), ("gin", {"feature_graph"})):
        pipeline = create_model_pipeline(name)
        free = {name for name in pipeline.datasets() if "." not in name and ":" not in name}
        assert free - more == base_model.SHARED_INPUTS - {"feature_graph"}
        assert free >= more
        assert all(node.namespace == name for node in pipeline.nodes)
    assert all("model" in node.tags for node in pipeline.nodes)


def test_a_fit_of_other_parameters_still_predicts_and_is_said(given, tmp_path, caplog):
    live, best = small_panel(tmp_path / "live", n_eras=1, seed=3), given.tune()[0]
    model = given.fit(best, WHOLE)[0]
    base_model.predict_live(model, live, {}, PARAMS, best, name="lightgbm")
    assert "other parameters" not in caplog.text
    other = PARAMS.model_copy(update={"seed": 77})
    assert len(base_model.predict_live(model, live, {}, other, best, name="lightgbm")) == 40
    assert "lightgbm: predicts by a fit with other parameters than the incumbent" in caplog.text


def test_what_is_no_model_of_the_family_is_an_outcome():
    result = base_model.predict_live("a text", None, {}, PARAMS, {}, name="lightgbm")
    assert result == Failed("predict_live", "lightgbm.model holds a str")


@pytest.mark.parametrize("way", ["itself", "an option"])
def test_more_targets_that_look_ahead_further_than_the_purge_are_refused(given, way):
    """Five eras are purged, for a target of four; one of twelve would reach into the test eras."""
    longer = ("target_ender_60",)
    changed = {"more_targets": longer}
    if way == "an option":
        changed = {"options": {"longer": PARAMS.options["adaptive"].model_copy(update=changed)}}
    message = "target_ender_60 spans 12 weekly eras, and purge_eras is 5"
    with pytest.raises(LeakError, match=message):
        given.tune(params=PARAMS.model_copy(update=changed))


def test_a_preset_chosen_by_hand_needs_no_new_plan(given):
    """The README's own command: one pipeline, another preset, the existing plan."""
    two = PARAMS.model_copy(
        update={"preset": "deep", "presets": {"small": PRESET, "deep": PRESET | {"max_depth": 5}}}
    )
    best = given.tune(params=two.model_copy(update={"n_trials": 0}))[0]
    assert best["decisions"][0]["params"]["max_depth"] == 5
