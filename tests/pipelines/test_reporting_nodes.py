"""The report shows this round and its slots, and keeps scores when the tournament is silent."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tests.folds import folds_with

from numerai_kedro.cache.provenance import procedure_of
from numerai_kedro.errors import CredentialsError, Failed, TournamentUnreachable
from numerai_kedro.gate.champion_store import VersionStore
from numerai_kedro.pipelines.reporting import nodes
from numerai_kedro.pipelines.reporting.nodes import (
    SCORE_COLUMNS,
    build_summary,
    compare_schemes,
    draw_live_scores,
    draw_payout,
    fetch_live_scores,
    join_importance,
    note_version,
)
from numerai_kedro.reporting.live_record import live_record


def scores(*days, round_number=1412, value=0.01):
    frame = pd.DataFrame({"day": days})
    return frame.assign(
        roundNumber=round_number,
        displayName="corr60",
        value=value,
        percentile=0.5,
        resolved=False,
        submissionId="not kept",
    )


class Account:
    """An account whose models answer with scores or with an error."""

    def __init__(self, **answers):
        self.answers = answers

    def models(self):
        return {name: name for name in self.answers}

    def scores(self, model_id):
        answer = self.answers[model_id]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_scores_are_kept_in_one_order_whatever_the_answers():
    (frame,) = fetch_live_scores(Account(a=scores(3, 1, 2)), {"a": "ensemble"}).values()
    assert frame["day"].tolist() == [1, 2, 3]
    assert frame.index.tolist() == [0, 1, 2]
    assert tuple(frame.columns) == SCORE_COLUMNS


def test_a_slot_without_scores_or_without_a_model_replaces_nothing():
    account = Account(new=scores(), old=scores(1))
    slots = {"unnamed": "ensemble", "new": "ensemble", "old": "lightgbm"}
    assert list(fetch_live_scores(account, slots)) == ["old"]


def test_silence_ends_no_report_and_keeps_what_came_before_it(caplog):
    account = Account(a=scores(1), b=TournamentUnreachable("no answer in 30 s"), c=scores(1))
    assert list(fetch_live_scores(account, dict.fromkeys("abc", "ensemble"))) == ["a"]
    assert "live scores: no answer in 30 s" in caplog.text


def test_an_account_without_keys_has_no_scores_and_still_a_report(caplog):
    class Keyless:
        def models(self):
            raise CredentialsError("no keys")

    assert fetch_live_scores(Keyless(), {"a": "ensemble"}) == {}
    assert "no keys" in caplog.text


def test_points_of_two_slots_are_told_apart_and_of_one_need_no_name():
    assert [line.name for line in draw_live_scores({"a": scores(1)}).data] == ["corr60"]
    both = draw_live_scores({"a": scores(1, value=0.3), "b": scores(1, value=0.1)})
    assert {line.name: list(line.y) for line in both.data} == {
        "corr60 · a": [0.3],
        "corr60 · b": [0.1],
    }


def test_before_the_first_score_the_plot_says_so():
    (note,) = draw_live_scores({}).layout.annotations
    assert note.text == "no round has been scored yet"


def summary(**changed):
    inputs = {
        "round_info": {"number": 1412, "data_version": "v5.3"},
        "folds": folds_with(
            paid_target="target_ender_60",
            target="target_ender_20",
            history=[1, 160],
            resolved_to={"target_ender_20": 155, "target_ender_60": 147},
            features=["a", "b"],
        ),
        "report": {
            "models": {"ensemble": {}},
            "eras": [88, 147],
            "n_procedures": 4,
            "superior_to_benchmark": None,
            "overfitting": {},
        },
        "gate_decision": {},
        "receipts": {},
        "slots": {"demo": "ensemble"},
        "resource_plan": {"cuts": []},
        "params": SimpleNamespace(tournament="demo"),
        "run_history": live_record({}, {}),
        "importance_history": join_importance(),
        "score_weights": {"corr": 3.0, "mmc": 15.0},
        "payout_notes": [],
        "version_change": {},
        "scheme_report": pd.DataFrame(),
        "champions": {},
        "neutralisation": {"verdict": "not asked for"},
        "feature_report": {"0100": pd.DataFrame({"verdict": ["null", "stable", "null"]})},
        "drifting_effects": [],
        "latent_report": Failed("compress", "switched off (enabled: false)", kind="off"),
        "graph_changes": {"windows": [], "since": None},
        "graph_report": {"models": [], "text": "not asked for"},
        "option_report": pd.DataFrame(),
    }
    return build_summary(**inputs | changed, lightgbm={"status": "finished"})


def test_rounds_gone_by_and_slots_no_longer_named_are_not_in_the_summary():
    by_slot = {f"{number}-{slot}": {} for number in (1411, 1412) for slot in ("demo", "gone")}
    built = summary(gate_decision=by_slot, receipts=by_slot)
    assert list(built["gate"]) == list(built["receipts"]) == ["1412-demo"]


def test_verdicts_are_counted_window_by_window_and_missing_latents_say_why():
    features = summary()["features"]
    assert features["verdicts"] == {"0100": {"null": 2, "stable": 1}}
    assert features["latents"] == "switched off (enabled: false)"


def test_a_slot_that_was_not_judged_yet_is_left_out():
    built = summary(slots={"demo": "ensemble", "new": "ensemble"}, receipts={"1412-demo": {}})
    assert (built["gate"], list(built["receipts"])) == ({}, ["1412-demo"])


def test_the_target_that_pays_is_told_from_the_one_that_was_learned():
    data = summary()["data"]
    assert (data["target"], data["resolved_to"]) == ("target_ender_60", 147)
    assert data["trained_on"] == "target_ender_20"


def scheme_scores(n_eras=80):
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {"scheme": scheme, "era": range(n_eras), "mmc": 0.0, "payoff": 0.1, "corr": gain}
        )
        for scheme, gain in (("equal", rng.normal(size=n_eras)), ("decayed", 0.02))
    ]
    return pd.concat(frames)


def test_schemes_are_compared_with_equal_weights_era_by_era():
    scores = scheme_scores()
    scores.loc[scores["scheme"] == "decayed", "corr"] = (
        scores.loc[scores["scheme"] == "equal", "corr"].to_numpy() + 0.01
    )
    table = compare_schemes(scores, folds_with()).set_index("scheme")
    assert table.loc["decayed", "corr_gain"] == ".0100 [.0100, .0100]"
    assert table.loc["equal", "payoff_gain"] == ".0000 [.0000, .0000]"


def era_scores(n_eras=60, shift=0.0):
    rng = np.random.default_rng(0)
    values = {"corr": 0.02 + shift, "mmc": np.nan, "bmc": rng.normal(scale=0.01, size=n_eras)}
    return pd.DataFrame({"era": range(1, n_eras + 1), "model": "ensemble", **values})


RULE = {"corr": 3.0, "mmc": 15.0, "clip": 1.0, "factor": 1.0}
PROCEDURES, WEIGHTS = {"ensemble": "e", "a": "pa"}, pd.DataFrame({"model": ["a"]})


def test_versions_are_paired_on_their_common_eras_and_keep_what_they_took_first(
    tmp_path, monkeypatch
):
    store = VersionStore(tmp_path)
    took = {"seconds": 90.0, "memory": [{"peak_gb": 0.6}]}

    def note(code, n_eras, shift, reading):
        monkeypatch.setattr(nodes, "code_version", lambda: code)
        scores = era_scores(n_eras, shift)
        folds = folds_with()
        arguments = (PROCEDURES, WEIGHTS, RULE, folds, store)
        return note_version(scores, *arguments, lightgbm__fold=reading, xgboost__fold={})

    note("one", 60, 0.0, took)
    again = note("one", 60, 0.0, {"seconds": 0.1, "memory": []})
    assert again["minutes"].tolist() == [1.5]
    both = note("two", 70, 0.01, took)
    procedure = procedure_of("ensemble", PROCEDURES, WEIGHTS)[:6]
    assert both["version"].tolist() == [f"one {procedure}", f"two {procedure}"]
    assert both["n_eras"].tolist() == [60, 60]
    assert both["corr"].tolist() == pytest.approx([0.02, 0.03])
    assert both["peak_gb"].tolist() == [0.6, 0.6]


def test_payouts_are_drawn_for_every_model_the_ensemble_first():
    scores = pd.concat([era_scores(), era_scores().assign(model="catboost")])
    grown, burn = draw_payout(scores, RULE, folds_with())
    assert [line.name for line in grown.data] == ["ensemble", "catboost"]
    assert [line.name for line in burn.data] == ["ensemble", "catboost"]
