"""The gate's checks: each failure has its own reason, and an honest record passes."""

import numpy as np
import pandas as pd
import pytest
import yaml
from benchmarks.simulated import overlapping
from tests.project import ROOT

from numerai_kedro.gate import checks as gate_checks
from numerai_kedro.gate.checks import (
    GateParams,
    backtest_checks,
    benchmark_likeness_check,
    best_of_many_check,
    champion_check,
    constant_check,
    drift_checks,
    honesty_checks,
    likeness_check,
    live_checks,
)
from numerai_kedro.gate.decision import Check
from numerai_kedro.metrics.payout import PayoutRule
from numerai_kedro.reasons import BlockReason

CONF = yaml.safe_load((ROOT / "conf/base/parameters_backtest.yml").read_text())["gate"]
PARAMS = GateParams.model_validate(CONF)


RULE = PayoutRule(3.0, 15.0)


def record(mean: float, n_eras: int = 120, exposure: float = 0.1) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.01, size=n_eras)
    frames = [
        pd.DataFrame(
            {
                "era": np.arange(n_eras),
                "model": model,
                "corr": level + noise,
                "mmc": level / 4 + noise / 4,
                "bmc": level / 4 + noise / 4,
                "max_exposure": high,
            }
        )
        for model, level, high in (("ours", mean, exposure), ("benchmark", 0.02, 0.1))
    ]
    return pd.concat(frames)


def checks_of(
    scores: pd.DataFrame, n_configurations: int = 1, rule: PayoutRule = RULE
) -> list[Check]:
    return [*backtest_checks(scores, "ours", 12, PARAMS, rule, n_configurations)]


def failures(scores: pd.DataFrame, **given) -> set[str]:
    return missed(checks_of(scores, **given))


def blocking(checks) -> set[str]:
    return missed(check for check in checks if check.reason.kind != "warning")


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


@pytest.mark.parametrize("scores", [record(0.005), record(0.02, exposure=0.5)])
def test_what_pays_nothing_only_warns(scores):
    assert failures(scores)
    assert blocking(checks_of(scores)) == set()


def newest(levels: tuple[float, float], spread: float, seed: int, n_eras: int = 353) -> np.ndarray:
    """Overlapping scores with one mean before the newest 93 eras and another within them."""
    noise = overlapping(np.random.default_rng(seed), n_eras, 1)[:, 0]
    for part in (slice(-93), slice(-93, None)):
        noise[part] -= noise[part].mean()
    level = np.where(np.arange(n_eras) < n_eras - 93, *levels)
    return level + spread * noise


def record_of(corr: np.ndarray, mmc: np.ndarray) -> pd.DataFrame:
    """MMC exists in the newest 93 eras only."""
    n_eras = len(corr)
    eras = {"era": np.arange(n_eras), "max_exposure": 0.1}
    recent = np.where(eras["era"] < n_eras - 93, np.nan, mmc)
    ours = pd.DataFrame(eras | {"model": "ours", "corr": corr, "mmc": recent, "bmc": mmc})
    theirs = pd.DataFrame(eras | {"model": "benchmark", "corr": 0.02, "mmc": 0.0, "bmc": 0.0})
    return pd.concat([ours, theirs])


def test_a_record_that_burns_is_blocked_for_each_that_is_paid():
    """CORR unchanged, and a mean MMC of -.012 in the newest 93 eras."""
    scores = record_of(newest((0.02, 0.02), 0.01, seed=0), newest((0.0, -0.012), 0.004, seed=1))
    reasons = blocking(checks_of(scores))
    assert reasons >= {"payoff_below_zero", "mmc_below_zero", "burn_likely"}
    assert "corr_not_above_zero" not in reasons
    message = next(str(c) for c in checks_of(scores) if c.reason == BlockReason.PAYOFF_BELOW_ZERO)
    assert "upper end of mean payoff (-.12" in message
    assert "95%, 93 eras" in message


def test_a_newest_year_that_burns_is_blocked_beside_a_whole_that_does_not():
    corr = np.full(353, 0.03) + 0.002 * overlapping(np.random.default_rng(0), 353, 1)[:, 0]
    corr[-52:] -= 0.06
    scores = record_of(corr, np.zeros(353)).assign(mmc=np.nan)
    assert blocking(checks_of(scores)) == {"newest_year_below_zero"}


def test_the_public_blend_that_fades_only_warns():
    """CORR .0116 over 655 eras; .0036, and MMC -.0025, in the newest 93."""
    before = (0.0116 * 655 - 0.0036 * 93) / 562
    corr = newest((before, 0.0036), 0.0147, seed=0, n_eras=655)
    scores = record_of(corr, newest((0.0, -0.0025), 0.0139, seed=1, n_eras=655))
    assert corr.mean() == pytest.approx(0.0116)
    checks = checks_of(scores)
    assert blocking(checks) == set()
    assert missed(checks) >= {"payoff_not_positive", "mmc_not_positive"}
    # One check each: where it warns, the one that blocks is not there.
    reasons = [check.reason for check in checks]
    assert BlockReason.PAYOFF_BELOW_ZERO not in reasons
    assert len(reasons) == len(set(reasons))


def test_what_has_too_few_eras_is_not_judged():
    paid = {"payoff_below_zero", "mmc_below_zero", "newest_year_below_zero", "burn_likely"}
    reasons = {check.reason.name.lower() for check in checks_of(record(0.02, n_eras=30))}
    assert not paid & reasons
    without = record(0.02).assign(mmc=np.nan)
    reasons = {check.reason.name.lower() for check in checks_of(without)}
    assert paid & reasons == paid - {"mmc_below_zero"}


def test_the_benchmark_is_compared_with_over_the_eras_that_both_have():
    scores = record(0.02)
    late = (scores["model"] == "benchmark") & (scores["era"] < 60)
    ours_early = (scores["model"] == "ours") & (scores["era"] < 60)
    scores.loc[ours_early, "corr"] = 0.1
    check = next(
        c for c in checks_of(scores[~late]) if c.reason == BlockReason.CORR_BELOW_BENCHMARK
    )
    assert check.value == pytest.approx(scores[~late & (scores["era"] >= 60)]["corr"].mean())
    assert "in 60 eras" in check.label
    alone = scores[scores["model"] == "ours"]
    assert "corr_below_benchmark" not in {c.reason.name.lower() for c in checks_of(alone)}


def test_the_best_of_sixty_worthless_is_mostly_blocked_and_passes_alone():
    rng = np.random.default_rng(0)
    alone, of_sixty = [], []
    for _ in range(60):
        drawn = overlapping(rng, 120, 60)
        corr = 0.0147 * drawn[:, drawn.mean(axis=0).argmax()]
        alone.append(missed(gate_checks._corr_checks(corr, 12, PARAMS)))
        of_sixty.append(missed(best_of_many_check(corr, 12, PARAMS, n_configurations=60)))
    assert np.mean([not reasons for reasons in alone]) > 0.6
    assert np.mean([not reasons for reasons in of_sixty]) < 0.3


def test_an_honest_one_of_sixty_passes_where_the_record_is_long():
    corr = 0.02 + 0.0147 * overlapping(np.random.default_rng(0), 353, 1)[:, 0]
    (check,) = best_of_many_check(corr, 12, PARAMS, n_configurations=60)
    assert check.passed
    assert "best of 60 configurations" in check.label


def test_an_only_configuration_is_not_the_best_of_many():
    corr = np.full(353, 0.02)
    assert best_of_many_check(corr, 12, PARAMS, n_configurations=1) == ()
    assert best_of_many_check(corr[:20], 12, PARAMS, n_configurations=5) == ()


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
        ({"choices": [(60, 77), (76, 77)]}, {"selected_on_test_eras"}),
        ({"last_scored": 388}, {"unresolved_scored"}),
        ({"choices": []}, set()),
    ],
)
def test_what_makes_a_record_worthless_is_named(given, reasons):
    honest = {"windows": [(60, 77)], "choices": [(60, 77)], "last_scored": 387}
    checks = honesty_checks(**honest | given, live_era=401, overlap_eras=12)
    assert missed(checks) == reasons


def payoffs(mean, seed=0, n=120):
    rng = np.random.default_rng(seed)
    return dict(enumerate(mean + rng.normal(scale=0.05, size=n)))


def test_a_challenger_that_is_significantly_worse_is_turned_down_and_no_other():
    champion = payoffs(0.1)
    assert champion_check(payoffs(0.1, seed=1), champion, 12, PARAMS).passed
    assert champion_check(payoffs(0.3, seed=1), champion, 12, PARAMS).passed
    worse = champion_check(payoffs(-0.1, seed=1), champion, 12, PARAMS)
    assert missed([worse]) == {"worse_than_champion"}
    assert "goes unseen" in worse.label


def test_too_few_common_eras_are_no_comparison():
    assert champion_check(payoffs(0.1, n=40), payoffs(0.1, n=120), 12, PARAMS) is None


def eras(n=60, n_rows=400, n_features=30):
    """Correlated features, alike in every era."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(5, n_features))
    by_era = []
    for _ in range(n):
        raw = rng.normal(size=(n_rows, 5)) @ loadings + 2 * rng.normal(size=(n_rows, n_features))
        by_era.append(np.digitize(raw, [-4, -1.5, 1.5, 4]).astype(np.int8))
    return by_era


def test_an_era_like_the_others_is_no_drift():
    *past, live = eras()
    assert missed(drift_checks(live, past, PARAMS)) == set()


def test_columns_that_stand_still_are_named():
    *past, live = eras()
    live[:, 3] = 2
    assert missed(constant_check(live, past)) == {"live_features_constant"}
    assert constant_check(live, []) == ()


def test_columns_that_were_swapped_are_named():
    """Each column's distribution is unchanged; their correlations are not."""
    *past, live = eras()
    rng = np.random.default_rng(1)
    for column in range(0, 30, 2):
        live[:, column] = rng.permutation(live[:, column])
    assert "live_correlation_shift" in missed(drift_checks(live, past, PARAMS))


def test_columns_that_were_shifted_are_named():
    *past, live = eras()
    live[:, :3] = np.minimum(live[:, :3] + 1, 4)
    assert "live_adversarial_auc" in missed(drift_checks(live, past, PARAMS))


def test_few_past_eras_say_nothing_about_drift():
    *past, live = eras(n=10)
    assert drift_checks(live, past, PARAMS) == ()


def test_predictions_unlike_the_champions_are_named():
    rng = np.random.default_rng(0)
    before = rng.normal(size=500)
    assert likeness_check(before + rng.normal(size=500), before, 0.3).passed
    assert missed([likeness_check(-before, before, 0.3)]) == {"live_unlike_champion"}


def test_a_refit_with_most_rows_out_of_order_is_named():
    rng = np.random.default_rng(0)
    before = rng.normal(size=800)
    refit = before + 0.4 * rng.normal(size=800)
    shuffled = refit.copy()
    rows = rng.permutation(800)[:480]
    shuffled[rows] = rng.permutation(shuffled[rows])
    assert likeness_check(refit, before, PARAMS.min_refit_correlation).passed
    assert not likeness_check(shuffled, before, PARAMS.min_refit_correlation).passed


# As a model's on the default demo: per era, with 800 stocks.
USUAL = np.random.default_rng(0).normal(0.39, 0.04, size=120)


@pytest.mark.parametrize("live", [-0.39, 0.0, 0.16])
def test_flipped_random_and_shuffled_predictions_are_unlike_the_benchmark(live):
    check = benchmark_likeness_check(live, USUAL, PARAMS)
    assert missed([check]) == {"live_unlike_benchmark"}


def test_honest_predictions_are_as_like_the_benchmark_as_ever():
    checks = [benchmark_likeness_check(live, USUAL, PARAMS) for live in USUAL]
    assert missed(checks) == set()


def test_a_first_fold_that_learned_little_does_not_excuse_noise():
    usual = np.concatenate([np.full(13, 0.2), np.random.default_rng(0).normal(0.64, 0.07, 39)])
    assert missed([benchmark_likeness_check(0.0, usual, PARAMS)]) == {"live_unlike_benchmark"}
    assert benchmark_likeness_check(0.55, usual, PARAMS).passed
    long_ago = np.concatenate([np.full(80, 0.2), usual[13:], usual[13:26]])
    assert missed([benchmark_likeness_check(0.2, long_ago, PARAMS)]) == {"live_unlike_benchmark"}


@pytest.mark.parametrize(
    ("live", "usual"),
    [
        (0.0, USUAL - USUAL.mean()),  # neutralised to the benchmark
        (-0.2, USUAL - USUAL.mean()),
        (0.1, np.tile([0.05, 0.25], 40)),  # noise deviates no more than eras do
        (np.nan, USUAL),  # no benchmark file
        (0.4, np.full(120, np.nan)),
        (0.4, USUAL[:10]),
    ],
)
def test_a_benchmark_that_tells_nothing_warns(live, usual):
    check = benchmark_likeness_check(live, usual, PARAMS)
    assert missed([check]) == {"benchmark_tells_nothing"}
    assert check.reason.kind == "warning"
