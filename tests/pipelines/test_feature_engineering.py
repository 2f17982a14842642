"""Windows are those that fits learn from, and each sees only its own eras."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.folds import changed_folds, folds_with
from tests.models.sizes import NETWORKS
from tests.panels import era_rows, small_panel
from tests.pipelines.test_base_model import ALL_RUNS, RESOURCES
from tests.project import ROOT

from numerai_kedro.cache import FoldStore
from numerai_kedro.data import open_panel, write_panel
from numerai_kedro.data.verdict import Verdict
from numerai_kedro.errors import ConfigurationError, Failed
from numerai_kedro.pipelines.feature_engineering import nodes
from numerai_kedro.runtime.parameters import EncoderParams, FeatureParams
from numerai_kedro.training.windows import live_windows, windows_of

BLOCK = yaml.safe_load((ROOT / "conf/base/parameters_feature_engineering.yml").read_text())
PARAMS = FeatureParams.model_validate(BLOCK["feature_engineering"])
SMALL_VAE = NETWORKS["vae_head"] | {"head_weight": 0.0, "epochs": 2}
ENCODER = EncoderParams(
    enabled=True, preset="small", seed=0, device="auto", era_stride=2, presets={"small": SMALL_VAE}
)
DECIDED = {"era_stride": 2, "n_offsets": 1, "device": "cpu", "at_once": 1, "preset": "small"}
ASKED = {"enabled": True, "device": "auto", "era_stride": 2, "n_offsets": 1}
PLAN = {"threads": 1, "models": {"vae": DECIDED | {"asked": ASKED}}}


def folds_of(n_eras=60):
    return folds_with(
        target="target_ender_20",
        paid_target="target_ender_20",
        size="tiny",
        purge_eras=5,
        features=[f"feature_{k}" for k in range(8)],
        history=[1, n_eras],
        periods={"validation": [14, 19], "test": [26, 50]},
        test_fold_eras=13,
        valid_eras=4,
        refit_eras=5,
        groups=[[f"feature_{k}" for k in range(8)]],
        validation=[{"name": "validation-1", "train": [1, 8], "test": [14, 19]}],
        test=[
            {"name": "test-1", "train": [1, 20], "test": [26, 38]},
            {"name": "test-2", "train": [1, 33], "test": [39, 50]},
        ],
        live_fit=[1, 46],
    )


class Given:
    def __init__(self, folder, history=None):
        self.history = history or small_panel(folder / "history", n_eras=60)
        self.folds = folds_of()
        self.tables, self.gram = FoldStore(folder / "tables"), FoldStore(folder / "gram")
        self.store, self.folder = FoldStore(folder / "store"), folder

    def effects(self):
        return nodes.tabulate(self.history, self.folds, self.tables)

    def verdicts(self, params=PARAMS):
        return nodes.find_verdicts(
            *(self.history, self.folds, *self.effects(), self.gram, self.store, PLAN),
            *(params, RESOURCES),
        )

    def compressed(self, schedule=ALL_RUNS, plan=PLAN):
        return nodes.compress(
            self.history, self.folds, plan, schedule, self.store, ENCODER, RESOURCES
        )


@pytest.fixture
def given(tmp_path):
    return Given(tmp_path)


def test_windows_end_where_fits_do_and_know_their_test_eras():
    windows = windows_of(folds_of())
    assert windows["0008"].test == (14, 19)
    assert windows["0020"].test[0] == 26
    assert windows["0033"].test == (39, 50)
    assert windows["0046"].test is None
    # A re-tuning judges its own folds of six eras: learned up to 26, 32 and so on.
    assert {"0026", "0032"} <= set(windows)
    assert list(windows) == sorted(windows)
    # Folds of 13 eras begin at 26, 39 and 52; the last, updated after five eras, learned to 46.
    assert live_windows(folds_of()) == {(1, 46): 51}


def test_every_judged_era_lies_a_purge_behind_its_window():
    for window in windows_of(folds_of()).values():
        if window.test is not None:
            assert window.train[1] + 5 < window.test[0]


def test_effects_of_all_kinds_have_one_row_an_era(given):
    frames = given.effects()
    for frame in frames:
        assert frame.index.tolist() == list(range(1, 61))
        assert list(frame.columns) == given.folds.features
    linear, rank, information = frames
    assert linear["feature_0"].mean() > 0.2
    assert np.corrcoef(linear["feature_0"], rank["feature_0"])[0, 1] > 0.8
    assert information["feature_0"].mean() > 2 * abs(information["feature_3"].mean())


def test_a_report_has_a_verdict_a_weight_and_what_the_tables_say(given):
    reports = given.verdicts()
    assert set(reports) == set(windows_of(given.folds))
    live = reports["0046"].set_index("feature")
    inside = given.effects()[2].loc[1:46, "feature_0"]
    assert live["information"]["feature_0"] == pytest.approx(inside.mean())
    assert live["weight"].tolist() == [
        PARAMS.weights[Verdict(verdict)] for verdict in live["verdict"]
    ]


def test_interactions_are_looked_for_only_where_asked(given):
    stability = PARAMS.stability.model_copy(update={"pairs": 2, "n_trees": 5, "by_chance": 2})
    reports = given.verdicts(PARAMS.model_copy(update={"stability": stability}))
    assert reports["0046"]["stability"].between(0, 1).all()
    assert "stability" not in given.verdicts()["0046"]


def test_latents_of_a_window_hang_on_its_own_eras_alone(tmp_path):
    """Planted: everything after era 33 comes from another world."""
    honest = Given(tmp_path / "a")
    other = [era_rows(rows) for rows in range(1, 34)]
    other += [era_rows(rows, seed=9) for rows in range(34, 61)]
    write_panel(tmp_path / "b" / "history", other)
    changed = Given(tmp_path / "b", open_panel(tmp_path / "b" / "history"))
    mine, theirs = honest.compressed()[0], changed.compressed()[0]

    def early(by_window, name):
        return [rows.features.matrix.tolist() for rows in by_window[name] if rows.era <= 33]

    for name in ("0008", "0020", "0033"):
        assert early(mine, name) == early(theirs, name)
    assert early(mine, "0046") != early(theirs, "0046")
    reports = honest.verdicts(), changed.verdicts()
    pd.testing.assert_frame_equal(reports[0]["0033"], reports[1]["0033"])
    assert not reports[0]["0046"].equals(reports[1]["0046"])


def test_encoders_of_the_live_windows_are_kept_apart(given):
    latents, encoders, read, recovery, _ = given.compressed()
    names = {f"{train[1]:04d}" for train in live_windows(given.folds)}
    assert set(encoders) == names
    assert set(read) == set(latents)
    assert recovery["lighter"] == 0


def test_a_window_that_is_updated_has_latents_up_to_its_update():
    folds = changed_folds(folds_of(), history=[1, 58], live_fit=[1, 41])
    begun, updated_to = next(
        (train, newest) for train, newest in live_windows(folds).items() if newest
    )
    assert updated_to > begun[1]
    assert windows_of(folds)[f"{begun[1]:04d}"].newest >= updated_to


def test_the_report_on_latents_says_whether_they_earn_their_place(given, tmp_path):
    latents, _, read, _, _ = given.compressed()
    panels = {}
    for name, eras in latents.items():
        write_panel(tmp_path / name, eras)
        panels[name] = open_panel(tmp_path / name)
    report = nodes.judge_latents(given.history, given.folds, panels, read, given.gram, given.store)
    assert {row["window"] for row in report["windows"]} == {
        name for name, window in windows_of(given.folds).items() if window.test is not None
    }
    # Ten eras of noise prove nothing, and eight features have no better components.
    assert not report["earns"]
    assert "principal components" in report["text"]


@pytest.mark.parametrize("kind", ["off", "postponed"])
def test_what_is_off_or_postponed_is_an_outcome_that_is_passed_on(given, kind):
    plan, schedule = PLAN, {"postponed": ["vae fits"]}
    if kind == "off":
        reason = "switched off (enabled: false)"
        plan, schedule = {"models": {"vae": {"asked": ASKED, "reason": reason}}}, ALL_RUNS
    latents, encoders, read, recovery, _ = given.compressed(schedule, plan)
    for outcome in (latents, encoders, read, recovery):
        assert isinstance(outcome, Failed)
        assert outcome.kind == kind
    returned = nodes.judge_latents(
        given.history, given.folds, latents, read, given.gram, given.store
    )
    assert returned is latents


def test_effects_that_flip_are_named(tmp_path):
    """Planted: the effect of feature 0 changes sign in the newest block."""
    blocks = []
    for era in range(1, 61):
        rows = era_rows(era, n_rows=200)
        if era > 40:
            turned = 4 - rows.features.matrix
            block = dataclasses.replace(rows.features)
            block.columns[:, :200] = turned.T
            rows = dataclasses.replace(rows, features=block)
        blocks.append(rows)
    write_panel(tmp_path / "panel", blocks)
    inputs = Given(tmp_path, open_panel(tmp_path / "panel"))
    params = PARAMS.model_copy(update={"trend_eras": 20})
    linear = inputs.effects()[0]
    trend, named = nodes.trace_effects(linear, inputs.verdicts(), inputs.folds, params)
    assert ("feature_0", "flips") in {(effect["feature"], effect["kind"]) for effect in named}
    assert trend["feature"].nunique() == 8


def test_weights_that_lack_a_verdict_are_a_sentence():
    block = BLOCK["feature_engineering"]
    fewer = {name: weight for name, weight in block["weights"].items() if name != "unstable"}
    with pytest.raises(ConfigurationError, match="weights: unstable: every verdict needs"):
        FeatureParams.model_validate(block | {"weights": fewer})
    with pytest.raises(ConfigurationError, match="least_regimes: 4 is more than n_regimes: 3"):
        FeatureParams.model_validate(block | {"least_regimes": 4})


def test_the_shipped_encoder_fits_its_family():
    from numerai_kedro.models.registry import family

    model = EncoderParams.model_validate(BLOCK["vae"]).as_model()
    kind = family("vae").params_type
    for preset in model.presets:
        assert model.chosen(kind, "vae", preset).head_weight == 0
