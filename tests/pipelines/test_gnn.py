"""The feature graph on its way into fits, and the report of its worth."""

import dataclasses

import pandas as pd
import pytest
from tests.folds import changed_folds
from tests.models.sizes import GRAPHS
from tests.models.sizes import graph_of as ring
from tests.pipelines.test_base_model import (
    ALL_RUNS,
    DECIDED,
    NONE,
    PARAMS,
    RESOURCES,
    TUNING,
    VERSION,
    WHOLE,
    Given,
)

from numerai_kedro.compute.recovery import noted
from numerai_kedro.compute.worker_pool import WorkerPool
from numerai_kedro.data import EraPanel
from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.errors import ConfigurationError, Failed, PanelError
from numerai_kedro.models.registry import family
from numerai_kedro.pipelines import base_model
from numerai_kedro.pipelines.gnn import nodes
from numerai_kedro.pipelines.recipes import POSTPONED, fold_recipes
from numerai_kedro.runtime.parameters import GraphParams
from numerai_kedro.training.engineered import Engineered

PLAN = {"threads": 1, "models": {name: DECIDED for name in GRAPHS}}
AT_ONCE = {"threads": 1, "models": {name: DECIDED | {"at_once": 2} for name in GRAPHS}}
OF = {
    name: PARAMS.model_copy(
        update={"n_trials": 0, "options": {}, "space": {}}
        | {"presets": {"small": values | {"epochs": 1, "more_heads": ()}}}
    )
    for name, values in GRAPHS.items()
}
ONE_FOLD = GraphParams(neighbours=4, control_folds=1)


@pytest.fixture
def given(tmp_path, monkeypatch):
    # Eight features in four nodes: fewer per node than in production.
    monkeypatch.setattr("numerai_kedro.features.graph_building.FEATURES_A_NODE", 2)
    return Given(tmp_path)


def graphs_of(given, **changed):
    graphs, changes = nodes.build_graphs(
        given.history, changed_folds(given.folds, **changed), given.store, PLAN, ONE_FOLD
    )
    assert [row["window"] for row in changes["windows"]] == sorted(graphs)
    return graphs


def best_of(name):
    chosen = OF[name].presets["small"]
    settings = base_model.asked_as_json(OF[name])
    return {
        "asked": settings,
        "decisions": [{"first_era": 1, "params": chosen, "source": "preset"}],
    }


def recipes_of(given, graphs, name="gin"):
    engineered = Engineered(NONE, NONE, graphs)
    return fold_recipes(name, given.folds, PLAN, OF[name], best_of(name), engineered)


def test_every_window_that_a_fit_may_learn_from_has_its_graph(given):
    assert {"0008", "0020", "0033", "0046"} <= set(graphs_of(given))


def test_a_graph_that_is_other_than_the_newest_before_is_said(given, caplog):
    graphs_of(given)
    assert "as the data moved" not in caplog.text
    features = given.history.feature_names[:-2]
    graphs = graphs_of(given, features=features)
    assert "0 came, 2 left, as the data moved" in caplog.text
    assert {len(graph["features"]) for graph in graphs.values()} == {len(features)}


def test_a_fold_learns_on_the_graph_of_its_own_window_and_another_one_is_another_fit(given):
    names = given.history.feature_names
    graphs = {"0020": ring(names).as_json(), "0033": ring(names, first=1).as_json()}
    windows, recipes = recipes_of(given, graphs)
    assert [recipe.columns.graph for recipe in recipes] == [ring(names), ring(names, first=1)]
    (fit,) = recipes[0].fits(given.history, windows[0].train)
    edge = dataclasses.replace(ring(names), edges=((0, 1), (0, 2), (1, 2), (2, 3)))
    _, changed = recipes_of(given, graphs | {"0020": edge.as_json()})
    (other,) = changed[0].fits(given.history, windows[0].train)
    assert fit.key != other.key
    # Keys known before there is data depend on the settings, not on the graph itself.
    assert recipes[0].plan_keys((1, 20), names) == changed[0].plan_keys((1, 20), names)
    renamed = dataclasses.replace(recipes[0], engineered_by="other neighbours")
    assert recipes[0].plan_keys((1, 20), names) != renamed.plan_keys((1, 20), names)


def test_a_window_without_a_graph_is_a_sentence_and_a_failed_one_an_outcome(given):
    with pytest.raises(PanelError, match="up to 0020; run kedro run --pipeline=gnn"):
        recipes_of(given, {})
    failed = Failed("build_graphs", "no memory left", kind="resource")
    results = walk_forward(given, "gin", failed)
    assert isinstance(results[0], Failed)
    assert "no memory left" in results[0].symptom


def test_networks_that_are_off_need_no_graph(given, monkeypatch):
    monkeypatch.setattr(EraPanel, "features", lambda *_: pytest.fail("a row was read"))
    off = {"threads": 1, "models": {name: {"reason": "switched off"} for name in GRAPHS}}
    built, changes = nodes.build_graphs(given.history, given.folds, given.store, off, ONE_FOLD)
    assert (
        built
        == changes
        == Failed("build_graphs", "no network learns on it: switched off", kind="off")
    )


def test_a_plan_from_before_there_were_graph_networks_is_refused_with_the_remedy(given):
    older = {key: value for key, value in DECIDED.items() if key != "at_once"}
    for models in ({"lightgbm": DECIDED}, {"gatv2": older, "gin": older}):
        plan, words = {"threads": 1, "models": models}, r"knows no gatv2.*--pipeline=ingestion"
        with pytest.raises(ConfigurationError, match=words):
            nodes.build_graphs(given.history, given.folds, given.store, plan, ONE_FOLD)


def test_what_cannot_be_computed_is_an_outcome(given, monkeypatch):
    def short(*_):
        raise MemoryError

    monkeypatch.setattr(nodes, "graphs_of", short)
    result, _ = nodes.build_graphs(given.history, given.folds, given.store, PLAN, ONE_FOLD)
    assert result.kind == "resource"


def walk_forward(given, name, graphs, plan=PLAN):
    return base_model.predict_out_of_fold(
        *(given.history, given.folds, plan, ALL_RUNS, given.store, OF[name], RESOURCES),
        *(TUNING, NONE, NONE, NONE, best_of(name), given.benchmarks, VERSION, name, graphs),
    )


@pytest.mark.slow
def test_networks_fitted_side_by_side_are_those_fitted_in_turn(given, tmp_path):
    names = given.history.feature_names
    graphs = {name: ring(names).as_json() for name in ("0020", "0033", "0046")}
    side_by_side, _, recovery, readings = walk_forward(given, "gatv2", graphs, AT_ONCE)
    assert readings["memory"][0]["peak_gb"] > 0
    assert recovery["lines"] == []
    in_turn, *_ = walk_forward(Given(tmp_path / "other"), "gatv2", graphs)
    pd.testing.assert_frame_equal(side_by_side, in_turn)


def test_what_went_wrong_beside_a_fit_that_then_failed_is_told_too(given, monkeypatch):
    names = given.history.feature_names
    graphs = {name: ring(names).as_json() for name in ("0020", "0033", "0046")}
    line = noted("gin", "the process was killed", "by SIGKILL", "left to be fitted again").as_json()

    def short(*_):
        raise MemoryError

    monkeypatch.setattr(base_model, "walk_forward", short)
    monkeypatch.setattr(WorkerPool, "taken_lines", lambda pool: [line])
    failed, *_ = walk_forward(given, "gin", graphs, AT_ONCE)
    assert failed.remedies[0] == line


def compared(given, graphs, params=ONE_FOLD, schedule=ALL_RUNS, **of_models):
    models = {}
    for name in GRAPHS:
        oof, _, recovery, _ = walk_forward(given, name, graphs)
        models |= {f"{name}__best": best_of(name), f"{name}__oof": oof}
        models |= {name: OF[name], f"{name}__recovery": recovery}
    return nodes.judge_graph(
        *(given.history, given.folds, PLAN, schedule, given.store, params, RESOURCES),
        *(NONE, NONE, NONE, graphs),
        **(models | of_models),
    )


def test_controls_are_fitted_on_the_newest_folds_and_paired(given):
    names = given.history.feature_names
    graphs = {name: ring(names).as_json() for name in ("0020", "0033")}
    report = compared(given, graphs)
    assert [(row["model"], row["control"]) for row in report["models"]] == [
        (name, edges) for name in GRAPHS for edges in ("random", "none")
    ]
    assert all(row["eras"] == [39, 50] for row in report["models"])
    assert {row["verdict"] for row in report["models"]} == {"too few eras"}
    assert "gin, the real graph against no graph: too few eras" in report["text"]


def test_what_is_no_real_graph_or_no_model_is_not_compared(given):
    names = given.history.feature_names
    graphs = {name: ring(names).as_json() for name in ("0020", "0033")}
    without = best_of("gin")
    without["decisions"][0]["params"] = without["decisions"][0]["params"] | {"edges": "none"}
    failed = Failed("walk_forward", "it died")
    report = compared(given, graphs, gin__best=without, gatv2__oof=failed)
    assert report["text"] == "gatv2: it died; gin: edges: none used"
    assert compared(given, graphs, GraphParams(neighbours=4, control_folds=0))["models"] == []


def test_what_is_postponed_or_ends_for_memory_is_compared_by_a_later_run(given, monkeypatch):
    names = given.history.feature_names
    graphs = {name: ring(names).as_json() for name in ("0020", "0033")}
    late = compared(given, graphs, schedule={"postponed": ["lightgbm trials"]})
    assert late == Failed("judge_graph", POSTPONED, kind="postponed")

    def short(*_):
        raise MemoryError

    monkeypatch.setattr(nodes, "_controls", short)
    assert compared(given, graphs).kind == "resource"


@pytest.mark.parametrize(
    ("verdicts", "end"),
    [
        (
            ["beats it", "not distinguishable"],
            "one of 2 comparisons at 95 % each may do so by chance",
        ),
        (["loses to it", "not distinguishable"], "nothing here says that the graph itself earns"),
        (["not distinguishable", "too few eras"], "nothing here says that the graph itself earns"),
        (["too few eras", "too few eras"], "against no graph: too few eras"),
    ],
)
def test_the_sentence_says_control_by_control_what_was_found(verdicts, end):
    rows = [
        {"model": "gin", "control": control, "verdict": verdict}
        for control, verdict in zip(("random", "none"), verdicts, strict=True)
    ]
    text = nodes.said(rows)
    claim, _, on_demos = text.partition(f"; {nodes.ON_DEMOS}")
    assert claim.endswith(end)
    assert (text != claim) == (set(verdicts) != {"too few eras"})
    assert on_demos == ""
    assert all(verdict in text for verdict in verdicts)


def test_the_live_model_keeps_the_graph_that_it_learned_on(given):
    names = given.history.feature_names
    graphs = {name: ring(names).as_json() for name in ("0020", "0033", "0046")}
    models, *_ = base_model.fit(
        *(given.history, given.folds, PLAN, ALL_RUNS, given.store, OF["gin"], RESOURCES),
        *(TUNING, NONE, NONE, NONE, NONE, NONE, best_of("gin"), WHOLE),
        *({"data_version": "v5.3"}, "gin", graphs),
    )
    assert FeatureGraph.from_json(models.models[0].graph) == ring(names)
    assert isinstance(models.models[0], family("gin"))
