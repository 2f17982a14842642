"""Each slot is judged by the model that feeds it and against earlier submissions, with reasons."""

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.folds import changed_folds, folds_with
from tests.models.test_contract import SMALL
from tests.panels import small_panel
from tests.pipelines.test_ensemble_nodes import PARAMS as ENSEMBLE
from tests.pipelines.test_feature_engineering import ENCODER
from tests.pipelines.test_feature_engineering import PARAMS as FEATURES
from tests.project import ROOT

from numerai_kedro.cache.live_id_store import LiveIdStore
from numerai_kedro.errors import Failed, SchemaError
from numerai_kedro.files import digest_bytes
from numerai_kedro.gate.champion_store import ChampionStore, ProcedureStore
from numerai_kedro.gate.checks import GateParams
from numerai_kedro.metrics.payout import PayoutRule
from numerai_kedro.models.live_fit import LiveFit
from numerai_kedro.models.registry import family
from numerai_kedro.numerai.schema import benchmark_of
from numerai_kedro.numerai.submission import csv_of_ranks
from numerai_kedro.pipelines.backtest.champions import comparison, predict_champions
from numerai_kedro.pipelines.backtest.judge import judge
from numerai_kedro.pipelines.backtest.nodes import (
    check_record,
    name_procedures,
    overfitting_of,
    report,
    score_reference,
)
from numerai_kedro.pipelines.submission.nodes import promote
from numerai_kedro.runtime.parameters import GraphParams

CONF = yaml.safe_load((ROOT / "conf/base/parameters_backtest.yml").read_text())["gate"]
PARAMS = GateParams.model_validate(CONF)
ROUND = {"number": 1412, "data_version": "v5.3"}
LATER = ROUND | {"number": 1417}
RULE = {"corr": 3.0, "mmc": 15.0, "clip": 1.0, "factor": 1.0}
WEIGHTS = pd.DataFrame(
    {"scheme": "equal", "era": 401, "model": ["lightgbm"], "weight": 1.0, "chosen": True}
)
NO_TRIALS = pd.DataFrame({"eras": [], "first_era": [], "study": [], "state": [], "payoff": []})
OURS, OTHER = "configuration-a", "configuration-b"
WEIGHTS.attrs = {"members": {"lightgbm": OURS}}
NONE = {"to": "nothing", "features": [], "proportion": 0.0}


def scores_of(mean=0.02, made_by=OURS, n_eras=120):
    """A record with this mean CORR, and the benchmark's."""
    noise = np.random.default_rng(0).normal(scale=0.01, size=n_eras)
    frames = [
        pd.DataFrame({"era": np.arange(n_eras), "model": model, "corr": level + noise})
        for model, level in (("ensemble", mean), ("benchmark", 0.02))
    ]
    scores, rng = pd.concat(frames, ignore_index=True), np.random.default_rng(3)
    return scores.assign(
        max_exposure=0.1,
        mmc=0.01 + rng.normal(scale=1e-3, size=len(scores)),
        bmc=0.0,
        fnc=0.01,
        configuration=np.where(scores["model"] == "benchmark", "", made_by),
        likeness=0.5 + rng.normal(scale=0.05, size=len(scores)),
    )


class Given:
    """Inputs of the gate: live data, history, folds, and empty stores."""

    def __init__(self, folder):
        self.live = small_panel(folder / "live", n_eras=1, seed=5)
        self.history = small_panel(folder / "history", n_eras=20)
        self.folds = folds_with(
            paid_target="target_ender_60",
            target="target_ender_60",
            purge_eras=16,
            neutral_features=self.live.feature_names,
            features=self.live.feature_names,
            test=[{"name": "test-1", "train": [1, 71], "test": [88, 147]}],
            history=[1, 160],
            size="tiny",
            periods={"validation": [54, 71], "test": [88, 147]},
        )
        self.store = ChampionStore(folder / "champions")
        self.procedure_store = ProcedureStore(folder / "procedures")
        self.live_ids = LiveIdStore(folder / "live_ids")
        self.procedures = {"ensemble": "a", "lightgbm": "b"}
        self.benchmarks = Failed("download", "not there")
        self.notes = []

    def record(self, scores, trials=NO_TRIALS):
        return check_record(scores, self.folds, WEIGHTS, RULE, PARAMS, lightgbm=trials)

    def judge(self, *arguments, **entries):
        """Decisions by round and slot; the csv files are kept in `submissions`."""
        decisions, self.submissions = self._judge(*arguments, **entries)
        return decisions

    def _judge(
        self, slots, scores=None, params=PARAMS, champions=None, round_info=ROUND, **entries
    ):
        scores = scores_of() if scores is None else scores
        return judge(
            self.record(scores),
            scores,
            WEIGHTS,
            self.folds,
            self.history,
            self.live,
            self.benchmarks,
            round_info,
            slots,
            self.procedures,
            self.procedure_store,
            self.store,
            champions or {},
            LiveIdStore(self.live_ids.folder / str(round_info["number"])),
            RULE,
            self.notes,
            params,
            **entries,
        )

    def one(self, scores=None, params=None, champions=None, round_info=ROUND, ours=None):
        """The decision for the one slot."""
        ours = self.predictions() if ours is None else ours
        params = LOOSE if params is None else params
        (decision,) = self.judge(
            SLOT, scores, params, champions, round_info, ensemble=ours
        ).values()
        return decision

    def promote(
        self, decision, receipt=None, round_info=ROUND, scores=None, neutral=NONE, model=None
    ):
        key = f"{round_info['number']}-demo"
        submitted = receipt or {"status": "accepted", "digest": decision.get("predictions_digest")}
        return promote(
            {key: decision},
            {key: submitted},
            self.store,
            round_info,
            SLOT,
            scores_of() if scores is None else scores,
            WEIGHTS,
            neutral,
            lightgbm=self.model() if model is None else model,
        )

    def champions(self, round_info):
        return predict_champions(
            *(self.store, self.live, SLOT, round_info, self.folds, self.benchmarks, PARAMS)
        )

    def model(self, made_by=OURS):
        kind = family("lightgbm")
        params = kind.params_type.model_validate(SMALL["lightgbm"])
        fitted = kind(params, seed=0, threads=1).fit(self.history, None, "target_ender_20")
        return LiveFit((fitted,), made_by, "v5.3")

    def predictions(self, seed=0, made_by=OURS, version="v5.3"):
        return self.frame(
            np.random.default_rng(seed).normal(size=self.live.n_rows), made_by, version
        )

    def frame(self, values, made_by=OURS, version="v5.3"):
        predictions = pd.DataFrame({"id": self.live.ids(), "era": 161, "prediction": values})
        predictions.attrs = {"configuration": made_by, "data_version": version}
        return predictions


@pytest.fixture
def given(tmp_path):
    return Given(tmp_path)


# 40 live rows are few: one feature or another is always close.
LOOSE = PARAMS.model_copy(update={"max_live_exposure": 1.0})
ANY_CHAMPION = LOOSE.model_copy(
    update={"min_champion_correlation": -1, "min_refit_correlation": -1}
)
OVERRIDE = {
    "override_round": 1412,
    "override_slot": "demo",
    "override_reason": "data were repaired",
}
SLOT = {"demo": "ensemble"}


def missed(decision):
    """Reasons of the checks that block."""
    checks = [check for check in decision["checks"] if check["kind"] != "warning"]
    return {check["reason"] for check in checks if not check["passed"]}


def warned(decision):
    checks = [check for check in decision["checks"] if check["kind"] == "warning"]
    return {check["reason"] for check in checks if not check["passed"]}


def test_a_good_record_does_not_excuse_live_predictions_that_collapsed(given):
    passed = given.one()
    assert missed(passed) == set()
    assert set(passed["promised"]) == {"corr60", "mmc60"}
    blocked = given.one(ours=given.frame(np.ones(given.live.n_rows)))
    assert not blocked["passed"]
    assert any("distinct" in reason for reason in blocked["reasons"])


def test_live_models_of_another_configuration_than_the_record_are_blocked(given):
    """A model refitted with other parameters is submitted on the old model's record."""
    decision = given.one(ours=given.predictions(made_by=OTHER))
    assert missed(decision) == {"record_of_other_models"}
    assert not decision["passed"]


@pytest.mark.parametrize("broken", ["nan", "other stocks", "twice"])
def test_one_slots_broken_predictions_are_that_slots_alone(given, broken):
    ours, good = given.predictions(), given.predictions()
    if broken == "nan":
        ours.loc[3, "prediction"] = np.nan
    elif broken == "other stocks":
        ours["id"] = [f"old{k}" for k in range(len(ours))]
    else:
        ours.loc[3, "id"] = ours.loc[4, "id"]
    slots = {"a": "lightgbm", "b": "ensemble"}
    decisions = given.judge(slots, params=LOOSE, lightgbm=ours, ensemble=good)
    assert missed(decisions["1412-a"]) == {"predictions_unusable", "no_record"}
    assert not decisions["1412-a"]["passed"]
    assert decisions["1412-b"]["passed"]
    assert list(given.submissions) == ["1412-b"]


def test_a_model_that_failed_blocks_its_slot_and_no_other(given):
    entries = {"ensemble": given.predictions(), "lightgbm": Failed("fit", "no memory")}
    decisions = given.judge({"a": "lightgbm", "b": "ensemble"}, params=LOOSE, **entries)
    assert missed(decisions["1412-a"]) >= {"no_predictions"}
    assert "no memory" in decisions["1412-a"]["reasons"][0]
    assert not decisions["1412-a"]["passed"]
    assert decisions["1412-b"]["passed"]
    assert list(given.submissions) == ["1412-b"]


def test_what_is_submitted_is_the_ranks_that_were_checked(given):
    ours = given.predictions()
    decision = given.one(ours=ours)
    (csv,) = given.submissions.values()
    lines = csv.splitlines()
    values = pd.Series({i: float(v) for i, _, v in (x.partition(",") for x in lines[1:])})
    assert lines[0] == "id,prediction"
    assert values.between(0, 1, inclusive="neither").all()
    assert values.reindex(ours["id"]).rank().tolist() == ours["prediction"].rank().tolist()
    assert decision["predictions_digest"] == digest_bytes(csv.encode())


def test_where_predictions_are_broken_the_champion_goes(given):
    given.promote(given.one())
    champions = given.champions(LATER)
    broken = given.predictions()
    broken.loc[0, "prediction"] = np.nan
    for ours in (broken, Failed("blend_live", "nobody predicts"), given.predictions(made_by=OTHER)):
        decision = given.one(None, ANY_CHAMPION, champions, LATER, ours)
        assert (decision["passed"], decision["feeds"]) == (True, "champion")
        assert decision["configuration"] == OURS
        assert decision["champion_checks"]
        assert given.submissions == {"1417-demo": csv_of_ranks(champions["1417-demo"])}


def test_the_same_round_again_is_compared_with_nobody(given):
    """An earlier submission of the same round stands, whatever this run decides."""
    given.promote(given.one())
    assert given.champions(ROUND) == {}
    again = given.one()
    assert again["feeds"] == "ensemble"
    assert "live_unlike_champion" not in {check["reason"] for check in again["checks"]}


def test_an_override_names_round_slot_and_reason_and_is_kept(given):
    for changed, passes in (
        (OVERRIDE, True),
        (OVERRIDE | {"override_round": 1413}, False),
        (OVERRIDE | {"override_slot": "other"}, False),
        (OVERRIDE | {"override_slot": None}, False),
        (OVERRIDE | {"override_reason": None}, False),
    ):
        decision = given.one(scores_of(-0.01), LOOSE.model_copy(update=changed))
        assert decision["passed"] == passes
        assert ("override" in decision) == passes


def test_what_was_let_through_is_never_a_champion(given):
    """Otherwise a leak that was overridden once would be uploaded for sixty rounds."""
    decision = given.one(scores_of(-0.01), LOOSE.model_copy(update=OVERRIDE))
    assert decision["passed"]
    assert given.promote(decision) == {}


@pytest.mark.parametrize(
    ("receipt", "promoted"),
    [
        ({"status": "accepted"}, True),
        ({"status": "written"}, True),
        ({"status": "pending"}, False),
        ({"status": "unconfirmed"}, False),
        ({"status": "failed"}, False),
        ({"status": "refused"}, False),
        ({"status": "accepted", "digest": "another"}, False),
    ],
)
def test_a_champion_is_what_the_tournament_validated_or_what_is_kept_here(given, receipt, promoted):
    decision = given.one()
    champions = given.promote(decision, {"digest": decision["predictions_digest"]} | receipt)
    assert bool(champions) == promoted


def test_a_decision_of_an_earlier_version_promotes_nothing(given):
    """It does not identify the predictions it checked; nor does a receipt without a digest."""
    decision = given.one()
    del decision["predictions_digest"]
    assert given.promote(decision, {"status": "accepted"}) == {}


@pytest.mark.parametrize("model", ["fitted since", "failed"])
def test_models_that_were_fitted_since_are_not_kept_beside_the_old_record(given, model, caplog):
    """`prepare` finished a fit between the predictions and the promotion."""
    since = given.model(OTHER) if model == "fitted since" else Failed("fit", "no memory")
    assert given.promote(given.one(), model=since) == {}
    assert "champion of demo: not promoted: lightgbm was fitted since" in caplog.text


def test_a_slot_that_was_never_judged_stops_no_promotion(given):
    decision = given.one()
    key, receipt = "1412-demo", {"status": "accepted", "digest": decision["predictions_digest"]}
    slots = {"new": "ensemble", "demo": "ensemble"}
    arguments = (given.store, ROUND, slots, scores_of(), WEIGHTS, NONE)
    champions = promote({key: decision}, {key: receipt}, *arguments, lightgbm=given.model())
    assert list(champions) == ["demo"]


def test_a_record_without_any_mmc_is_kept_and_compared(given):
    bare = scores_of().assign(mmc=np.nan)
    assert given.promote(given.one(bare), scores=bare)["demo"]["round"] == 1412
    given.procedures = given.procedures | {"ensemble": "changed"}
    decision = given.one(bare, ANY_CHAMPION, given.champions(LATER), LATER)
    assert "worse_than_champion" in {check["reason"] for check in decision["checks"]}
    stood_in = given.one(bare, ANY_CHAMPION, given.champions(LATER), LATER, Failed("a", "b"))
    assert stood_in["feeds"] == "champion"


def test_what_does_not_say_by_what_it_was_made_matches_nothing(given):
    decision = given.one(scores_of(made_by=""), ours=given.predictions(made_by=""))
    assert missed(decision) == {"record_of_other_models"}


def test_a_benchmark_file_that_cannot_be_compared_warns(given, caplog):
    ids = given.live.ids()
    renamed = pd.DataFrame({"v60_lgbm": np.arange(len(ids))}, index=ids)
    twice = pd.DataFrame({"v53_lgbm_ender60": 0.5}, index=[*ids, ids[0]])
    for broken in (renamed, twice):
        given.benchmarks = broken
        decision = given.one()
        assert decision["passed"]
        assert "benchmark_tells_nothing" in warned(decision)
    assert "cannot be compared" in caplog.text


def test_an_override_of_what_cannot_be_submitted_is_none(given):
    params = LOOSE.model_copy(update=OVERRIDE)
    decision = given.one(None, params, ours=Failed("blend_live", "nobody predicts"))
    assert not decision["passed"]
    assert "override" not in decision
    assert decision["n_configurations"] == 1


def test_a_champion_that_stands_in_is_judged_by_its_own_record(given):
    """A champion that now burns, or was a leak all along, does not stand in."""
    for spoilt in ({"corr": 0.3}, {"mmc": -0.05}):
        given.promote(given.one(), scores=scores_of().assign(**spoilt))
        decision = given.one(None, ANY_CHAMPION, given.champions(LATER), LATER, Failed("a", "b"))
        assert not decision["passed"]
        assert any(reason.startswith("champion: ") for reason in decision["reasons"])


def test_an_override_comes_before_the_champion(given):
    given.promote(given.one())
    given.procedures = given.procedures | {"ensemble": "changed"}
    params = ANY_CHAMPION.model_copy(update=OVERRIDE | {"override_round": 1417})
    decision = given.one(scores_of(0.016), params, given.champions(LATER), LATER)
    assert (decision["feeds"], decision["override"]) == ("ensemble", "data were repaired")


def test_what_a_round_pays_changes_nothing_between_champion_and_challenger(given):
    """Both are paid by this round's rule: the same scores are never significantly worse."""
    given.promote(given.one())
    champion = given.store.find("demo", 1417)
    rule = PayoutRule(0.75, 2.25, 0.05, 0.1)
    (check,) = comparison(scores_of(), "ensemble", champion, "changed", rule, 12, PARAMS)
    assert check.value == pytest.approx(0, abs=1e-12)
    assert check.passed


def test_a_model_with_an_old_fit_and_no_record_blocks_its_slot_alone(given):
    """Its folds were postponed; the fit of an earlier week still predicts."""
    both = {"lightgbm": given.predictions(), "ensemble": given.predictions()}
    decisions = given.judge({"a": "lightgbm", "b": "ensemble"}, params=LOOSE, **both)
    assert missed(decisions["1412-a"]) == {"no_record"}
    assert decisions["1412-b"]["passed"]


def test_an_entry_that_never_scored_is_blocked_not_a_crash(given):
    scores = scores_of()
    scores.loc[scores["model"] == "ensemble", "corr"] = np.nan
    assert not given.one(scores)["passed"]


def test_a_champion_whose_library_is_gone_predicts_nothing(given, monkeypatch, caplog):
    given.promote(given.one())

    def gone(self, slot, champion):
        raise ModuleNotFoundError("no module named xgboost")

    monkeypatch.setattr(ChampionStore, "models", gone)
    assert given.champions(LATER) == {}
    assert "cannot predict: no module named xgboost" in caplog.text


def test_a_champion_that_cannot_be_read_is_none(given, caplog):
    given.promote(given.one())
    for name in ("champion.json", "champion.json.copy"):
        (given.store.folder / "demo" / "1412" / name).write_text("{}")
    assert given.champions(LATER) == {}
    assert given.one(round_info=LATER)["passed"]
    assert "champion of demo: ignored: " in caplog.text


def test_a_champion_predicts_as_it_was_judged_neutralised(given):
    neutral = {"proportion": 1.0, "features": given.live.feature_names, "to": "features"}
    given.promote(given.one(), neutral=neutral)
    predictions = given.champions(LATER)["1417-demo"]
    ranks = predictions["prediction"] - predictions["prediction"].mean()
    features = given.live.features_at(0).astype(float)
    exposures = np.abs(np.corrcoef(np.column_stack([ranks, features]).T)[0, 1:])
    assert exposures.max() < 0.2


def test_a_changed_configuration_that_is_significantly_worse_lets_the_champion_predict(given):
    promoted = given.promote(given.one())
    assert promoted["demo"]["round"] == 1412
    champions = given.champions(LATER)
    assert len(champions["1417-demo"]) == given.live.n_rows
    # Still well above the thresholds, and significantly below the champion.
    worse = scores_of(0.016)
    jitter = np.random.default_rng(0).normal(scale=1e-4, size=len(worse))
    worse["corr"] += np.where(worse["model"] == "ensemble", jitter, 0)
    same = given.one(worse, ANY_CHAMPION, champions, LATER)
    assert (same["passed"], same["feeds"]) == (True, "ensemble")  # the same configuration
    given.procedures = given.procedures | {"ensemble": "changed"}
    other = given.one(worse, ANY_CHAMPION, champions, LATER)
    assert missed(other) == {"worse_than_champion"}
    assert same["superior_to_champion"] is None
    assert other["superior_to_champion"] > 0.3  # no sign of superiority
    assert (other["passed"], other["feeds"]) == (True, "champion")
    assert given.promote(other, round_info=LATER)["demo"]["round"] == 1412


def test_a_blend_of_other_members_is_another_procedure_and_compared(given):
    given.promote(given.one())
    both = pd.concat([WEIGHTS, WEIGHTS.assign(model="catboost")])
    given.procedures = given.procedures | {"catboost": "c"}
    from numerai_kedro.cache.provenance import procedure_of

    assert procedure_of("ensemble", given.procedures, both) != procedure_of(
        "ensemble", given.procedures, WEIGHTS
    )
    assert procedure_of("lightgbm", given.procedures, both) == "b"


def test_a_bad_record_leaves_the_champion_of_another_configuration_and_not_its_own(given):
    given.promote(given.one())
    champions = given.champions(LATER)
    same = given.one(scores_of(-0.01), ANY_CHAMPION, champions, LATER)
    assert (same["passed"], same["feeds"]) == (False, "ensemble")
    given.procedures = given.procedures | {"ensemble": "changed"}
    other = given.one(scores_of(-0.01), ANY_CHAMPION, champions, LATER)
    assert (other["passed"], other["feeds"]) == (True, "champion")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"number": 1412 + 61}, "it is of round 1412, too long ago"),
        ({"number": 1417, "data_version": "v6.0"}, "it learned from v5.3"),
    ],
)
def test_a_champion_that_is_old_or_of_other_data_is_none(given, changed, reason, caplog):
    given.promote(given.one())
    given.procedures = given.procedures | {"ensemble": "changed"}
    then = ROUND | changed
    assert given.champions(then) == {}
    assert f"champion of demo: ignored: {reason}" in caplog.text
    decision = given.one(scores_of(0.016), LOOSE, {}, then)
    assert "worse_than_champion" not in {check["reason"] for check in decision["checks"]}


def test_models_of_another_data_version_are_not_asked_about_live_features(given):
    """Live data are of the new version, the fit is not, whether its refit failed or never began."""
    then = ROUND | {"data_version": "v6.0"}
    decision = given.one(round_info=then)
    assert missed(decision) == {"data_version_differs"}
    assert "than v6.0 that models learned from (v5.3)" in decision["reasons"][0]


def test_live_data_of_an_earlier_round_are_noticed(given):
    store = LiveIdStore(given.live_ids.folder / "1417")
    store.note(1412, given.live.ids().tolist())
    decision = given.one(round_info=LATER)
    assert missed(decision) == {"live_stale"}
    assert "(round 1412)" in decision["reasons"][0]
    assert given.one(round_info=LATER | {"number": 1418})["passed"]


def test_the_same_round_again_is_not_stale(given):
    assert given.one()["passed"]
    assert given.one()["passed"]


def test_a_payout_score_that_is_not_weighed_warns_and_blocks_nothing(given):
    given.notes = ["alpha pays x 2"]
    decision = given.one()
    assert decision["passed"]
    assert "payout_unfamiliar" in warned(decision)


def test_predictions_turned_round_are_seen_by_the_rounds_benchmark(given):
    ours = given.predictions()
    noise = np.random.default_rng(1).normal(size=len(ours))
    benchmark = ours["prediction"].to_numpy() + noise
    given.benchmarks = pd.DataFrame({"v53_lgbm_ender60": benchmark}, index=given.live.ids())
    assert given.one()["passed"]
    flipped = given.one(ours=given.frame(-ours["prediction"].to_numpy()))
    assert missed(flipped) == {"live_unlike_benchmark"}
    given.benchmarks = Failed("download", "not there")
    without = given.one(ours=given.frame(-ours["prediction"].to_numpy()))
    assert without["passed"]
    assert "benchmark_tells_nothing" in warned(without)


def test_the_best_of_many_configurations_needs_more_and_what_passed_once_does_not(given):
    scores = scores_of(0.02)
    ours = scores["model"] == "ensemble"
    slow = np.sin(np.arange(ours.sum()) / 6) * 0.03
    scores.loc[ours, "corr"] = 0.013 + slow
    first = given.one(scores)
    assert first["n_configurations"] == 1
    for k in range(60):
        given.procedure_store.note_tried("demo", f"other-{k}", 1412)
    assert given.one(scores, round_info=LATER)["n_configurations"] == (1 if first["passed"] else 61)
    given.procedures = given.procedures | {"ensemble": "changed"}
    later = given.one(scores, round_info=LATER)
    assert later["n_configurations"] == 62
    assert "best_of_many" in {check["reason"] for check in later["checks"]}


def test_the_first_week_compares_with_nothing(given):
    assert given.champions(ROUND) == {}
    decision = given.one()
    kinds = {check["kind"] for check in decision["checks"]}
    assert "comparison" not in kinds


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


def test_a_choice_made_on_test_eras_is_named(given):
    honest, leaking = (given.record(scores_of(), trials=trials_of(last)) for last in (71, 90))
    named = [
        {
            row["reason"]
            for row in checks["ensemble"]
            if not row["passed"] and row["kind"] != "warning"
        }
        for checks in (honest, leaking)
    ]
    assert named == [set(), {"selected_on_test_eras"}]


def test_overfitting_says_how_many_trials_ran_all_folds():
    overfitting = overfitting_of(trials_of(71), overlap=12)["s"]
    assert (overfitting["n_trials"], overfitting["n_pruned"], overfitting["n_blocks"]) == (6, 1, 4)
    best = trials_of(71)
    best.at[2, "payoff"] = (np.array(best.at[2, "payoff"]) + 3).tolist()
    assert overfitting_of(best, overlap=12)["s"]["probability"] == 0
    assert overfitting_of(trials_of(71).iloc[:1], overlap=12)["s"]["probability"] is None


def test_the_report_says_what_scores_are_worth(given, tmp_path):
    store = ProcedureStore(tmp_path / "procedures")
    common = (given.folds, RULE, given.procedures, store, WEIGHTS)
    result = report(scores_of(), *common, lightgbm=trials_of(71))
    assert result["n_procedures"] == 1  # lightgbm has no scores of its own here
    ours = result["models"]["ensemble"]
    assert ours["payoff"]["mean"] == pytest.approx(3 * ours["corr"]["mean"] + 0.15, abs=0.01)
    assert 0 < ours["deflated_sharpe"] <= 1
    assert ours["burn"]["low"] < ours["burn"]["mean"] < ours["burn"]["high"]
    bare = scores_of()[lambda rows: rows["model"] != "benchmark"]
    lone = report(bare, *common, lightgbm=trials_of(71))
    assert lone["superior_to_benchmark"] is None
    assert set(result["overfitting"]) == {"lightgbm"}


def test_a_refit_is_the_same_procedure_and_a_changed_parameter_another(given):
    from tests.pipelines.test_base_model import PARAMS as MODEL
    from tests.pipelines.test_base_model import TUNING

    def named(
        folds=given.folds, verdicts=FEATURES, encoder=ENCODER, near=4, name="lightgbm", **changed
    ):
        model = MODEL.model_copy(update=changed).model_dump()
        graph = GraphParams(neighbours=near, control_folds=0)
        return name_procedures(
            folds, TUNING, ENSEMBLE, verdicts, encoder, graph, {}, **{name: model}
        )

    later = changed_folds(given.folds, history=[1, 161], periods={"test": [88, 148]})
    assert named() == named(later)
    assert named() != named(seed=7)
    assert named()["ensemble"] != named()["lightgbm"]
    assert named()["ensemble"] == named(seed=7)["ensemble"]  # members come in by `procedure_of`
    # Settings of verdicts, latents and graphs count only for models that use them.
    strict = FEATURES.model_copy(update={"q": 0.01})
    assert named() == named(verdicts=strict)
    assert named(features=("weigh",)) != named(verdicts=strict, features=("weigh",))
    other = ENCODER.model_copy(update={"seed": 1})
    assert named() == named(encoder=other)
    assert named(features=("latents",)) != named(encoder=other, features=("latents",))
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
    arguments = (whole, whole, "target_ender_60", panel.feature_names)
    lagging = whole.iloc[: panel.era_starts[4] + 5]
    assert score_reference(panel, lagging, *arguments)["era"].tolist() == [1, 2, 3, 4]
    assert score_reference(panel, whole, *arguments)["era"].tolist() == [1, 2, 3, 4, 5, 6]
