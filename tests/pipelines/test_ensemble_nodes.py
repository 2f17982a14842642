"""Finished models are blended, the others named, and all blended models predict the same rows."""

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.folds import changed_folds, folds_with
from tests.panels import small_panel
from tests.project import ROOT

from numerai_kedro.ensemble.weighting import ALL_SCHEMES, EnsembleParams
from numerai_kedro.errors import BlendError, ConfigurationError, Failed, PredictionError
from numerai_kedro.models.live_fit import LiveFit
from numerai_kedro.numerai.schema import META_MODEL
from numerai_kedro.pipelines.ensemble.nodes import (
    blend_live,
    blend_out_of_fold,
    choose_neutralisation,
    name_neutral,
    settle_weights,
    weigh,
)
from numerai_kedro.training.tuning.store import StudyStore

FAILED = Failed("fit", "no memory")
TARGET = "target_ender_60"
RULE = {"corr": 3.0, "mmc": 15.0}
CONF = yaml.safe_load((ROOT / "conf/base/parameters_ensemble.yml").read_text())["ensemble"]
PARAMS = EnsembleParams.model_validate(CONF)
FIRST, FRONTIER, LIVE = 5, 100, 101
ROUND = {"number": 1412, "data_version": "v5.3"}


@pytest.fixture(scope="module")
def holdout(tmp_path_factory):
    """Inputs of the nodes other than the members: eras 5 to 100 are the test period."""
    history = small_panel(tmp_path_factory.mktemp("history"), n_eras=FRONTIER)
    ids = history.ids()
    rng = np.random.default_rng(0)
    return {
        "history": history,
        "folds": folds_with(
            periods={"test": [FIRST, FRONTIER]},
            paid_target=TARGET,
            resolved_to={TARGET: 87},
            history=[1, FRONTIER],
        ),
        "meta_model": pd.DataFrame({META_MODEL: rng.random(len(ids))}, index=ids),
        "benchmark_predictions": pd.DataFrame(
            {"v53_lgbm_ender60": rng.random(len(ids))}, index=ids
        ),
        "score_weights": RULE,
    }


def predictions(holdout, seed, skill=0.0, made_by="a"):
    panel = holdout["history"].select(eras=range(FIRST, FRONTIER + 1))
    rng = np.random.default_rng(seed)
    target = np.nan_to_num(panel.target(TARGET), nan=0.5)
    frame = pd.DataFrame(
        {
            "id": np.asarray(panel.ids(), dtype=object),
            "era": panel.era_of_rows(),
            "prediction": rng.normal(size=panel.n_rows) + skill * target,
        }
    )
    frame.attrs = {"configuration": made_by}
    return frame


def live(seed, n=30, made_by="a"):
    rng = np.random.default_rng(seed)
    ids = [f"n{k}" for k in range(n)]
    frame = pd.DataFrame({"id": ids, "era": LIVE, "prediction": rng.normal(size=n)})
    frame.attrs = {"configuration": made_by, "data_version": "v5.3"}
    return frame


def fit_of(oof):
    """The live fit that belongs to out-of-fold predictions, or the reason why there is none."""
    if isinstance(oof, Failed):
        return oof
    return LiveFit((), oof.attrs["configuration"], "v5.3")


def weights_of(holdout, params=PARAMS, **models):
    parts = {f"{name}__oof": value for name, value in models.items()}
    parts |= {f"{name}__model": fit_of(value) for name, value in models.items()}
    return weigh(**holdout, params=params, **parts)


def settled(holdout, weights, oof, **live):
    parts = {f"{name}__oof": value for name, value in oof.items()}
    parts |= {f"{name}__live": value for name, value in live.items()}
    return settle_weights(weights, **holdout, round_info=ROUND, params=PARAMS, **parts)


NOTHING = {"to": "nothing", "features": []}
NONE = NOTHING | {"shares": [], "proportion": 0.0, "verdict": "not asked for"}


def blended(holdout, weights, neutralisation=NONE, **oof):
    return blend_out_of_fold(weights, neutralisation, **holdout, **oof)


def blended_live(weights, **live):
    return blend_live(weights, NONE, None, {}, None, **live)


def newest(weights):
    rows = weights[weights["chosen"] & (weights["era"] == LIVE)]
    return rows.set_index("model")["weight"]


def test_every_scheme_weighs_every_era_and_the_live_one(holdout):
    weights = weights_of(holdout, a=predictions(holdout, 0), b=predictions(holdout, 1))
    assert sorted(weights["scheme"].unique()) == sorted(ALL_SCHEMES)
    assert weights["era"].unique().tolist() == list(range(FIRST, LIVE + 1))
    sums = weights.groupby(["scheme", "era"])["weight"].sum()
    np.testing.assert_allclose(sums, 1)
    assert weights.loc[weights["chosen"], "scheme"].unique().tolist() == [PARAMS.scheme]


def test_the_one_with_skill_weighs_more_once_that_has_resolved(holdout):
    members = {"a": predictions(holdout, 0, skill=2.0), "b": predictions(holdout, 1)}
    weights = weights_of(holdout, **members)
    assert newest(weights)["a"] > 0.5
    first = weights[weights["chosen"] & (weights["era"] == FIRST)]
    assert first["weight"].tolist() == [0.5, 0.5]


def test_those_that_did_not_finish_are_named_and_left_out(holdout, caplog):
    caplog.set_level("INFO")
    a, b = predictions(holdout, 0), predictions(holdout, 1)
    weights = weights_of(holdout, a=a, b=b, c=FAILED)
    assert weights["model"].unique().tolist() == ["a", "b"]
    assert "ensemble: without c (no memory)" in caplog.text


def test_a_model_without_a_live_fit_has_no_weight(holdout):
    a, b = predictions(holdout, 0), predictions(holdout, 1)
    inputs = {"a__oof": a, "a__model": fit_of(a), "b__oof": b}
    weights = weigh(**holdout, params=PARAMS, **inputs, b__model=FAILED)
    assert newest(weights).to_dict() == {"a": 1.0}
    # Nor one whose fit is of another configuration than what it predicted out of fold.
    weights = weigh(**holdout, params=PARAMS, **inputs, b__model=LiveFit((), "other", "v5.3"))
    assert newest(weights).to_dict() == {"a": 1.0}


def test_nobody_left_is_said_with_every_reason(holdout):
    with pytest.raises(BlendError, match=r"no model has both .*a: no memory; b: no memory"):
        weights_of(holdout, a=FAILED, b=FAILED)


def test_one_member_alone_keeps_its_order_in_every_era(holdout):
    a = predictions(holdout, 0)
    blend, _ = blended(holdout, weights_of(holdout, a=a), a=a)
    ours = blend.groupby("era")["prediction"].rank()
    assert ours.equals(a.groupby("era")["prediction"].rank())


def test_every_schemes_blend_is_scored_and_the_chosen_one_twice(holdout):
    members = {"a": predictions(holdout, 0, skill=1.0), "b": predictions(holdout, 1)}
    _, scores = blended(holdout, weights_of(holdout, **members), **members)
    assert scores.groupby("scheme").size().unique().tolist() == [FRONTIER - FIRST + 1]
    ours = scores[scores["scheme"] == PARAMS.scheme]
    scored = ours["corr"].notna()
    assert scored.sum() > 0
    assert ours.loc[scored, "spearman"].notna().all()
    assert scores.loc[scores["scheme"] != PARAMS.scheme, "spearman"].isna().all()
    paid = (3 * ours["corr"] + 15 * ours["mmc"]).clip(-1, 1)
    np.testing.assert_allclose(ours["payoff"], paid)


def test_members_that_predict_other_rows_are_refused(holdout):
    a, b = predictions(holdout, 0), predictions(holdout, 1).assign(id=lambda t: t["id"] + "x")
    with pytest.raises(PredictionError, match="b predicts other rows than"):
        weights_of(holdout, a=a, b=b)


def test_where_all_members_predict_the_weights_stay(holdout):
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    weights = weights_of(holdout, **members)
    assert settled(holdout, weights, members, a=live(0), b=live(1)) is weights


def test_a_member_that_cannot_predict_live_makes_it_another_blend(holdout, caplog):
    """Half of the weight is missing: the others are weighted anew, as a blend without it."""
    members = {name: predictions(holdout, k, skill=k) for k, name in enumerate("abc")}
    weights = weights_of(holdout, **members)
    again = settled(holdout, weights, members, a=live(0), b=live(1), c=FAILED)
    assert "c is left out of this round: no memory" in caplog.text
    pd.testing.assert_frame_equal(again, weights_of(holdout, a=members["a"], b=members["b"]))
    assert again.attrs["members"] == {"a": "a", "b": "a"}
    alone = blended_live(again, a=live(0), b=live(1))
    assert len(alone) == 30


def test_a_member_that_learned_another_data_version_is_left_out(holdout, caplog):
    """Its refit failed after the data had changed: the others are submitted without it."""
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    weights = weights_of(holdout, **members)
    older = live(1)
    older.attrs["data_version"] = "v5.2"
    again = settled(holdout, weights, members, a=live(0), b=older)
    assert again.attrs["members"] == {"a": "a"}
    assert "b is left out of this round: it learned from data v5.2, and live data" in caplog.text


def test_a_member_fitted_anew_is_left_out_until_it_is_weighed(holdout, caplog):
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    weights = weights_of(holdout, **members)
    changed = {"a": predictions(holdout, 5, made_by="new"), "b": members["b"]}
    again = settled(holdout, weights, changed, a=live(0, made_by="new"), b=live(1))
    assert again.attrs["members"] == {"b": "a"}
    assert "a is left out of this round: its live fit is of another configuration" in caplog.text


def test_where_every_member_is_new_those_are_weighed_that_have_a_record(holdout):
    """`prepare` was stopped after its fits: models and their predictions exist, weights are old."""
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    weights = weights_of(holdout, **members)
    changed = {name: predictions(holdout, 5, made_by="new") for name in "ab"}
    new = {"a": live(0, made_by="new"), "b": live(1, made_by="newer")}
    again = settled(holdout, weights, changed, **new)
    assert again.attrs["members"] == {"a": "new"}


def test_nobody_who_predicts_live_is_an_outcome(holdout):
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    weights = weights_of(holdout, **members)
    same = settled(holdout, weights, members, a=FAILED, b=FAILED)
    nobody = blended_live(same, a=FAILED, b=FAILED)
    assert isinstance(nobody, Failed)
    assert "a: no memory; b: no memory" in nobody.symptom


def test_a_blend_says_by_what_it_was_made_out_of_fold_as_live(holdout):
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    weights = weights_of(holdout, **members)
    oof, _ = blended(holdout, weights, **members)
    ours = blended_live(weights, a=live(0), b=live(1))
    assert ours.attrs["configuration"] == oof.attrs["configuration"]
    assert ours.attrs["data_version"] == "v5.3"
    other = blended_live(weights, a=live(0), b=live(1, made_by="new"))
    assert other.attrs["configuration"] != oof.attrs["configuration"]
    alone, _ = blended(holdout, weights_of(holdout, a=members["a"]), a=members["a"])
    assert alone.attrs["configuration"] != oof.attrs["configuration"]


def test_live_members_of_other_stocks_are_refused(holdout):
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    other = live(1).assign(id=lambda t: t["id"] + "x")
    with pytest.raises(BlendError, match="b and a predict different rows"):
        blended_live(weights_of(holdout, **members), a=live(0), b=other)


ASKED = {"to": "features", "features": ["feature_3"]}
LATER = 70  # first era of a later decision
PURGE = 16


def tuned_by(**studies):
    """Decisions of a model: the studies whose parameters serve ``first`` and ``later``."""
    eras = {"first": FIRST + PURGE + 20, "later": LATER}
    return {
        "decisions": [
            {"first_era": eras[when], "study": study, "params": {}}
            for when, study in studies.items()
        ]
    }


@pytest.fixture
def sharing(holdout, tmp_path, monkeypatch):
    """Inputs of the choice of shares other than the models; few eras are enough here."""
    monkeypatch.setattr("numerai_kedro.ensemble.neutral_shares.overlap_eras", lambda target: 1)
    monkeypatch.setattr("numerai_kedro.metrics.intervals.MIN_ERAS", 10)
    return {
        "history": holdout["history"],
        "folds": changed_folds(holdout["folds"], purge_eras=PURGE),
        "benchmark_predictions": holdout["benchmark_predictions"],
        "score_weights": RULE | {"clip": 100.0},
        "params": PARAMS,
        "study_store": StudyStore(tmp_path),
    }


def trials(holdout, last, share, seed=0):
    """Predictions from the first era on: a share of one feature, and some of the target."""
    panel = holdout["history"].select(eras=range(FIRST, last + 1))
    target = np.nan_to_num(panel.target(TARGET).astype(float), nan=0.5)
    feature = np.concatenate([panel.features(int(era))[:, 3] for era in panel.eras])
    noise = np.random.default_rng(seed).normal(scale=0.1, size=len(target))
    raw = share * feature + 0.5 * target + noise
    return pd.DataFrame(
        {"id": panel.ids(), "era": panel.era_of_rows(), "prediction": raw.astype("float32")}
    )


def test_no_share_is_taken_where_none_was_asked_for_or_nothing_is_known(holdout, sharing):
    assert choose_neutralisation(NOTHING, **sharing) == NONE
    studies = {
        "a__validation": FAILED,
        "a__best_params": FAILED,
        "b__best_params": {"decisions": []},
    }
    nothing = choose_neutralisation(ASKED, **sharing, **studies, b__validation=pd.DataFrame())
    assert nothing["proportion"] == 0
    assert "no model has predicted the validation period" in nothing["verdict"]
    # A model that was tuned, whose trials predict nothing this week.
    studies = {"a__validation": FAILED, "a__best_params": tuned_by(first="s0")}
    nothing = choose_neutralisation(ASKED, **sharing, **studies)
    assert [share["proportion"] for share in nothing["shares"]] == [0.0]
    assert "no share was chosen then" in nothing["verdict"]


def test_a_share_is_adopted_only_where_the_gain_is_sure(holdout, sharing, monkeypatch):
    """The part of the predictions that is linear in the feature only costs."""
    studies = {"a__validation": trials(holdout, 24, 1.0), "a__best_params": tuned_by(first="s0")}
    sure = choose_neutralisation(ASKED, **sharing, **studies)
    assert sure["proportion"] > 0
    assert sure["verdict"].endswith(": adopted")
    monkeypatch.setattr("numerai_kedro.metrics.intervals.MIN_ERAS", 30)
    studies["a__best_params"] = tuned_by(first="s1")
    few = choose_neutralisation(ASKED, **sharing, **studies)
    assert few["proportion"] == 0
    assert "too few eras" in few["verdict"]


def test_a_share_looks_at_nothing_from_a_purge_before_the_era_that_it_serves(holdout, sharing):
    frame, first = trials(holdout, 40, 1.0), FIRST + PURGE + 20
    beyond = frame["era"] >= first - PURGE
    assert beyond.any()
    turned = frame.assign(prediction=frame["prediction"].where(~beyond, -9.0))
    chosen = [
        choose_neutralisation(
            ASKED, **sharing, a__validation=validation, a__best_params=tuned_by(first=study)
        )
        for validation, study in ((frame, "s0"), (turned, "s1"))
    ]
    assert chosen[0]["proportion"] > 0
    assert chosen[0] == chosen[1]


def test_a_later_decision_changes_no_share_before_it(holdout, sharing):
    """The feature costs at first; a later study finds nothing but the feature."""
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    weights = weights_of(holdout, **members)
    first = {"a__validation": trials(holdout, 24, 1.0), "a__best_params": tuned_by(first="s0")}
    before = choose_neutralisation(ASKED, **sharing, **first)
    later = {
        "a__validation": trials(holdout, LATER - PURGE - 1, 0.0),
        "a__best_params": tuned_by(first="s0", later="s1"),
    }
    after = choose_neutralisation(ASKED, **sharing, **later)
    assert after["shares"][:1] == before["shares"]
    assert [share["first_era"] for share in after["shares"]] == [FIRST + PURGE + 20, LATER]
    assert after["shares"][1]["proportion"] != before["proportion"] > 0
    assert after["proportion"] == after["shares"][1]["proportion"]
    blends = [
        blended(holdout, weights, chosen, **members)[0]["prediction"].to_numpy()
        for chosen in (before, after, NONE)
    ]
    eras = members["a"]["era"].to_numpy()
    unserved, then, now = eras < FIRST + PURGE + 20, eras < LATER, eras >= LATER
    np.testing.assert_array_equal(blends[0][then], blends[1][then])
    np.testing.assert_array_equal(blends[1][unserved], blends[2][unserved])
    assert not np.allclose(blends[0][now], blends[1][now])
    # The newest share serves the live era; until it serves, the one before it does.
    sharing["folds"] = changed_folds(sharing["folds"], history=[1, LATER - 2])
    assert choose_neutralisation(ASKED, **sharing, **later)["proportion"] == before["proportion"]


def test_a_share_that_was_chosen_stays_whoever_comes_goes_or_is_postponed(holdout, sharing):
    plain, other = trials(holdout, 24, 1.0), trials(holdout, 24, 0.0, seed=1)
    a, b = tuned_by(first="a0"), tuned_by(first="b0")
    both = {"a__best_params": a, "b__best_params": b}
    chosen = choose_neutralisation(
        ASKED, **sharing, **both, a__validation=plain, b__validation=plain
    )
    share = chosen["shares"]
    assert share[0]["proportion"] > 0
    for frames in (
        {"a__validation": other, "b__validation": other},
        {"a__validation": other, "b__validation": FAILED},
        {"a__validation": FAILED, "b__validation": FAILED},
    ):
        assert choose_neutralisation(ASKED, **sharing, **both, **frames)["shares"] == share
    # Alone it is another blend; with both back and one tuned again, the earlier share is unchanged.
    alone = choose_neutralisation(ASKED, **sharing, a__best_params=a, a__validation=other)
    assert alone["shares"] != share
    both["a__best_params"] = tuned_by(first="a0", later="a1")
    frames = {"a__validation": trials(holdout, 40, 0.0), "b__validation": other}
    again = choose_neutralisation(ASKED, **sharing, **both, **frames)
    assert again["shares"][:1] == share
    # Under other settings no share was chosen at that time.
    sharing["params"] = PARAMS.model_copy(update={"adopt_level": 0.9})
    otherwise = choose_neutralisation(ASKED, **sharing, **both, **frames)
    assert otherwise["shares"][0]["verdict"] == "nothing: no share was chosen then"


def test_shares_that_cannot_be_read_cost_no_round(holdout, sharing, caplog):
    studies = {"a__validation": trials(holdout, 24, 1.0), "a__best_params": tuned_by(first="s0")}
    chosen = choose_neutralisation(ASKED, **sharing, **studies)
    (decision_file,) = sharing["study_store"].folder.glob("decisions/*.json")
    for path in (decision_file, decision_file.with_name(f"{decision_file.name}.copy")):
        path.write_text("torn")
    assert choose_neutralisation(ASKED, **sharing, **studies) == chosen
    assert "earlier neutralisation shares cannot be read" in caplog.text
    assert decision_file.read_text() == "torn"


def test_a_share_that_was_chosen_is_taken_out_everywhere(holdout, tmp_path):
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    features = holdout["history"].feature_names
    share = {"first_era": 1, "proportion": 1.0, "verdict": ""}
    whole = {"to": "features", "features": features, "shares": [share], "proportion": 1.0}
    weights = weights_of(holdout, **members)
    plain, _ = blended(holdout, weights, **members)
    neutral, _ = blended(holdout, weights, whole, **members)
    assert not np.allclose(plain["prediction"], neutral["prediction"])
    panel = small_panel(tmp_path / "live", n_eras=1, seed=9)
    live_frames = {
        name: pd.DataFrame(
            {
                "id": panel.ids(),
                "era": 1,
                "prediction": np.random.default_rng(k).normal(size=panel.n_rows),
            }
        )
        for k, name in enumerate("ab")
    }
    blend = blend_live(weights, whole, panel, holdout["folds"], None, **live_frames)
    features = panel.features(1).astype(float)
    ranks = blend["prediction"] - blend["prediction"].mean()
    exposures = np.abs(np.corrcoef(np.column_stack([ranks, features]).T)[0, 1:])
    assert exposures.max() < 0.12
    # Without features it is the benchmark that is taken out; it lacks one of the stocks.
    benchmark = pd.DataFrame(
        {"v53_lgbm_ender60": np.random.default_rng(5).random(panel.n_rows - 1)},
        index=panel.ids()[:-1],
    )
    beyond = whole | {"to": "benchmark", "features": []}
    blend = blend_live(weights, beyond, panel, holdout["folds"], benchmark, **live_frames)
    theirs = benchmark["v53_lgbm_ender60"].rank()
    assert abs(blend["prediction"][:-1].corr(theirs.reset_index(drop=True))) < 0.1


METADATA = {
    "feature_sets": {"wisdom": ["feature_2", "feature_1"], "rare": ["feature_999"]},
    "targets": [TARGET],
}


@pytest.mark.parametrize(
    ("to", "features"),
    [
        ("nothing", []),
        ("benchmark", []),
        ("features", ["feature_0"]),
        ("wisdom", ["feature_1", "feature_2"]),
    ],
)
def test_what_is_taken_out_has_a_name(holdout, to, features):
    folds = changed_folds(holdout["folds"], features=["feature_0"])
    params = PARAMS.model_copy(update={"neutralise_to": to})
    neutral = name_neutral(folds, METADATA, holdout["history"], params)
    assert neutral == {"to": to, "features": features}


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("wisdm", r'feature set "wisdm" is not in features.json; there are: rare, wisdom .*ensem'),
        ("rare", 'neutralise_to: "rare": the panel holds none of its features'),
    ],
)
def test_a_name_that_means_nothing_here_is_refused(holdout, to, message):
    params = PARAMS.model_copy(update={"neutralise_to": to})
    with pytest.raises(ConfigurationError, match=message):
        name_neutral(holdout["folds"], METADATA, holdout["history"], params)


def test_a_benchmark_that_lacks_the_stocks_is_an_outcome_not_a_blend(holdout, tmp_path):
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    weights = weights_of(holdout, **members)
    panel = small_panel(tmp_path / "live", n_eras=1, seed=9)
    frames = {
        name: pd.DataFrame({"id": panel.ids(), "era": 1, "prediction": np.arange(panel.n_rows)})
        for name in "ab"
    }
    other = pd.DataFrame({"v53_lgbm_ender60": np.ones(panel.n_rows)}, index=panel.ids() + "x")
    share = {"first_era": 1, "proportion": 1.0, "verdict": ""}
    beyond = {"to": "benchmark", "features": [], "shares": [share], "proportion": 1.0}
    result = blend_live(weights, beyond, panel, holdout["folds"], other, **frames)
    assert isinstance(result, Failed)
    assert "the benchmark does not predict 40 of 40 stocks of era 0001" in result.symptom


def test_a_choice_by_an_earlier_version_is_said_to_be_one(holdout):
    members = {"a": predictions(holdout, 0), "b": predictions(holdout, 1)}
    with pytest.raises(BlendError, match="chosen by an earlier version; run"):
        blended(holdout, weights_of(holdout, **members), {"proportion": 0.5}, **members)
