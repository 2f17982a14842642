"""Other ways of making the model are tried on all their eras, and adopted only where it is sure."""

import json

import numpy as np
import pytest
from tests.panels import small_panel
from tests.training.tuning.test_decide import TARGET, Week, context, search

from numerai_kedro.errors import ResourceError
from numerai_kedro.training.recipe import Option
from numerai_kedro.training.tuning.decide import recipe_at
from numerai_kedro.training.tuning.objective import EraScores
from numerai_kedro.training.tuning.trials import Trials

OFFSETS = Option(era_stride=2, n_offsets=2)
OPTIONS = {"offsets": OFFSETS, "adaptive": Option(adaptive=True)}


@pytest.fixture
def week(tmp_path):
    return Week(tmp_path)


def planted(monkeypatch, gains, n_eras=104):
    """Ways whose payoff is known."""
    rng = np.random.default_rng(0)

    def scores_of(self, option, params, folds, progress):
        gain = gains[option]
        if isinstance(gain, Exception):
            raise gain
        corr = 0.02 + gain + rng.normal(scale=0.02, size=n_eras)
        line = {"symptom": "planted", "place": str(gain)}
        return EraScores(tuple(range(n_eras)), tuple(corr), (0.0,) * n_eras), [line]

    monkeypatch.setattr(Trials, "scores_of", scores_of)


def test_a_gain_that_is_sure_is_adopted_and_serves(week, monkeypatch):
    planted(monkeypatch, {Option(): 0.0, OFFSETS: 0.02, OPTIONS["adaptive"]: 0.001})
    (decision,), trials, _ = week.tune(search(options=OPTIONS))
    assert decision["option"] == {"era_stride": 2, "n_offsets": 2}
    assert "; option offsets gains" in decision["verdict"]
    assert decision["verdict"].endswith(": adopted")
    assert trials["state"].tolist()[-3:] == ["option"] * 3
    assert trials["params"].tolist()[-3:] == [
        "{}",
        '{"era_stride": 2, "n_offsets": 2}',
        '{"adaptive": true}',
    ]
    served = recipe_at(search().recipe, [decision], era=40)
    assert len(list(served.members())) == 2


def test_a_gain_that_is_not_sure_is_not_adopted(week, monkeypatch):
    planted(monkeypatch, {Option(): 0.0, OFFSETS: 0.004, OPTIONS["adaptive"]: 0.0})
    (decision,), trials, _ = week.tune(search(options=OPTIONS))
    tried = trials[trials["state"] == "option"]["objective"].tolist()
    assert max(tried) > tried[0]  # one looks better than the incumbent
    assert decision["option"] == {}
    assert decision["verdict"].endswith("not sure enough")


def test_too_few_eras_never_adopt(week, monkeypatch):
    planted(monkeypatch, {Option(): 0.0, OFFSETS: 0.2}, n_eras=20)
    (decision,), _, _ = week.tune(search(options={"offsets": OFFSETS}))
    assert decision["option"] == {}
    assert decision["verdict"].endswith("on too few eras to tell")


def test_a_way_that_does_not_fit_is_left_out(week, monkeypatch, caplog):
    none = ResourceError("no memory left")
    planted(monkeypatch, {Option(): 0.0, OFFSETS: none, OPTIONS["adaptive"]: 0.02})
    (decision,), trials, _ = week.tune(search(options=OPTIONS))
    assert decision["option"] == {"adaptive": True}
    tried = trials[trials["state"] == "option"].set_index("params")
    ended = tried.loc['{"era_stride": 2, "n_offsets": 2}']
    assert (ended["ended"], list(ended["eras"]), len(tried)) == ("no memory left", [], 3)
    assert "lightgbm: option offsets: no memory left" in caplog.text


def test_what_was_repaired_in_an_option_is_told(week, monkeypatch):
    none = ResourceError("no memory left")
    none.lines = ({"symptom": "not enough memory", "place": "step 3"},)
    planted(monkeypatch, {Option(): 0.0, OFFSETS: none, OPTIONS["adaptive"]: 0.001})
    _, trials, _ = week.tune(search(options=OPTIONS))
    lines = trials.loc[trials["state"] == "option", "recoveries"].map(json.loads).tolist()
    assert [[line["place"] for line in entries] for entries in lines] == [
        ["0.0"],
        ["step 3"],
        ["0.001"],
    ]


def test_an_option_that_fails_late_tells_what_was_repaired_before(week, monkeypatch):
    real = Trials._predict
    line = {"symptom": "planted", "place": "step 3"}

    def predict(self, cheap, fold, progress):
        if cheap.n_offsets == 2 and fold.name == "validation-2":
            raise ResourceError("no memory left")
        parts = real(self, cheap, fold, progress)
        for fit in parts[0].fits if cheap.n_offsets == 2 else ():
            self._runner.store.remember(fit.recovery_key, [line])
        return parts

    monkeypatch.setattr(Trials, "_predict", predict)
    _, trials, _ = week.tune(search(options={"offsets": OFFSETS}))
    ended = trials.set_index("params").loc['{"era_stride": 2, "n_offsets": 2}']
    assert ended["ended"] == "no memory left"
    located = line | {"place": "validation-1, step 3"}
    assert json.loads(ended["recoveries"]) == [located, located]  # two fits, one an offset


def test_where_the_incumbent_does_not_fit_nothing_can_be_compared(week, monkeypatch):
    planted(monkeypatch, {Option(): ResourceError("no memory left"), OFFSETS: 0.5})
    (decision,), _, _ = week.tune(search(options={"offsets": OFFSETS}))
    assert decision["option"] == {}
    assert decision["verdict"].endswith("options could not be tried")


def test_a_later_study_goes_back_to_what_was_asked_where_that_is_better(week, monkeypatch):
    planted(monkeypatch, {Option(): 0.0, OFFSETS: 0.02})
    settings = search(options={"offsets": OFFSETS})
    week.tune(settings)
    planted(monkeypatch, {Option(): 0.02, OFFSETS: 0.0})
    panel = small_panel(week.panel.folder, n_eras=73)
    later = context(panel, history=[1, 73], periods={"test": [36, 63]})
    first, second = week.tune(settings, later)[0]
    assert first["option"] == {"era_stride": 2, "n_offsets": 2}
    assert second["option"] == {}
    assert "option as asked gains" in second["verdict"]


def test_every_way_is_really_made_and_comes_back_from_the_store(week, monkeypatch):
    options = {
        **OPTIONS,
        "targets": Option(more_targets=("target_ender_20",)),
        "sampled": Option(era_stride=3, n_offsets=1),
    }
    (decision,), trials, _ = week.tune(search(options=options))
    tried = trials[trials["state"] == "option"]
    assert len(tried) == 5
    # Each is another model, but this panel's two targets are one and the same.
    assert tried["objective"].nunique() == 4
    assert tried["eras"].map(list).map(len).unique().tolist() == [14]
    assert decision["option"] == {}
    fitted = []
    real = Trials._predict

    def predict(self, cheap, fold, progress):
        fitted.append(fold.name)
        return real(self, cheap, fold, progress)

    monkeypatch.setattr(Trials, "_predict", predict)
    again = week.tune(search(options=options))
    assert again[0] == [decision]
    assert len(fitted) == 2  # the choice's own predictions, fold by fold


def test_a_way_never_takes_more_eras_than_the_plan_allows():
    recipe = search().recipe.thinned(4)
    whole = recipe.with_option(Option(era_stride=2, n_offsets=2))
    assert (whole.era_stride, len(list(whole.members()))) == (4, 2)


def test_the_paid_target_is_not_learned_twice():
    twice = search().recipe.with_option(Option(more_targets=(TARGET, "target_ender_20")))
    assert twice.targets == (TARGET, "target_ender_20")


def test_a_search_without_options_decides_none(week):
    assert "option" not in week.tune()[0][0]
