"""A model that cannot be trained is an outcome with its reason, and what follows passes it on."""

import lightgbm
import pandas as pd
import pytest
from tests.panels import small_panel

from numerai_kedro.errors import Failed
from numerai_kedro.incremental import FoldStore
from numerai_kedro.pipelines import base_model
from numerai_kedro.pipelines.base_model import create_model_pipeline
from numerai_kedro.pipelines.parameters import ModelParams

PRESET = {
    "n_estimators": 5,
    "learning_rate": 0.1,
    "max_depth": 3,
    "num_leaves": 7,
    "colsample_bytree": 0.5,
    "min_data_in_leaf": 5,
    "lambda_l2": 0.0,
    "path_smooth": 0.0,
}
PARAMS = ModelParams(preset="small", seed=0, presets={"small": PRESET})
PLAN = {"era_stride": 1, "threads": 1}


@pytest.fixture
def given(tmp_path):
    history = small_panel(tmp_path / "history", n_eras=40)
    folds = {
        "target": "target_ender_20",
        "purge_eras": 5,
        "features": history.feature_names,
        "judged": [{"name": "judged-1", "train": [1, 20], "test": [26, 35]}],
        "live_fit": [1, 30],
    }
    best = base_model.tune(folds, PARAMS, "lightgbm")
    return history, folds, PLAN, FoldStore(tmp_path / "store"), PARAMS, best, "lightgbm"


def test_a_model_that_finishes_says_what_it_made(given, tmp_path):
    live = small_panel(tmp_path / "live", n_eras=1, seed=3)
    oof, iterations = base_model.predict_out_of_fold(*given)
    model = base_model.fit(*given)
    predictions = base_model.predict_live(model, live, PARAMS, name="lightgbm")
    outcome = base_model.outcome(given[5], oof, model, predictions, iterations)
    assert outcome["status"] == "finished"
    assert (outcome["oof_rows"], outcome["oof_eras"], outcome["live_rows"]) == (400, 10, 40)
    assert outcome["iterations"] == {"judged-1": 5, "live": 5}
    assert predictions["id"].tolist() == live.ids().tolist()


def test_no_memory_is_an_outcome(given, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("needs 12 GB")

    monkeypatch.setattr(base_model, "fit_live", fail)
    monkeypatch.setattr(base_model, "walk_forward", fail)
    oof, iterations = base_model.predict_out_of_fold(*given)
    model = base_model.fit(*given)
    live = base_model.predict_live(model, None, PARAMS, name="lightgbm")
    outcome = base_model.outcome(given[5], oof, model, live, iterations)
    assert (outcome["status"], outcome["stage"]) == ("failed", "walk_forward")
    assert outcome["symptom"] == "needs 12 GB"
    assert live is model


def test_a_librarys_own_word_for_no_memory_is_an_outcome(given, monkeypatch):
    def fail(*_, **__):
        raise lightgbm.basic.LightGBMError("std::bad_alloc")

    monkeypatch.setattr(base_model, "fit_live", fail)
    assert base_model.fit(*given) == Failed("fit", "no memory left (std::bad_alloc)", "resource")


def test_a_bug_is_a_crash(given, monkeypatch):
    def fail(*_, **__):
        raise IndexError("ours")

    monkeypatch.setattr(base_model, "fit_live", fail)
    with pytest.raises(IndexError, match="ours"):
        base_model.fit(*given)


def test_the_first_failure_names_the_stage():
    failed = Failed("fit", "no memory")
    outcome = base_model.outcome([{}], pd.DataFrame(), failed, failed, {})
    assert (outcome["stage"], outcome["kind"]) == ("fit", "error")


def test_the_template_shares_what_all_models_share_and_keeps_the_rest_apart():
    pipeline = create_model_pipeline("lightgbm")
    free = {name for name in pipeline.datasets() if "." not in name and ":" not in name}
    assert free == base_model.SHARED_INPUTS
    assert all(node.namespace == "lightgbm" for node in pipeline.nodes)
    assert all("model" in node.tags for node in pipeline.nodes)


def test_a_fit_of_other_parameters_still_predicts_and_is_said(given, tmp_path, caplog):
    live, model = small_panel(tmp_path / "live", n_eras=1, seed=3), base_model.fit(*given)
    base_model.predict_live(model, live, PARAMS, name="lightgbm")
    assert "other parameters" not in caplog.text
    other = PARAMS.model_copy(update={"seed": 77})
    assert len(base_model.predict_live(model, live, other, name="lightgbm")) == 40
    assert "lightgbm: predicts by a fit with other parameters than those in force" in caplog.text


def test_what_is_no_model_of_the_family_is_an_outcome():
    made = base_model.predict_live("a text", None, PARAMS, name="lightgbm")
    assert made == Failed("predict_live", "lightgbm.model holds a str")
