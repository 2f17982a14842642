"""What the gate asks: each failing has its own name, and an honest record passes."""

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.project import ROOT

from numerai_kedro.statistics.gate import GateDecision
from numerai_kedro.statistics.gate_checks import (
    GateParams,
    backtest_checks,
    champion_check,
    constant_check,
    drift_checks,
    honesty_checks,
    likeness_check,
    live_checks,
    overfitting_check,
)

CONF = yaml.safe_load((ROOT / "conf/base/parameters_backtest.yml").read_text())["gate"]
PARAMS = GateParams.model_validate(CONF)


def record(mean: float, n_eras: int = 120, exposure: float = 0.1) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.01, size=n_eras)
    frames = [
        pd.DataFrame(
            {"era": np.arange(n_eras), "model": model, "corr": level + noise, "max_exposure": high}
        )
        for model, level, high in (("ours", mean, exposure), ("benchmark", 0.02, 0.1))
    ]
    return pd.concat(frames)


def failures(scores: pd.DataFrame) -> set[str]:
    checks = backtest_checks(scores, "ours", 12, PARAMS)
    return {check.reason.name.lower() for check in GateDecision(checks).failures}


def test_an_honest_record_passes():
    assert failures(record(0.02)) == set()


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (record(0.0), "corr_not_above_zero"),
        (record(0.02, n_eras=40), "too_few_eras"),
        (record(0.005), "corr_below_benchmark"),
        (record(-0.01), "drawdown_too_deep"),
        (record(0.02, exposure=0.5), "exposure_too_high"),
        (record(0.2), "record_too_good"),
    ],
)
def test_each_failing_is_caught_under_its_own_name(scores, reason):
    assert reason in failures(scores)


def test_live_predictions_that_collapsed_are_caught():
    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, size=(500, 10)).astype(np.int8)
    honest = rng.normal(size=500)
    assert all(check.passed for check in live_checks(honest, features, PARAMS))
    constant = {
        c.reason.name.lower() for c in live_checks(np.ones(500), features, PARAMS) if not c.passed
    }
    assert {"live_constant", "live_ties"} <= constant
    exposed = features[:, 3] + 0.01 * honest
    assert missed(live_checks(exposed, features, PARAMS)) == {"live_exposure_too_high"}


def missed(checks) -> set[str]:
    return {check.reason.name.lower() for check in checks if not check.passed}


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        ({}, set()),
        ({"windows": [(60, 77), (80, 92)]}, {"purge_too_short"}),
        ({"choices": [(60, 77), (76, 77)]}, {"selected_on_judged"}),
        ({"last_scored": 388}, {"unresolved_scored"}),
        ({"choices": []}, set()),
    ],
)
def test_what_makes_a_record_worthless_is_named(given, reasons):
    honest = {"windows": [(60, 77)], "choices": [(60, 77)], "last_scored": 387}
    found = honesty_checks(**honest | given, live_era=401, overlap_eras=12)
    assert missed(found) == reasons


def test_parameters_that_are_best_by_luck_are_missed():
    assert overfitting_check(0.4, PARAMS).passed
    assert missed([overfitting_check(0.8, PARAMS)]) == {"overfitted"}


def payoffs(mean, seed=0, n=120):
    rng = np.random.default_rng(seed)
    return dict(enumerate(mean + rng.normal(scale=0.05, size=n)))


def test_a_challenger_that_is_surely_worse_is_turned_down_and_no_other():
    champion = payoffs(0.1)
    assert champion_check(payoffs(0.1, seed=1), champion, 12, PARAMS).passed
    assert champion_check(payoffs(0.3, seed=1), champion, 12, PARAMS).passed
    worse = champion_check(payoffs(-0.1, seed=1), champion, 12, PARAMS)
    assert missed([worse]) == {"worse_than_champion"}
    assert "goes unseen" in worse.label


def test_too_few_common_eras_are_no_comparison():
    assert champion_check(payoffs(0.1, n=40), payoffs(0.1, n=120), 12, PARAMS) is None


def eras(n=60, n_rows=400, n_features=30):
    """Features that hang together, alike in every era."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(5, n_features))
    made = []
    for _ in range(n):
        raw = rng.normal(size=(n_rows, 5)) @ loadings + 2 * rng.normal(size=(n_rows, n_features))
        made.append(np.digitize(raw, [-4, -1.5, 1.5, 4]).astype(np.int8))
    return made


def test_an_era_like_the_others_is_no_drift():
    *past, live = eras()
    assert missed(drift_checks(live, past, PARAMS)) == set()


def test_columns_that_stand_still_are_named():
    *past, live = eras()
    live[:, 3] = 2
    assert missed(constant_check(live, past)) == {"live_features_constant"}
    assert constant_check(live, []) == ()


def test_columns_that_were_swapped_are_named():
    """Every column by itself looks as ever; how they hang together does not."""
    *past, live = eras()
    rng = np.random.default_rng(1)
    for column in range(0, 30, 2):
        live[:, column] = rng.permutation(live[:, column])
    assert "live_correlations_moved" in missed(drift_checks(live, past, PARAMS))


def test_columns_that_were_shifted_are_named():
    *past, live = eras()
    live[:, :3] = np.minimum(live[:, :3] + 1, 4)
    assert "live_told_apart" in missed(drift_checks(live, past, PARAMS))


def test_few_past_eras_say_nothing_about_drift():
    *past, live = eras(n=10)
    assert drift_checks(live, past, PARAMS) == ()


def test_predictions_unlike_those_submitted_before_are_named():
    rng = np.random.default_rng(0)
    before = rng.normal(size=500)
    assert likeness_check(before + rng.normal(size=500), before, PARAMS).passed
    assert missed([likeness_check(-before, before, PARAMS)]) == {"live_unlike_champion"}
