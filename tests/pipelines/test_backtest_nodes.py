"""Each slot is judged by what feeds it, and what cannot feed one is said."""

import numpy as np
import pandas as pd
import pytest
from tests.panels import small_panel
from tests.statistics.test_gate_checks import PARAMS, record

from numerai_kedro.errors import Failed, PredictionError, SchemaError
from numerai_kedro.pipelines.backtest.nodes import benchmark_of, judge, score_reference

ROUND = {"number": 1412}


@pytest.fixture
def live(tmp_path):
    return small_panel(tmp_path / "live", n_eras=1)


def judged(live, slots, **entries):
    folds = {"paid_target": "target_ender_60", "neutral_features": live.feature_names}
    scores = record(0.02).replace({"model": {"ours": "ensemble"}})
    scores = scores.assign(mmc=0.01, bmc=0.0)
    given = {
        name: value if isinstance(value, Failed) else value.assign(id=live.ids())
        for name, value in entries.items()
    }
    return judge(scores, folds, live, ROUND, slots, PARAMS, **given)


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
    promised = passed["1412-demo"]["promised"]
    assert promised["mmc60"]["mean"] == pytest.approx(0.01)
    assert set(promised) == {"corr60", "mmc60"}


def test_a_model_that_failed_blocks_its_slot_and_no_other(live):
    rng = np.random.default_rng(0)
    entries = {
        "ensemble": frame(rng.normal(size=live.n_rows)),
        "lightgbm": Failed("fit", "no memory"),
    }
    decisions = judged(live, {"a": "lightgbm", "b": "ensemble"}, **entries)
    assert decisions["1412-a"]["reasons"] == ["lightgbm made no predictions: no memory"]
    assert not decisions["1412-a"]["passed"]
    assert decisions["1412-b"]["checks"]


def test_the_benchmark_is_the_one_of_the_paid_target_or_a_sentence():
    frame = pd.DataFrame({"era": [1], "v53_lgbm_ender20": [0.1], "v53_lgbm_ender60": [0.2]})
    assert benchmark_of(frame, "target_ender_20").tolist() == [0.1]
    with pytest.raises(SchemaError, match='not one column ends in "_lgbm_ender60"; it has era'):
        benchmark_of(frame[["era"]], "target_ender_60")


def test_a_benchmark_file_that_lags_behind_is_scored_where_it_is_whole(tmp_path):
    panel = small_panel(tmp_path / "p", n_eras=6)
    rng = np.random.default_rng(0)
    whole = pd.Series(rng.normal(size=panel.n_rows), index=panel.ids())
    given = (whole, whole, "target_ender_60", panel.feature_names)
    lagging = whole.iloc[: panel.era_starts[4] + 5]
    assert score_reference(panel, lagging, *given)["era"].tolist() == [1, 2, 3, 4]
    assert score_reference(panel, whole, *given)["era"].tolist() == [1, 2, 3, 4, 5, 6]


def test_predictions_for_other_stocks_are_not_judged(live):
    folds = {"paid_target": "target_ender_60", "neutral_features": live.feature_names}
    stale = frame(np.arange(live.n_rows)).assign(id=[f"old{k}" for k in range(live.n_rows)])
    with pytest.raises(PredictionError, match="other stocks than this round's"):
        judge(record(0.02), folds, live, ROUND, {"demo": "ensemble"}, PARAMS, ensemble=stale)
