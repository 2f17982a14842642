"""What the gate asks: each failing has its own name, and an honest record passes."""

import numpy as np
import pandas as pd
import pytest

from numerai_kedro.statistics.gate import GateDecision
from numerai_kedro.statistics.gate_checks import GateParams, backtest_checks, live_checks

PARAMS = GateParams(
    min_judged_eras=60,
    corr_bound_level=0.9,
    min_corr_bound=0.0,
    min_corr_of_benchmark=0.5,
    min_sharpe_of_benchmark=0.5,
    max_drawdown_of_benchmark=3.0,
    max_exposure_of_benchmark=2.0,
    max_live_exposure=0.6,
    min_distinct_share=0.9,
    min_live_deviation=0.2,
)


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
    return {check.name for check in GateDecision(checks).failures}


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
    ],
)
def test_each_failing_is_caught_under_its_own_name(scores, reason):
    assert reason in failures(scores)


def test_live_predictions_that_collapsed_are_caught():
    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, size=(500, 10)).astype(np.int8)
    honest = rng.normal(size=500)
    assert all(check.passed for check in live_checks(honest, features, PARAMS))
    constant = {c.name for c in live_checks(np.ones(500), features, PARAMS) if not c.passed}
    assert {"live_constant", "live_ties"} <= constant
    exposed = features[:, 3] + 0.01 * honest
    high = {c.name for c in live_checks(exposed, features, PARAMS) if not c.passed}
    assert high == {"live_exposure_too_high"}
