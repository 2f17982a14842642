"""Each slot is judged by what feeds it, and what cannot feed one is said."""

import numpy as np
import pandas as pd
import pytest
from tests.panels import small_panel
from tests.statistics.test_gate_checks import PARAMS, record

from numerai_kedro.errors import ConfigurationError, Failed
from numerai_kedro.pipelines.backtest.nodes import judge, name_slots
from numerai_kedro.pipelines.parameters import SubmissionParams

ROUND = {"number": 1412}


@pytest.fixture
def live(tmp_path):
    return small_panel(tmp_path / "live", n_eras=1)


def judged(live, slots, **entries):
    folds = {"paid_target": "target_ender_60", "neutral_features": live.feature_names}
    scores = record(0.02).replace({"model": {"ours": "ensemble"}})
    return judge(scores, folds, live, ROUND, slots, PARAMS, **entries)


def frame(values):
    return pd.DataFrame({"prediction": values})


def test_a_good_record_does_not_excuse_live_predictions_that_collapsed(live):
    rng = np.random.default_rng(0)
    passed = judged(live, {"demo": "ensemble"}, ensemble=frame(rng.normal(size=live.n_rows)))
    names = {c["name"] for c in passed["1412-demo"]["checks"] if not c["passed"]}
    assert names <= {"live_exposure_too_high"}  # 40 rows are few
    constant = judged(live, {"demo": "ensemble"}, ensemble=frame(np.ones(live.n_rows)))
    assert not constant["1412-demo"]["passed"]
    assert any("distinct" in reason for reason in constant["1412-demo"]["reasons"])


@pytest.mark.parametrize(
    ("entry", "reason"),
    [("lightgbm", "it failed \\(no memory\\)"), ("lihgtgbm", "there is no such entry")],
)
def test_an_entry_that_cannot_feed_a_slot_is_named_with_those_that_can(live, entry, reason):
    entries = {"ensemble": frame(np.arange(live.n_rows)), "lightgbm": Failed("fit", "no memory")}
    with pytest.raises(ConfigurationError, match=f"{reason}; there are: ensemble, lightgbm"):
        judged(live, {"demo": entry}, **entries)


class Demo:
    tournament = "demo"


class Numerai:
    tournament = "numerai"


class Account:
    def models(self):
        return {"first": "1", "second": "2"}


def test_slots_are_the_users_or_the_demos_first_and_never_guessed_on_the_real_one():
    nothing, chosen = (SubmissionParams(slots=s, upload="auto") for s in ({}, {"m": "lightgbm"}))
    assert name_slots(Account(), chosen, Numerai) == {"m": "lightgbm"}
    assert name_slots(Account(), nothing, Demo) == {"first": "ensemble"}
    assert name_slots(Account(), nothing, Numerai) == {"unnamed": "ensemble"}
