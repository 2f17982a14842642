"""Each slot is judged by what feeds it, against what was submitted before, and said why."""

import numpy as np
import pandas as pd
import pytest
from tests.models.test_contract import SMALL
from tests.panels import small_panel
from tests.pipelines.test_ensemble_nodes import PARAMS as ENSEMBLE
from tests.pipelines.test_feature_engineering import ENCODER
from tests.pipelines.test_feature_engineering import PARAMS as FEATURES
from tests.statistics.test_gate_checks import PARAMS, record

from numerai_kedro.errors import Failed, PredictionError, SchemaError
from numerai_kedro.incremental.champion_store import ChampionStore, ProcedureStore
from numerai_kedro.models import family
from numerai_kedro.pipelines.backtest.champions import comparison, crown, predict_champions
from numerai_kedro.pipelines.backtest.nodes import (
    check_record,
    judge,
    name_procedures,
    overfitting_of,
    report,
    score_reference,
)
from numerai_kedro.pipelines.parameters import GraphParams
from numerai_kedro.statistics.payout import PayoutRule
from numerai_kedro.tournament.schema import benchmark_of

ROUND = {"number": 1412, "data_version": "v5.3"}
LATER = ROUND | {"number": 1417}
RULE = {"corr": 3.0, "mmc": 15.0, "clip": 1.0, "factor": 1.0}
WEIGHTS = pd.DataFrame(
    {"scheme": "equal", "era": 401, "model": ["lightgbm"], "weight": 1.0, "in_force": True}
)
NO_TRIALS = pd.DataFrame({"eras": [], "first_era": [], "study": [], "state": [], "payoff": []})
PRESET = {"decisions": [{"first_era": 88, "source": "preset example"}]}


def scores_of(mean=0.02):
    scores = record(mean).replace({"model": {"ours": "ensemble"}})
    return scores.assign(mmc=0.01, bmc=0.0, fnc=0.01)


class Given:
    """What judges get: live data, history, folds, and an empty store of champions."""

    def __init__(self, folder):
        self.live = small_panel(folder / "live", n_eras=1, seed=5)
        self.history = small_panel(folder / "history", n_eras=20)
        self.folds = {
            "paid_target": "target_ender_60",
            "target": "target_ender_60",
            "purge_eras": 16,
            "neutral_features": self.live.feature_names,
            "features": self.live.feature_names,
            "judged": [{"name": "judged-1", "train": [1, 71], "test": [88, 147]}],
            "history": [1, 160],
            "size": "tiny",
            "stretches": {"tuning": [54, 71], "judged": [88, 147]},
        }
        self.store = ChampionStore(folder / "champions")
        self.procedures = {"ensemble": "a", "lightgbm": "b"}
        self.fit_report = {"data_version": "v5.3", "failed": None}

    def record(self, scores, best=PRESET, trials=NO_TRIALS, overfitting=None):
        return check_record(
            scores,
            {"overfitting": overfitting or {}},
            self.folds,
            WEIGHTS,
            PARAMS,
            lightgbm__best=best,
            lightgbm__trials=trials,
        )

    def judge(self, slots, scores=None, params=PARAMS, champions=None, round_info=ROUND, **entries):
        scores = scores_of() if scores is None else scores
        given = {
            name: value if isinstance(value, Failed) else value.assign(id=self.live.ids())
            for name, value in entries.items()
        }
        checks = self.record(scores)
        return judge(
            checks | {"lightgbm": checks["ensemble"]},
            scores,
            self.folds,
            self.history,
            self.live,
            round_info,
            slots,
            self.procedures,
            self.store,
            champions or {},
            RULE,
            params,
            WEIGHTS,
            lightgbm__fit=self.fit_report,
            **given,
        )

    def crown(self, decisions, round_info=ROUND, scores=None, **models):
        return crown(
            decisions,
            self.store,
            round_info,
            {"demo": "ensemble"},
            self.procedures,
            scores_of() if scores is None else scores,
            self.folds,
            WEIGHTS,
            {"proportion": 0.0},
            lightgbm__fit=self.fit_report,
            **models,
        )

    def champions(self, round_info):
        return predict_champions(
            *(self.store, self.live, SLOT, round_info, self.folds, None, PARAMS)
        )

    def model(self):
        kind = family("lightgbm")
        params = kind.params_type.model_validate(SMALL["lightgbm"])
        return [kind(params, seed=0, threads=1).fit(self.history, None, "target_ender_20")]

    def predictions(self, seed=0):
        return frame(np.random.default_rng(seed).normal(size=self.live.n_rows))


@pytest.fixture
def given(tmp_path):
    return Given(tmp_path)


def frame(values):
    return pd.DataFrame({"era": 161, "prediction": values})


# 40 live rows are few: one feature or another is always close.
LOOSE = PARAMS.model_copy(update={"max_live_exposure": 1.0})
SLOT = {"demo": "ensemble"}


def missed(decision):
    return {check["reason"] for check in decision["checks"] if not check["passed"]}


def test_a_good_record_does_not_excuse_live_predictions_that_collapsed(given):
    passed = given.judge(SLOT, params=LOOSE, ensemble=given.predictions())["1412-demo"]
    assert missed(passed) == set()
    assert passed["promised"]["mmc60"]["mean"] == pytest.approx(0.01)
    assert set(passed["promised"]) == {"corr60", "mmc60"}
    constant = frame(np.ones(given.live.n_rows))
    blocked = given.judge(SLOT, params=LOOSE, ensemble=constant)["1412-demo"]
    assert not blocked["passed"]
    assert any("distinct" in reason for reason in blocked["reasons"])


def test_a_model_that_failed_blocks_its_slot_and_no_other(given):
    entries = {"ensemble": given.predictions(), "lightgbm": Failed("fit", "no memory")}
    decisions = given.judge({"a": "lightgbm", "b": "ensemble"}, **entries)
    assert missed(decisions["1412-a"]) == {"no_predictions"}
    assert "no memory" in decisions["1412-a"]["reasons"][0]
    assert not decisions["1412-a"]["passed"]
    assert decisions["1412-b"]["checks"]


def test_an_override_names_round_and_reason_and_is_kept(given):
    one = {"override_round": 1412, "override_reason": "live data were mended"}
    bad, predictions = scores_of(-0.01), given.predictions()
    for changed, passes in (
        (one, True),
        (one | {"override_round": 1413}, False),
        (one | {"override_reason": None}, False),
    ):
        params = LOOSE.model_copy(update=changed)
        found = given.judge(SLOT, bad, params, ensemble=predictions)["1412-demo"]
        assert found["passed"] == passes
        assert ("override" in found) == passes


def test_what_was_let_through_is_the_champion_of_later_rounds(given):
    """Else an intended change would be held against the old one every week."""
    one = {"override_round": 1412, "override_reason": "a new target"}
    params = LOOSE.model_copy(update=one)
    found = given.judge(SLOT, scores_of(-0.01), params, ensemble=given.predictions())
    assert given.crown(found, lightgbm=given.model())["demo"]["round"] == 1412


def test_an_override_comes_before_the_champion(given):
    first = given.judge(SLOT, params=LOOSE, ensemble=given.predictions())
    given.crown(first, lightgbm=given.model())
    given.procedures = given.procedures | {"ensemble": "changed"}
    champions = given.champions(LATER)
    changed = {"override_round": 1417, "override_reason": "wanted", "min_champion_correlation": -1}
    params = LOOSE.model_copy(update=changed)
    worse, ours = scores_of(0.016), given.predictions()
    found = given.judge(SLOT, worse, params, champions, LATER, ensemble=ours)["1417-demo"]
    assert (found["feeds"], found["override"]) == ("ensemble", "wanted")


def test_what_a_round_pays_changes_nothing_between_champion_and_challenger(given):
    """Both are paid by this round's rule: the same scores are never surely worse."""
    first = given.judge(SLOT, params=LOOSE, ensemble=given.predictions())
    given.crown(first, lightgbm=given.model())
    given.procedures = given.procedures | {"ensemble": "changed"}
    champion = given.store.find("demo", 1417)
    rule = PayoutRule(0.75, 2.25, 0.05, 0.1)
    (check,) = comparison(scores_of(), "ensemble", champion, "changed", rule, 12, PARAMS)
    assert check.value == pytest.approx(0, abs=1e-12)
    assert check.passed


def test_a_model_with_an_old_fit_and_no_record_blocks_its_slot_alone(given):
    """Its folds were postponed; the fit of an earlier week still predicts."""
    checks = given.record(scores_of())
    found = judge(
        checks,
        scores_of(),
        given.folds,
        given.history,
        given.live,
        ROUND,
        {"a": "lightgbm", "b": "ensemble"},
        given.procedures,
        given.store,
        {},
        RULE,
        LOOSE,
        WEIGHTS,
        lightgbm=given.predictions().assign(id=given.live.ids()),
        ensemble=given.predictions().assign(id=given.live.ids()),
    )
    assert missed(found["1412-a"]) == {"no_record"}
    assert found["1412-b"]["passed"]


def test_an_entry_that_never_scored_is_blocked_not_a_crash(given):
    scores = scores_of()
    scores.loc[scores["model"] == "ensemble", "corr"] = np.nan
    found = given.judge(SLOT, scores, LOOSE, ensemble=given.predictions())["1412-demo"]
    assert not found["passed"]


def test_a_champion_whose_library_is_gone_predicts_nothing(given, monkeypatch, caplog):
    first = given.judge(SLOT, params=LOOSE, ensemble=given.predictions())
    given.crown(first, lightgbm=given.model())

    def gone(self, slot, champion):
        raise ModuleNotFoundError("no module named xgboost")

    monkeypatch.setattr(ChampionStore, "models", gone)
    assert given.champions(LATER) == {}
    assert "cannot predict: no module named xgboost" in caplog.text


def test_a_champion_predicts_as_it_was_judged_neutralised(given):
    first = given.judge(SLOT, params=LOOSE, ensemble=given.predictions())
    crown(
        first,
        given.store,
        ROUND,
        SLOT,
        given.procedures,
        scores_of(),
        given.folds,
        WEIGHTS,
        {"proportion": 1.0, "features": given.live.feature_names},
        lightgbm=given.model(),
    )
    made = given.champions(LATER)["1417-demo"]
    ranks = made["prediction"] - made["prediction"].mean()
    features = given.live.features_at(0).astype(float)
    exposures = np.abs(np.corrcoef(np.column_stack([ranks, features]).T)[0, 1:])
    assert exposures.max() < 0.2


def test_a_changed_configuration_that_is_surely_worse_lets_the_champion_predict(given):
    first = given.judge(SLOT, params=LOOSE, ensemble=given.predictions())
    crowned = given.crown(first, lightgbm=given.model())
    assert crowned == {"demo": {"procedure": "a", "entry": "ensemble", "round": 1412}}
    champions = given.champions(LATER)
    assert len(champions["1417-demo"]) == given.live.n_rows
    # Still well above the thresholds, and surely below the champion.
    worse, params = scores_of(0.016), LOOSE.model_copy(update={"min_champion_correlation": -1})
    jitter = np.random.default_rng(0).normal(scale=1e-4, size=len(worse))
    worse["corr"] += np.where(worse["model"] == "ensemble", jitter, 0)
    same = given.judge(SLOT, worse, params, champions, LATER, ensemble=given.predictions())[
        "1417-demo"
    ]
    assert (same["passed"], same["feeds"]) == (True, "ensemble")  # the same configuration
    given.procedures = given.procedures | {"ensemble": "changed"}
    other = given.judge(SLOT, worse, params, champions, LATER, ensemble=given.predictions())[
        "1417-demo"
    ]
    assert missed(other) == {"worse_than_champion"}
    assert same["superior_to_champion"] is None
    assert other["superior_to_champion"] > 0.3  # nothing speaks for it
    assert (other["passed"], other["feeds"]) == (True, "champion")
    assert given.crown({"1417-demo": other}, LATER, lightgbm=given.model())["demo"]["round"] == 1412


def test_a_champion_does_not_excuse_a_bad_record(given):
    first = given.judge(SLOT, params=LOOSE, ensemble=given.predictions())
    given.crown(first, lightgbm=given.model())
    given.procedures = given.procedures | {"ensemble": "changed"}
    champions = given.champions(LATER)
    bad = given.judge(
        SLOT, scores_of(-0.01), LOOSE, champions, LATER, ensemble=given.predictions()
    )["1417-demo"]
    assert not bad["passed"]
    assert bad["feeds"] == "ensemble"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"number": 1412 + 61}, "it is of round 1412, too long ago"),
        ({"number": 1417, "data_version": "v6.0"}, "it learned from v5.3"),
    ],
)
def test_a_champion_that_is_old_or_of_other_data_is_none(given, changed, reason, caplog):
    first = given.judge(SLOT, params=LOOSE, ensemble=given.predictions())
    given.crown(first, lightgbm=given.model())
    given.procedures = given.procedures | {"ensemble": "changed"}
    then = ROUND | changed
    assert given.champions(then) == {}
    assert f"champion of demo: counts for nothing: {reason}" in caplog.text
    worse = scores_of(0.016)
    found = given.judge(SLOT, worse, LOOSE, {}, then, ensemble=given.predictions())
    (decision,) = found.values()
    assert "worse_than_champion" not in {check["reason"] for check in decision["checks"]}


def test_a_champion_of_an_earlier_version_of_the_project_still_counts(given):
    given.fit_report = {"failed": None}
    first = given.judge(SLOT, params=LOOSE, ensemble=given.predictions())
    given.crown(first, lightgbm=given.model())
    assert given.store.find("demo", 1417).data_version == ""
    assert "1417-demo" in given.champions(LATER)


def test_models_of_another_data_version_are_not_asked_about_live_features(given):
    """History and live data are of the new version already, the fit is not: a stopped run."""
    then = ROUND | {"data_version": "v6.0"}
    (found,) = given.judge(
        SLOT, params=LOOSE, round_info=then, ensemble=given.predictions()
    ).values()
    assert missed(found) == {"data_version_differs"}
    assert "than v6.0 that models learned from (v5.3)" in found["reasons"][0]
    # Let through all the same, it is no champion of the new version.
    overridden = LOOSE.model_copy(update={"override_round": 1412, "override_reason": "wanted"})
    passed = given.judge(SLOT, params=overridden, round_info=then, ensemble=given.predictions())
    given.crown(passed, then, lightgbm=given.model())
    assert given.store.find("demo", 1417).data_version == "v5.3"


def test_the_first_week_compares_with_nothing(given):
    assert given.champions(ROUND) == {}
    found = given.judge(SLOT, ensemble=given.predictions())["1412-demo"]
    kinds = {check["kind"] for check in found["checks"]}
    assert kinds == {"hard", "absolute"}


def trials_of(last_era, first_era=88):
    rng = np.random.default_rng(0)
    n = 60
    return pd.DataFrame(
        {
            "study": "s",
            "state": ["complete"] * 6 + ["pruned"],
            "first_era": first_era,
            "eras": [list(range(last_era - n + 1, last_era + 1))] * 7,
            "payoff": [rng.normal(size=n).tolist() for _ in range(7)],
        }
    )


def test_a_choice_made_on_judged_eras_is_named(given):
    honest, leaking = (given.record(scores_of(), trials=trials_of(last)) for last in (71, 90))
    named = [
        {row["reason"] for row in checks["ensemble"] if not row["passed"]}
        for checks in (honest, leaking)
    ]
    assert named == [set(), {"selected_on_judged"}]


def test_only_adopted_parameters_can_be_overfitted(given):
    likely = {"lightgbm": {"s": {"probability": 0.9}}}
    tuned = {"adopted": True, "study": "s", "source": "trial 4"}
    kept = {"adopted": False, "study": "later", "source": "trial 4"}
    replaced = {"adopted": False, "study": "later", "source": "preset example"}
    for decisions, reasons in (
        (PRESET["decisions"], set()),
        ([tuned], {"overfitted"}),
        ([tuned, kept], {"overfitted"}),
        ([tuned, replaced], set()),
    ):
        best = {"decisions": decisions}
        checks = given.record(scores_of(), best=best, overfitting=likely)["ensemble"]
        assert {row["reason"] for row in checks if not row["passed"]} == reasons


def test_overfitting_says_how_many_trials_ran_all_folds():
    found = overfitting_of(trials_of(71), overlap=12)["s"]
    assert (found["n_trials"], found["n_pruned"], found["n_blocks"]) == (6, 1, 4)
    best = trials_of(71)
    best.at[2, "payoff"] = (np.array(best.at[2, "payoff"]) + 3).tolist()
    assert overfitting_of(best, overlap=12)["s"]["probability"] == 0
    assert overfitting_of(trials_of(71).iloc[:1], overlap=12)["s"]["probability"] is None


def test_the_report_says_what_scores_are_worth(given, tmp_path):
    store = ProcedureStore(tmp_path / "procedures")
    made = report(scores_of(), given.folds, RULE, given.procedures, store, lightgbm=trials_of(71))
    assert made["n_procedures"] == 1  # lightgbm has no scores of its own here
    ours = made["models"]["ensemble"]
    assert ours["payoff"]["mean"] == pytest.approx(3 * ours["corr"]["mean"] + 0.15)
    assert 0 < ours["deflated_sharpe"] <= 1
    assert ours["burn"]["low"] < ours["burn"]["mean"] < ours["burn"]["high"]
    assert made["superior_to_benchmark"] is None  # the benchmark's scores are the same
    bare = scores_of()[lambda rows: rows["model"] != "benchmark"]
    lone = report(bare, given.folds, RULE, given.procedures, store, lightgbm=trials_of(71))
    assert lone["superior_to_benchmark"] is None
    assert set(made["overfitting"]) == {"lightgbm"}


def test_a_refit_is_the_same_procedure_and_a_changed_parameter_another(given):
    from tests.pipelines.test_base_model import PARAMS as MODEL
    from tests.pipelines.test_base_model import TUNING

    def named(
        folds=given.folds, features=FEATURES, encoder=ENCODER, near=4, name="lightgbm", **changed
    ):
        model = MODEL.model_copy(update=changed).model_dump()
        graph = GraphParams(neighbours=near, control_folds=0)
        return name_procedures(folds, TUNING, ENSEMBLE, features, encoder, graph, **{name: model})

    later = given.folds | {
        "history": [1, 161],
        "stretches": given.folds["stretches"] | {"judged": [88, 148]},
    }
    assert named() == named(later)
    assert named() != named(seed=7)
    assert named()["ensemble"] != named()["lightgbm"]
    # What features are asked for is a choice of those who learn from the answer, and of no other.
    strict = FEATURES.model_copy(update={"q": 0.01})
    assert named() == named(features=strict)
    assert named(verdicts="weigh") != named(features=strict, verdicts="weigh")
    other = ENCODER.model_copy(update={"seed": 1})
    assert named() == named(encoder=other)
    assert named(latents=True) != named(encoder=other, latents=True)
    assert named() == named(near=8)
    assert named(name="gin") != named(name="gin", near=8)


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


def test_predictions_for_other_stocks_are_not_judged(given):
    stale = given.predictions().assign(id=[f"old{k}" for k in range(given.live.n_rows)])
    with pytest.raises(PredictionError, match="other stocks than this round's"):
        judge(
            given.record(scores_of()),
            scores_of(),
            given.folds,
            given.history,
            given.live,
            ROUND,
            SLOT,
            given.procedures,
            given.store,
            {},
            RULE,
            PARAMS,
            WEIGHTS,
            ensemble=stale,
        )
