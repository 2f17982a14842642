"""A fit sees only the features and verdicts of its own window."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from tests.data.test_joined import NAMES, latents_of
from tests.panels import small_panel
from tests.training.test_walk_forward import FOLDS, PURGE, recipe

from numerai_kedro.cache import FoldStore
from numerai_kedro.errors import Failed, PanelError
from numerai_kedro.training.engineered import Engineered
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.importance import importance_by_fold
from numerai_kedro.training.recipe import Option
from numerai_kedro.training.transforms import LATENTS
from numerai_kedro.training.walk_forward import fit_live, predictions_frame, walk_forward

FEATURES = [f"feature_{k}" for k in range(8)]
VERDICTS = ["stable", "unstable", "null", "untestable", "interaction", "null", "null", "null"]


def report(verdicts=VERDICTS):
    weights = {"stable": 1.0, "unstable": 0.1, "null": 0.5, "untestable": 1.0, "interaction": 1.0}
    return pd.DataFrame(
        {
            "feature": FEATURES,
            "verdict": verdicts,
            "weight": [weights[verdict] for verdict in verdicts],
        }
    )


def asked(**option):
    return recipe().with_option(Option(**option))


@pytest.mark.parametrize(
    ("use", "kept"),
    [
        ("drop_unstable", [0, 2, 3, 4, 5, 6, 7]),
        ("keep_confirmed", [0, 3, 4]),
    ],
)
def test_verdicts_decide_what_is_learned(use, kept):
    applied = Engineered({"0020": report()}).applied(asked(features=[use]), (1, 20), FEATURES)
    assert applied.columns.features == tuple(FEATURES[k] for k in kept)


def test_where_nothing_stands_the_tests_all_features_stay():
    nothing = Engineered({"0020": report(["null"] * 8)})
    applied = nothing.applied(asked(features=["keep_confirmed"]), (1, 20), FEATURES)
    assert applied.columns.features is None


def test_weights_follow_the_order_of_the_panel_and_change_the_key(tmp_path):
    panel = small_panel(tmp_path / "panel")
    shuffled = report().sample(frac=1, random_state=0)
    applied = Engineered({"0020": shuffled}).applied(asked(features=["weigh"]), (1, 20), FEATURES)
    assert applied.columns.weights == tuple(report()["weight"])
    (weighed,), (plain,) = applied.fits(panel, (1, 20)), recipe().fits(panel, (1, 20))
    assert weighed.key != plain.key


def test_derived_columns_weigh_one_beside_weighed_features_and_nothing_beside_others(tmp_path):
    derived = small_panel(tmp_path / "panel", n_features=3)
    made = Engineered({"0020": report()}, latents={"0020": derived})
    weighed = made.applied(asked(features=["weigh", "latents"]), (1, 20), FEATURES).columns
    assert weighed.weights == (*report()["weight"], 1.0, 1.0, 1.0)
    assert weighed.derived == (derived,)
    plain = made.applied(asked(features=["latents"]), (1, 20), FEATURES).columns
    assert (plain.weights, plain.derived) == ((), (derived,))


def test_a_window_that_was_not_made_is_a_sentence():
    with pytest.raises(PanelError, match="verdicts, and there are none for eras up to 0020; run"):
        Engineered({"0019": report()}).applied(asked(features=["weigh"]), (1, 20), FEATURES)
    postponed = Failed("compress", "postponed to a later run", kind="postponed")
    with pytest.raises(PanelError, match="postponed to a later run"):
        Engineered(latents=postponed).applied(asked(features=["latents"]), (1, 20), FEATURES)


def test_who_asks_for_nothing_hangs_on_nothing():
    plain = recipe()
    failed = Failed("compress", "never made", kind="not run")
    assert Engineered(failed, failed).applied(plain, (1, 20), FEATURES) == plain


def test_folds_learn_from_latents_and_predict_by_them(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=32)
    latents = latents_of(panel, tmp_path / "latents")
    windows = {f"{fold.train[1]:04d}": latents for fold in FOLDS}
    with_latents = Engineered(latents=windows)
    recipes = [with_latents.applied(asked(features=["latents"]), f.train, FEATURES) for f in FOLDS]
    store = FoldStore(tmp_path / "store")
    oof, _ = walk_forward(panel, FOLDS, recipes, PURGE, FitRunner(store))
    plain, _ = walk_forward(panel, FOLDS, [recipe()] * 2, PURGE, FitRunner(store))
    assert (oof["id"] == plain["id"]).all()
    assert (oof["prediction"] != plain["prediction"]).any()
    (model,) = fit_live(panel, (1, 20), recipes[0], FitRunner(store))
    assert model.feature_names == [*FEATURES, *NAMES]
    seen = recipes[0].columns.of(panel).select(eras=[30])
    assert len(predictions_frame([model], seen)) == 40


def test_importance_counts_latents_as_one_and_what_is_not_seen_as_nothing(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=36)
    latents = latents_of(panel, tmp_path / "latents")
    reports = {"0016": report(), "0022": report(["unstable", *VERDICTS[1:]])}
    engineered = Engineered(reports, dict.fromkeys(reports, latents))
    way = asked(features=["latents", "drop_unstable"])
    recipes = [engineered.applied(way, fold.train, FEATURES) for fold in FOLDS]
    store = FoldStore(tmp_path / "store")
    walk_forward(panel, FOLDS, recipes, PURGE, FitRunner(store))
    importance = importance_by_fold(panel, FOLDS, recipes, "target_ender_60", 4, FitRunner(store))
    assert set(importance["feature"]) == {*FEATURES, LATENTS}
    assert importance.groupby("fold")["gain"].sum().to_numpy() == pytest.approx([1, 1])
    first = importance[importance["feature"] == "feature_0"].set_index("fold")
    assert first["gain"].tolist()[1] == 0
    assert np.isfinite(first["drop"].iloc[0])
    assert np.isnan(first["drop"].iloc[1])
    assert np.isfinite(importance[importance["feature"] == LATENTS]["drop"]).all()


def test_weights_that_are_all_alike_weigh_nothing():
    alike = Engineered({"0020": report(["untestable"] * 8)})
    applied = alike.applied(asked(features=["weigh"]), (1, 20), FEATURES)
    assert applied.columns.weights == ()
    assert applied.cache_key("target_ender_60") == recipe().cache_key("target_ender_60")


def test_an_era_without_latents_is_an_error_and_not_one_era_less(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=32)
    latents = latents_of(panel, tmp_path / "latents", eras=range(1, 19))
    short = Engineered(latents={"0020": latents})
    applied = short.applied(asked(features=["latents"]), (1, 20), FEATURES)
    with pytest.raises(PanelError, match="era 0019 is not in the panel"):
        applied.fits(panel, (1, 20))


def test_what_features_are_engineered_by_makes_another_plan():
    way = asked(features=["weigh"])
    other = dataclasses.replace(way, engineered_by="another q")
    assert way.plan_keys((1, 20), FEATURES) != other.plan_keys((1, 20), FEATURES)
    plain = dataclasses.replace(recipe(), engineered_by="another q")
    assert plain.plan_keys((1, 20), FEATURES) == recipe().plan_keys((1, 20), FEATURES)


def test_options_are_ways_that_can_be_switched(tmp_path):
    way = asked(features=["weigh", "latents"])
    assert way.transforms == ("weigh", "latents")
    back = way.with_option(Option(features=[]))
    assert back.transforms == ()
    keys = [r.plan_keys((1, 20), FEATURES) for r in (way, back, recipe())]
    assert keys[0] != keys[1] == keys[2]
