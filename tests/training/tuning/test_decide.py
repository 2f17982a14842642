"""What is adopted, when a study is due again, and that no trial sees later eras."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.damage import overwrite
from tests.folds import changed_folds, folds_with
from tests.panels import era_rows, small_panel

from numerai_kedro.cache import FoldStore
from numerai_kedro.data import EraRows, open_panel, write_panel
from numerai_kedro.errors import LeakError, PredictionError, StoreError
from numerai_kedro.models.registry import family
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.torch.care import Diverged
from numerai_kedro.training.tuning import decide, study
from numerai_kedro.training.tuning.context import Search, TuningContext, TuningParams
from numerai_kedro.training.tuning.decide import incumbent_decisions, recipe_at, tune
from numerai_kedro.training.tuning.objective import EraScores
from numerai_kedro.training.tuning.space import Range
from numerai_kedro.training.tuning.store import StudyStore
from numerai_kedro.training.tuning.trials import Trials

TARGET = "target_ender_60"
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
ADAPTIVE = {
    "rungs": 2,
    "valid_eras": 4,
    "target_gap": 0.5,
    "rate": 0.6,
    "low_fidelity_stride": 1,
    "low_fidelity_trees": 5,
}
TUNING = TuningParams(
    low_fidelity_stride=2,
    low_fidelity_trees=10,
    risk_aversion=0.0,
    adopt_level=0.95,
    max_overfitting=0.7,
    retune_weeks=13,
    weights={"corr": 3, "mmc": 15},
    seed=0,
    adaptive=ADAPTIVE,
)
FOLDS = folds_with(
    paid_target=TARGET,
    purge_eras=4,
    test_fold_eras=10,
    history=[1, 60],
    periods={"validation": [16, 29], "test": [36, 50]},
    validation=[
        {"name": "validation-1", "train": [1, 11], "test": [16, 22]},
        {"name": "validation-2", "train": [1, 18], "test": [23, 29]},
    ],
)


def context(panel, **changed):
    ids = panel.ids()
    benchmark = pd.Series(np.random.default_rng(5).random(len(ids)), index=ids)
    return TuningContext(
        panel, changed_folds(FOLDS, **changed), benchmark, (3.0, 15.0), overlap_eras=4
    )


def search(n_trials=4, options=None, **changed):
    kind = family("lightgbm")
    params = kind.params_type.model_validate(PARAMS | changed)
    other = params.model_copy(update={"max_depth": 5})
    recipe = Recipe("lightgbm", kind, params, (TARGET,), 1, 1, 0, threads=1)
    space = {"max_depth": Range(low=2, high=6), "num_leaves": Range(low=3, high=31, log=True)}
    return Search(recipe, {"small": params, "deeper": other}, space, n_trials, options or {})


class Week:
    """A folder in which weeks follow each other."""

    def __init__(self, folder):
        self.store, self.studies = FoldStore(folder / "store"), StudyStore(folder / "studies")
        self.panel = small_panel(folder / "panel", n_eras=60)

    def tune(self, what=None, where=None, params=TUNING):
        where = where or context(self.panel)
        return tune(what or search(), where, params, FitRunner(self.store), self.studies)


@pytest.fixture
def week(tmp_path):
    return Week(tmp_path)


@pytest.fixture
def evaluated(monkeypatch):
    """Counts trials that were evaluated."""
    seen, real = [], Trials.evaluate

    def evaluate(self, trial, *others, **options):
        seen.append(trial.number)
        return real(self, trial, *others, **options)

    monkeypatch.setattr(Trials, "evaluate", evaluate)
    return seen


def test_an_interrupted_trial_changes_no_number_and_no_decision(week, tmp_path, monkeypatch):
    undisturbed = Week(tmp_path / "undisturbed").tune()

    def interrupt(*_, **__):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(Trials, "evaluate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        week.tune()
    decisions, trials, predictions = week.tune()
    assert trials["trial"].tolist() == [0, 1, 2, 3]
    assert decisions == undisturbed[0]
    pd.testing.assert_frame_equal(trials, undisturbed[1])
    pd.testing.assert_frame_equal(predictions, undisturbed[2])


def test_presets_are_tried_first_and_every_trial_keeps_its_eras(week):
    decisions, trials, predictions = week.tune()
    assert len(trials) == 4
    assert '"max_depth": 3' in trials["params"][0]
    assert '"max_depth": 5' in trials["params"][1]
    whole = trials[trials["state"] == "complete"]
    assert whole["eras"].map(list).iloc[0] == list(range(16, 30))
    assert whole["payoff"].map(len).iloc[0] == 14
    assert decisions[0]["first_era"] == 36
    assert predictions["era"].unique().tolist() == list(range(16, 30))


def test_the_same_week_again_evaluates_nothing(week, evaluated):
    first = week.tune()
    assert evaluated == [0, 1, 2, 3]
    again = week.tune()
    assert evaluated == [0, 1, 2, 3]
    assert first[0] == again[0]
    pd.testing.assert_frame_equal(first[1], again[1])
    pd.testing.assert_frame_equal(first[2], again[2])


def test_another_procedure_is_tuned_anew(week, evaluated):
    week.tune()
    week.tune(search(num_leaves=6))
    assert evaluated == 2 * [0, 1, 2, 3]


def test_a_study_that_ended_before_its_decision_is_decided(week, evaluated, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(decide, "_decide", crash)
        with pytest.raises(KeyboardInterrupt):
            week.tune()
    assert incumbent_decisions(search(), context(week.panel), TUNING, week.studies)[0][
        "source"
    ] == ("preset small")
    decisions, _, _ = week.tune()
    assert evaluated == [0, 1, 2, 3]
    assert decisions[0]["study"]


def planted(monkeypatch, gain, n_eras=104):
    """Trials with a planted payoff: the deeper ones earn `gain` more per era, with noise."""
    rng = np.random.default_rng(0)
    noise = {depth: rng.normal(scale=0.02, size=n_eras) for depth in range(2, 7)}

    def evaluate(self, trial, trial_number, folds, progress, may_prune):
        depth = trial.params["max_depth"]
        corr = 0.02 + gain * (depth - 3) + noise[depth]
        scores = EraScores(tuple(range(n_eras)), tuple(corr), (0.0,) * n_eras)
        trial.set_user_attr("scores", dataclasses.asdict(scores))
        trial.set_user_attr("seconds", 0.0)
        return float(scores.payoff(3.0, 15.0).mean())

    monkeypatch.setattr(Trials, "evaluate", evaluate)


def test_a_gain_that_is_sure_is_adopted(week, monkeypatch):
    planted(monkeypatch, gain=0.02)
    decisions, _, _ = week.tune(search(n_trials=12))
    assert decisions[0]["adopted"]
    assert decisions[0]["params"]["max_depth"] > 3
    assert decisions[0]["gain_low"] > 0
    assert decisions[0]["verdict"].endswith(": adopted")
    assert decisions[0]["params"]["n_estimators"] == 20  # low-fidelity trees are not the model's


def test_a_gain_of_noise_is_not(week, monkeypatch):
    planted(monkeypatch, gain=0.0)
    decisions, trials, _ = week.tune(search(n_trials=12))
    assert trials["objective"].max() > trials["objective"][0]
    assert decisions[0]["source"] == "preset small"
    assert decisions[0]["params"]["max_depth"] == 3
    assert "must be above 0); preset small stays" in decisions[0]["verdict"]


def lucky(monkeypatch):
    """Every study is found overfitted."""
    monkeypatch.setattr(decide, "probability_of_overfitting", lambda *_: 1.0)


def test_the_best_by_luck_is_not_adopted_and_the_incumbent_stays(week, monkeypatch):
    planted(monkeypatch, gain=0.02)
    lucky(monkeypatch)
    decisions, _, _ = week.tune(search(n_trials=12))
    assert not decisions[0]["adopted"]
    assert decisions[0]["params"]["max_depth"] == 3
    assert decisions[0]["verdict"].endswith(
        "found overfitted (probability 1.0000, wanted at most .7000); preset small stays"
    )


def test_a_decision_kept_before_that_is_found_overfitted_falls_back(week, monkeypatch):
    planted(monkeypatch, gain=0.02)
    what, where = search(n_trials=12), context(week.panel)
    week.tune(what)
    (path,) = (week.studies.folder / "decisions").glob("*.json")
    content = path.read_bytes()
    lucky(monkeypatch)
    decisions, _, predictions = week.tune(what)
    assert incumbent_decisions(what, where, TUNING, week.studies) == decisions
    assert decisions[0]["source"] == "preset small"
    assert decisions[0]["params"]["max_depth"] == 3
    assert decisions[0]["point"] == {"max_depth": 3, "num_leaves": 7}
    assert "so preset small stays" in decisions[0]["verdict"]
    assert len(predictions)
    assert path.read_bytes() == content


def kept_decision(source, depth, adopted, payoff):
    return {
        "source": source,
        "params": PARAMS | {"max_depth": depth},
        "point": {"max_depth": depth, "num_leaves": 7},
        "adopted": adopted,
        "verdict": "said",
        "trials": [{"state": "complete", "payoff": payoff}, {"state": "pruned", "payoff": []}],
    }


def test_later_decisions_keep_nothing_of_one_that_is_found_overfitted(week, monkeypatch):
    monkeypatch.setattr(decide, "probability_of_overfitting", lambda scores, _: scores[0, 0])
    untuned = {"source": "preset small", "params": PARAMS, "first_era": 36}
    decisions = [
        kept_decision("trial 2", 4, adopted=True, payoff=[0.8]),
        kept_decision("trial 2", 4, adopted=False, payoff=[0.1]),
        kept_decision("trial 5", 6, adopted=True, payoff=[0.7]),
        kept_decision("trial 5", 6, adopted=False, payoff=[0.9]),
    ]
    what, where = search(), context(week.panel)
    repaired = decide.without_overfitted(decisions, untuned, what, where, TUNING)
    assert [decision["source"] for decision in repaired] == 2 * ["preset small"] + 2 * ["trial 5"]
    assert [decision["params"]["max_depth"] for decision in repaired] == [3, 3, 6, 6]
    assert [decision["adopted"] for decision in repaired] == [False, False, True, False]


def test_the_limit_of_overfitting_makes_no_other_study(week, evaluated):
    week.tune()
    week.tune(params=TUNING.model_copy(update={"max_overfitting": 0.5}))
    assert evaluated == [0, 1, 2, 3]


def test_too_few_eras_never_adopt(week, monkeypatch):
    planted(monkeypatch, gain=0.1, n_eras=59)
    decisions, _, _ = week.tune(search(n_trials=12))
    assert not decisions[0]["adopted"]
    assert "too few eras" in decisions[0]["verdict"]


def test_a_re_tuning_is_due_after_so_many_weeks_and_serves_the_next_fold(week, evaluated):
    week.tune()
    soon = context(week.panel, history=[1, 72])
    assert len(week.tune(where=soon)[0]) == 1  # twelve weeks later
    too_early = context(small_panel(week.panel.folder, n_eras=73), history=[1, 73])
    assert len(week.tune(where=too_early)[0]) == 1  # era 51, which fold 56 allows, is not resolved
    later = context(
        small_panel(week.panel.folder, n_eras=73),
        history=[1, 73],
        periods={"test": [36, 63]},
    )
    decisions, trials, _ = week.tune(where=later)
    assert [decision["first_era"] for decision in decisions] == [36, 66]
    assert len(trials) == 8
    assert evaluated == 2 * [0, 1, 2, 3]
    seen = trials[trials["first_era"] == 66]["eras"].map(max).max()
    assert seen == 61  # a purge of 4 before era 66
    decisions[1] = decisions[1] | {"params": PARAMS | {"max_depth": 4}}
    served = [recipe_at(search().recipe, decisions, era).params.max_depth for era in (65, 66)]
    assert served == [3, 4]
    assert len(week.tune(where=later)[0]) == 2


def test_targets_after_the_validation_period_change_no_trial(week, tmp_path):
    rng = np.random.default_rng(1)
    blocks = []
    for era in range(1, 61):
        rows = era_rows(era)
        if era > 29:
            order = pa.array(rng.permutation(len(rows.ids)))
            targets = rows.targets.take(order)
            rows = EraRows(era, rows.data_type, rows.ids, rows.features, targets)
        blocks.append(rows)
    write_panel(tmp_path / "permuted", blocks)
    (tmp_path / "b").mkdir()
    other = Week(tmp_path / "b")
    other.panel = open_panel(tmp_path / "permuted")
    first, second = week.tune()[1], other.tune()[1]
    pd.testing.assert_frame_equal(first, second)


def test_a_planted_leak_in_a_validation_fold_is_refused(week):
    leaking = [{"name": "validation-1", "train": [1, 14], "test": [16, 22]}]
    with pytest.raises(LeakError, match="trains on era 0014, 2 before test era 0016"):
        week.tune(where=context(week.panel, validation=leaking))


@pytest.mark.parametrize("error", [MemoryError("killed."), Diverged("it came to nothing.")])
def test_a_trial_that_comes_to_nothing_counts_and_the_study_goes_on(week, monkeypatch, error):
    real = Trials._predict
    error.lines = ({"symptom": "planted"},)

    def predict(self, cheap, fold, progress):
        if cheap.params.max_depth == 5:
            raise error
        return real(self, cheap, fold, progress)

    monkeypatch.setattr(Trials, "_predict", predict)
    _, trials, _ = week.tune()
    assert trials["ended"].tolist()[1] == str(error)
    assert trials["state"].tolist()[1] == "pruned"
    assert json.loads(trials["recoveries"].tolist()[1]) == [{"symptom": "planted"}]
    assert len(trials) == 4


def test_a_study_that_cannot_be_judged_ends_in_a_sentence(week):
    """Optuna counts a NaN as a failure, and failures not as trials: the study would never end."""
    without = dataclasses.replace(
        context(week.panel), benchmark=pd.Series(np.nan, index=week.panel.ids())
    )
    with pytest.raises(PredictionError, match="fold validation-1: no era has both a target and"):
        week.tune(where=without)


def test_torn_decisions_are_repaired_and_a_sentence_where_the_copy_is_torn_too(week):
    before = week.tune()[0]
    (path,) = (week.studies.folder / "decisions").glob("*.json")
    path.write_text("{")
    assert week.tune()[0] == before
    overwrite(path, b'"learning_rate": 0.', b'"learning_rate": 1.')
    assert week.tune()[0] == before
    for damaged in (path, path.with_name(f"{path.name}.copy")):
        damaged.write_text("{")
    with pytest.raises(StoreError, match=r"damaged .*delete it and its copy to tune anew"):
        week.tune()


def test_the_journal_is_where_the_store_says(week):
    decisions, _, _ = week.tune()
    journal = week.studies.journal(decisions[0]["study"])
    assert study.n_finished(study.open_study(decisions[0]["study"], journal, None)) == 4
