"""The record of a round describes exactly the models that predict in it."""

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.folds import folds_with
from tests.panels import small_panel
from tests.pipelines.test_ensemble_nodes import (
    FAILED,
    NONE,
    RULE,
    live,
    predictions,
    settled,
    weights_of,
)
from tests.project import ROOT

from numerai_kedro.gate.champion_store import ProcedureStore
from numerai_kedro.gate.checks import GateParams
from numerai_kedro.numerai.schema import META_MODEL
from numerai_kedro.pipelines.backtest.nodes import report, score
from numerai_kedro.pipelines.backtest.settle import settle_record
from numerai_kedro.pipelines.ensemble.nodes import blend_out_of_fold

TARGET = "target_ender_60"
GATE = GateParams.model_validate(
    yaml.safe_load((ROOT / "conf/base/parameters_backtest.yml").read_text())["gate"]
)
PROCEDURES = {"ensemble": "e", "a": "pa", "b": "pb"}
NO_TRIALS = pd.DataFrame({"eras": [], "first_era": [], "study": [], "state": [], "payoff": []})


@pytest.fixture(scope="module")
def holdout(tmp_path_factory):
    history = small_panel(tmp_path_factory.mktemp("history"), n_eras=100)
    ids, rng = history.ids(), np.random.default_rng(0)
    return {
        "history": history,
        "folds": folds_with(
            periods={"test": [5, 100], "validation": [1, 2]},
            test=[{"name": "test-1", "train": [1, 2], "test": [5, 100]}],
            paid_target=TARGET,
            neutral_features=history.feature_names,
            resolved_to={TARGET: 87},
            history=[1, 100],
        ),
        "meta_model": pd.DataFrame({META_MODEL: rng.random(len(ids))}, index=ids),
        "benchmark_predictions": pd.DataFrame(
            {"v53_lgbm_ender60": rng.random(len(ids))}, index=ids
        ),
        "score_weights": RULE,
    }


class Week:
    """The results of `prepare`: two members, their weights, scores and report."""

    def __init__(self, holdout, folder):
        self.holdout, self.store = holdout, ProcedureStore(folder)
        self.oof = {"a": predictions(holdout, 0, skill=1.0), "b": predictions(holdout, 1)}
        self.live = {"a": live(0), "b": live(1)}
        self.weights = weights_of(holdout, **self.oof)
        self.scores, self.report = self.recorded()

    def recorded(self):
        blend, _ = blend_out_of_fold(self.weights, NONE, **self.holdout, **self.oof)
        shared = {k: v for k, v in self.holdout.items() if k != "score_weights"}
        scores = score(**shared, ensemble=blend, **self.oof)
        inputs = (self.holdout["folds"], RULE, PROCEDURES, self.store, self.weights)
        return scores, report(scores, *inputs, a=NO_TRIALS, b=NO_TRIALS)

    def settle(self, scores=None, told=None, params=GATE):
        inputs = {f"{name}__oof": frame for name, frame in self.oof.items()}
        inputs |= {f"{name}__live": frame for name, frame in self.live.items()}
        inputs |= {f"{name}__trials": NO_TRIALS for name in self.oof}
        weights = settled(self.holdout, self.weights, self.oof, **self.live)
        return settle_record(
            weights,
            NONE,
            self.scores if scores is None else scores,
            self.report if told is None else told,
            **self.holdout,
            procedures=PROCEDURES,
            procedure_store=self.store,
            params=params,
            **inputs,
        )


@pytest.fixture
def week(holdout, tmp_path):
    return Week(holdout, tmp_path / "procedures")


def corr_of(scores, name):
    return scores[scores["model"] == name].sort_values("era")["corr"].to_numpy()


def test_where_nothing_differs_the_record_stays(week):
    scores, reported, checks = week.settle()
    pd.testing.assert_frame_equal(scores, week.scores)
    assert reported is week.report
    assert set(checks) == {"ensemble", "a", "b"}


def test_a_blend_without_a_member_is_scored_again_and_reported(week):
    week.live["a"] = FAILED
    scores, reported, _ = week.settle()
    np.testing.assert_allclose(corr_of(scores, "ensemble"), corr_of(scores, "b"))
    assert reported["models"]["ensemble"]["corr"]["mean"] == pytest.approx(
        np.nanmean(corr_of(week.scores, "b"))
    )
    np.testing.assert_array_equal(corr_of(scores, "a"), corr_of(week.scores, "a"))


def test_models_that_are_newer_than_their_scores_are_scored_again(week):
    """`prepare` was stopped after its fits."""
    week.oof = {k: predictions(week.holdout, 7, made_by="new") for k in "ab"}
    week.live = {"a": live(0, made_by="new"), "b": live(1, made_by="new")}
    scores, reported, _ = week.settle()
    assert set(scores.loc[scores["model"] != "benchmark", "configuration"].unique()) >= {"new"}
    assert not np.allclose(corr_of(scores, "a"), corr_of(week.scores, "a"), equal_nan=True)
    assert reported["made_by"]["a"] == "new"


def test_a_report_of_other_scores_is_made_again(week):
    """`prepare` was stopped between scores and report: the page would show the old CORR."""
    old = week.report | {"made_by": {"ensemble": "old"}}
    _, reported, _ = week.settle(told=old)
    assert reported["models"] == week.report["models"]


def test_checks_are_of_this_rounds_parameters(week):
    strict = GATE.model_copy(update={"min_corr_bound": 1.0})
    _, _, checks = week.settle(params=strict)
    missed = {row["reason"] for row in checks["ensemble"] if not row["passed"]}
    assert "corr_not_above_zero" in missed


def test_what_is_missing_and_cannot_be_scored_again_stays_for_the_gate_to_see(week):
    """History is newer than the out-of-fold predictions: no scores are made up."""
    week.oof = {name: frame.iloc[:-40].reset_index(drop=True) for name, frame in week.oof.items()}
    week.live["a"] = FAILED
    scores, reported, _ = week.settle()
    pd.testing.assert_frame_equal(scores, week.scores)
    assert reported is week.report


def test_scores_of_an_earlier_version_are_read_as_nobodys(week):
    old = week.scores.drop(columns=["configuration", "likeness"])
    scores, _, _ = week.settle(scores=old)
    assert set(scores.loc[scores["model"] == "ensemble", "configuration"]) != {""}
    week.oof = {name: frame.iloc[:-40] for name, frame in week.oof.items()}
    scores, _, _ = week.settle(scores=old)
    assert set(scores["configuration"]) == {""}
