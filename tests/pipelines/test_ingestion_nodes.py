"""Folds are cut by the label frontier, and no fold is cut that would look ahead."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import AbstractDataset
from tests.panels import TARGETS, era_rows
from tests.project import ROOT

from numerai_kedro.cache.rule_store import RuleStore
from numerai_kedro.data import open_panel, write_panel
from numerai_kedro.errors import ConfigurationError, LeakError, SchemaError
from numerai_kedro.files import RemoteFile
from numerai_kedro.numerai.payout_rule import read_factor, stable_configs
from numerai_kedro.pipelines.ingestion.nodes import (
    cut_folds,
    find_round,
    join_benchmarks,
    name_weights,
    offer,
    offer_learned_live,
    read_history,
    read_learned_live,
    read_live,
)
from numerai_kedro.runtime.parameters import IngestionParams
from numerai_kedro.training.tuning.context import TuningParams

FEATURES = [f"feature_{k}" for k in range(8)]
METADATA = {
    "feature_sets": {"all": FEATURES, "medium": FEATURES[:4], "fncv3_features": FEATURES[2:6]},
    "targets": ["target", "target_ender_20", "target_ender_60"],
}
STRETCH = {
    "warm_up_end": 20,
    "validation": [41, 60],
    "validation_fold_eras": 15,
    "valid_eras": 8,
    "test_begin": 81,
    "test_fold_eras": 20,
}


def params(**changed):
    base = yaml.safe_load((ROOT / "conf/base/parameters_ingestion.yml").read_text())["ingestion"]
    fixed = {"size": "small", "periods": {"small": STRETCH}}
    return IngestionParams.model_validate(base | fixed | changed)


@pytest.fixture(scope="module")
def panels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panels")
    rows = [era_rows(era, resolved=era <= 117) for era in range(1, 131)]
    write_panel(folder / "history", rows)
    write_panel(folder / "live", [era_rows(131, resolved=False)])
    return open_panel(folder / "history"), open_panel(folder / "live")


def test_folds_keep_their_distance_and_cover_every_judged_era_once(panels):
    folds = cut_folds(panels[0], METADATA, params())
    test_folds = folds.test
    assert [era for f in test_folds for era in range(f.test[0], f.test[1] + 1)] == list(
        range(81, 118)
    )
    assert all(f.train[1] + folds.purge_eras < f.test[0] for f in test_folds)
    assert folds.live_fit[1] + folds.purge_eras < 131


def test_only_the_end_of_the_test_period_follows_the_frontier(panels, tmp_path):
    write_panel(tmp_path / "later", [era_rows(e, resolved=e <= 119) for e in range(1, 133)])
    before, after = (
        cut_folds(panels[0], METADATA, params()),
        cut_folds(open_panel(tmp_path / "later"), METADATA, params()),
    )
    assert after.periods.test == (81, 119)
    assert after.validation == before.validation
    assert [f.train for f in after.test] == [f.train for f in before.test]


def test_a_purge_shorter_than_the_target_is_a_leak(panels):
    with pytest.raises(LeakError, match=r"purge_eras: 12: one target_ender_60 spans 12 eras"):
        cut_folds(panels[0], METADATA, params(purge_eras=12))


def test_feature_sets_auto_is_all_on_the_demo_and_medium_on_the_real_one(panels):
    assert cut_folds(panels[0], METADATA, params(feature_set="auto")).features == FEATURES
    real = params(feature_set="auto", size="numerai", periods={"numerai": STRETCH})
    assert cut_folds(panels[0], METADATA, real).features == FEATURES[:4]


def test_the_live_era_is_the_one_after_history_and_live_rows_are_marked(tmp_path, panels):
    history, _ = panels
    rows = era_rows(1)
    frame = pd.DataFrame(rows.features.matrix, columns=FEATURES, index=rows.ids.to_pylist())
    frame.index.name = "id"
    frame.assign(era="X").to_parquet(tmp_path / "live.parquet")
    (live,) = read_live(tmp_path / "live.parquet", METADATA, history, params())
    assert live.era == 131
    frame.assign(era="0131").to_parquet(tmp_path / "live.parquet")
    with pytest.raises(SchemaError, match='era is "0131", expected "X"'):
        list(read_live(tmp_path / "live.parquet", METADATA, history, params()))


def live_frame():
    rows = era_rows(1)
    frame = pd.DataFrame(rows.features.matrix, columns=FEATURES, index=rows.ids.to_pylist())
    return frame.rename_axis("id").assign(era="X")


@pytest.mark.parametrize(
    "change",
    [
        lambda live: live.assign(target=None, target_ender_60=np.nan),
        lambda live: live.astype({"era": "category"}),
        lambda live: live.drop(columns=FEATURES[6]),
        lambda live: live.assign(**{FEATURES[7]: "of another type"}),
    ],
    ids=["targets", "dictionary", "missing", "type"],
)
def test_of_live_data_only_what_is_read_is_checked(tmp_path, panels, change):
    """From download to panel, with the catalog's entry; the sets in use are the first six."""
    entry = yaml.safe_load((ROOT / "conf/base/catalog_01_raw.yml").read_text())["raw_live"]
    (tmp_path / "features.json").write_text(json.dumps(METADATA))
    entry |= {"filepath": str(tmp_path / "live.parquet")}
    dataset = AbstractDataset.from_config("raw_live", entry)
    change(live_frame()).to_parquet(tmp_path / "served.parquet")
    dataset._verify_parquet(tmp_path / "served.parquet")
    settings = params(feature_set="medium")
    (live,) = read_live(tmp_path / "served.parquet", METADATA, panels[0], settings)
    np.testing.assert_array_equal(live.features.matrix, live_frame()[FEATURES[:6]])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda live: live.drop(columns=FEATURES[5]), '"feature_5" is missing'),
        (lambda live: live.astype({FEATURES[0]: float}), '"feature_0" is double, not int8'),
        (lambda live: live.assign(era=1), '"era" is int64, not string'),
        (lambda live: live.reset_index(drop=True), '"id" is missing'),
    ],
)
def test_what_is_read_of_live_data_is_checked_before_the_panel_changes(
    tmp_path, panels, change, sentence
):
    change(live_frame()).to_parquet(tmp_path / "live.parquet")
    with pytest.raises(SchemaError, match=f"live.parquet: column {sentence}"):
        read_live(tmp_path / "live.parquet", METADATA, panels[0], params(feature_set="medium"))


def test_live_data_of_an_older_version_bring_the_features_that_can_be_read(tmp_path, panels):
    live_frame().astype({FEATURES[7]: float}).to_parquet(tmp_path / "v5_2.parquet")
    (rows,) = read_learned_live({"v5_2": tmp_path / "v5_2.parquet"}, panels[0])["v5_2"]
    assert rows.features.names == FEATURES[:7]


def shuffled_metadata():
    return {
        "feature_sets": {
            name: METADATA["feature_sets"][name][::-1]
            for name in reversed(METADATA["feature_sets"])
        },
        "targets": METADATA["targets"][::-1],
    }


def test_shuffled_names_write_no_era_again_and_cut_the_same_folds(tmp_path, panels):
    """The parts of a fit's key stay: digests of its rows, names of its columns, groups."""
    for name, era in (("train", "0001"), ("validation", "0002")):
        live = live_frame().assign(era=era, target_ender_20=0.5, target_ender_60=0.25)
        live = live.set_index(live.index + era)
        live.astype(dict.fromkeys(TARGETS, "float32")).to_parquet(tmp_path / f"{name}.parquet")
    files = (tmp_path / "train.parquet", tmp_path / "validation.parquet")
    write_panel(tmp_path / "panel", read_history(*files, METADATA, params()))
    before = open_panel(tmp_path / "panel")
    change = write_panel(tmp_path / "panel", read_history(*files, shuffled_metadata(), params()))
    after = open_panel(tmp_path / "panel")
    assert str(change) == "2 eras unchanged"
    assert after.era_digests() == before.era_digests()
    assert after.digest(TARGETS) == before.digest(TARGETS)
    assert cut_folds(panels[0], shuffled_metadata(), params()) == cut_folds(
        panels[0], METADATA, params()
    )


def test_groups_overlaps_and_ungrouped_features_are_said(panels, caplog):
    groups = {"rain": FEATURES[:3], "wisdom": FEATURES[2:4]}
    metadata = METADATA | {"feature_sets": METADATA["feature_sets"] | groups}
    with caplog.at_level("INFO"):
        folds = cut_folds(panels[0], metadata, params())
    assert "features.json: 2 groups; 1 features in several, 4 in none" in caplog.text
    assert folds.groups == [FEATURES[:3], FEATURES[3:4], FEATURES[4:]]


def test_benchmarks_of_two_files_become_one_table_without_doubles():
    train = pd.DataFrame({"era": ["0001", "0001"], "m": [0.1, 0.2]}, index=["a", "b"])
    both = join_benchmarks(train, train.set_axis(["c", "d"]).assign(era="0002"))
    assert both["era"].tolist() == [1, 1, 2, 2]
    with pytest.raises(SchemaError, match="repeats ids"):
        join_benchmarks(train, train)


class Tournament:
    def __init__(self, name="demo", target="target_ender_60"):
        self.name, self._target = name, target

    def data_files(self):
        return ["train.parquet"]

    def round_info(self):
        return {"number": 1412, "is_open": False, "target": self._target}


def test_a_closed_round_is_still_a_round(caplog):
    with caplog.at_level("INFO"):
        assert find_round(Tournament(), params())["number"] == 1412
    assert "round 1412 is closed: what comes now is late" in caplog.text


@pytest.mark.parametrize(
    ("target", "said"),
    [("target_ender_20", True), ("target_ender_60", False), ("main", False), (None, False)],
)
def test_only_another_target_than_ours_is_said(target, said, caplog):
    find_round(Tournament(target=target), params())
    sentence = f"round 1412 pays {target}, and backtest and gate score target_ender_60"
    assert (sentence in caplog.text) == said


@pytest.mark.parametrize(
    ("name", "size", "fits"),
    [
        ("demo", "small", True),
        ("numerai", "numerai", True),
        ("demo", "numerai", False),
        ("numerai", "small", False),
    ],
)
def test_a_size_of_another_tournament_is_refused(name, size, fits):
    settings = params(size=size, periods={size: STRETCH})
    if fits:
        find_round(Tournament(name), settings)
        return
    sentence = f"ingestion.size: {size}: this is a size of the tournament .*, and {name} is conn"
    with pytest.raises(ConfigurationError, match=sentence):
        find_round(Tournament(name), settings)


TUNING = TuningParams.model_validate(
    yaml.safe_load((ROOT / "conf/base/parameters_tuning.yml").read_text())["tuning"]
)
CORR60, MMC60, ALPHA = (
    {"displayName": name, "defaultMultiplier": multiplier}
    for name, multiplier in (("corr60", 4), ("mmc60", 12), ("alpha", 1))
)
RULE = {"corr": 4.0, "mmc": 12.0, "clip": 1.0, "factor": 1.0}


def weights_of(store, number, *configs, factor="1", paid_target="target_ender_60"):
    info = {
        "number": number,
        "score_configs": stable_configs(list(configs)),
        "payout_factor": read_factor(factor),
    }
    return name_weights(info, params(paid_target=paid_target), TUNING, store)


def test_what_a_round_pays_weighs_and_is_no_note(tmp_path, caplog):
    assert weights_of(RuleStore(tmp_path), 1400, CORR60, MMC60) == (RULE, [])
    assert caplog.text == ""


def test_the_last_rule_that_was_understood_goes_on_weighing_and_is_said(tmp_path, caplog):
    store = RuleStore(tmp_path)
    weights_of(store, 1400, CORR60, MMC60)
    weights_of(store, 1405, CORR60, MMC60)
    weights, notes = weights_of(store, 1410, CORR60, ALPHA)
    assert weights == RULE
    assert notes == [
        "alpha pays 1: no score that is weighed here "
        "(the rule of round 1400 goes on weighing: 4 x CORR + 12 x MMC)"
    ]
    assert "round 1410: alpha pays 1" in caplog.text
    # A rule that was not understood is not stored, and a later round's rule is not used.
    assert weights_of(store, 1411, CORR60, ALPHA)[0] == RULE
    weights_of(store, 1420, MMC60)
    assert weights_of(store, 1412, ALPHA)[0] == RULE
    assert weights_of(store, 1421, ALPHA)[0] == RULE | {"corr": 0.0}


def test_clear_parts_weigh_beside_what_is_unfamiliar(tmp_path):
    weights, notes = weights_of(RuleStore(tmp_path), 1400, CORR60, MMC60, ALPHA)
    assert weights == RULE
    assert len(notes) == 1
    assert notes[0].endswith("(the rest of its rule weighs: 4 x CORR + 12 x MMC)")


def test_a_round_without_multipliers_goes_by_the_last_rule_without_a_note(tmp_path):
    store = RuleStore(tmp_path)
    ours = TUNING.weights.model_dump() | {"clip": 1.0, "factor": 1.0}
    assert weights_of(store, 1399, factor="0") == (ours, [])
    weights_of(store, 1400, CORR60, MMC60)
    assert weights_of(store, 1401, factor="0") == (RULE, [])


def test_nothing_of_a_20_day_round_is_taken_for_60_days_nor_its_clip(tmp_path):
    old = [
        {"displayName": "v2_corr20", "defaultMultiplier": 0.75, "clipThreshold": 0.05},
        {"displayName": "mmc", "defaultMultiplier": 2.25, "clipThreshold": 0.05},
    ]
    weights, notes = weights_of(RuleStore(tmp_path), 1200, *old, factor="0.1")
    assert weights == TUNING.weights.model_dump() | {"clip": 1.0, "factor": 1.0}
    assert len(notes) == 2
    assert all(note.endswith("(tuning.weights weigh: 3 x CORR + 15 x MMC)") for note in notes)
    store = RuleStore(tmp_path)
    weights, notes = weights_of(store, 1200, *old, factor="0.1", paid_target="target_ender_20")
    assert weights == {"corr": 0.75, "mmc": 2.25, "clip": 0.05, "factor": 0.1}
    assert notes == []


def test_periods_without_a_purge_between_are_refused():
    touching = STRETCH | {"test_begin": 75}
    with pytest.raises(ConfigurationError, match=r"periods\.small: .* more than 16 eras"):
        params(periods={"small": touching})


def test_a_target_that_is_never_resolved_is_a_sentence(tmp_path):
    write_panel(tmp_path / "p", [era_rows(e, resolved=False) for e in range(1, 131)])
    panel = open_panel(tmp_path / "p")
    with pytest.raises(SchemaError, match="is resolved in no era from 0081 on"):
        cut_folds(panel, METADATA, params())


def test_a_file_that_is_offered_says_how_often_its_bytes_are_compared():
    class Offering:
        def remote_file(self, name, round_number):
            return RemoteFile(f"{round_number}/{name}", str)

    settings = params(recheck_days=3)
    live = offer("live.parquet", of_round=True)(Offering(), {"number": 1413}, settings, "a plan")
    assert (live.name, live.recheck_days) == ("1413/live.parquet", 3)
    train = offer("train.parquet")(Offering(), {"number": 1413}, settings)
    assert (train.name, train.recheck_days) == ("None/train.parquet", 3)


class Listed:
    """A tournament that has files of some versions."""

    def __init__(self, *versions):
        self.versions, self.asked = set(versions), []

    def listed_versions(self):
        return self.versions

    def remote_file(self, name, round_number=None, version=None):
        self.asked.append((name, round_number, version))
        return name


def test_live_files_of_older_versions_are_asked_for_while_they_are_listed(caplog):
    tournament, info = Listed("v5.3", "v5.4"), {"number": 1413, "data_version": "v5.4"}
    fits = {"a": "v5.3", "b": "v5.4", "c": "v5.2"}
    assert list(offer_learned_live(tournament, info, fits)) == ["v5_3"]
    assert tournament.asked == [("live.parquet", 1413, "v5.3")]
    assert "data version v5.2 is not listed any more" in caplog.text
    assert offer_learned_live(Listed(), info, {"b": "v5.4"}) == {}
