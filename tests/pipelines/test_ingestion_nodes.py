"""Folds are cut by the label frontier, and no fold is cut that would look ahead."""

import pandas as pd
import pytest
import yaml
from tests.panels import era_rows
from tests.project import ROOT

from numerai_kedro.errors import ConfigurationError, LeakError, SchemaError
from numerai_kedro.panel import open_panel, write_panel
from numerai_kedro.pipelines.ingestion.nodes import (
    cut_folds,
    find_round,
    join_benchmarks,
    read_live,
)
from numerai_kedro.pipelines.parameters import IngestionParams

FEATURES = [f"feature_{k}" for k in range(8)]
METADATA = {
    "feature_sets": {"all": FEATURES, "medium": FEATURES[:4], "fncv3_features": FEATURES[2:6]},
    "targets": ["target", "target_ender_20", "target_ender_60"],
}
STRETCH = {
    "warm_up_end": 20,
    "tuning": [41, 60],
    "tuning_fold_eras": 15,
    "valid_eras": 8,
    "judged_begin": 81,
    "judged_fold_eras": 20,
}


def params(**changed):
    base = yaml.safe_load((ROOT / "conf/base/parameters_ingestion.yml").read_text())["ingestion"]
    fixed = {"tournament": "demo", "size": "small", "stretches": {"small": STRETCH}}
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
    judged = folds["judged"]
    assert [era for f in judged for era in range(f["test"][0], f["test"][1] + 1)] == list(
        range(81, 118)
    )
    assert all(f["train"][1] + folds["purge_eras"] < f["test"][0] for f in judged)
    assert folds["live_fit"][1] + folds["purge_eras"] < 131


def test_only_the_judged_end_follows_the_frontier(panels, tmp_path):
    write_panel(tmp_path / "later", [era_rows(e, resolved=e <= 119) for e in range(1, 133)])
    before, after = (
        cut_folds(panels[0], METADATA, params()),
        cut_folds(open_panel(tmp_path / "later"), METADATA, params()),
    )
    assert after["stretches"]["judged"] == [81, 119]
    assert after["tuning"] == before["tuning"]
    assert [f["train"] for f in after["judged"]] == [f["train"] for f in before["judged"]]


def test_a_purge_shorter_than_the_target_is_a_leak(panels):
    with pytest.raises(LeakError, match=r"purge_eras: 12: one target_ender_60 spans 12 eras"):
        cut_folds(panels[0], METADATA, params(purge_eras=12))


def test_feature_sets_auto_is_all_on_the_demo_and_medium_on_the_real_one(panels):
    assert cut_folds(panels[0], METADATA, params(feature_set="auto"))["features"] == FEATURES
    real = params(feature_set="auto", tournament="numerai")
    assert cut_folds(panels[0], METADATA, real)["features"] == FEATURES[:4]


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


def test_benchmarks_of_two_files_become_one_table_without_doubles():
    train = pd.DataFrame({"era": ["0001", "0001"], "m": [0.1, 0.2]}, index=["a", "b"])
    both = join_benchmarks(train, train.set_axis(["c", "d"]).assign(era="0002"))
    assert both["era"].tolist() == [1, 1, 2, 2]
    with pytest.raises(SchemaError, match="repeats ids"):
        join_benchmarks(train, train)


def test_a_closed_round_is_still_a_round(caplog):
    class Tournament:
        def data_files(self):
            return ["train.parquet"]

        def round_info(self):
            return {"number": 1412, "is_open": False, "target": "target_ender_20"}

    with caplog.at_level("INFO"):
        assert find_round(Tournament(), params())["number"] == 1412
    assert "round 1412 is closed: what comes now is late" in caplog.text
    assert "round 1412 pays target_ender_20, and backtest and gate score target_ender_60" in (
        caplog.text
    )


def test_stretches_without_a_purge_between_are_refused():
    touching = STRETCH | {"judged_begin": 75}
    with pytest.raises(ConfigurationError, match=r"stretches\.small: .* more than 16 eras"):
        params(stretches={"small": touching})


def test_a_target_that_is_never_resolved_is_a_sentence(tmp_path):
    write_panel(tmp_path / "p", [era_rows(e, resolved=False) for e in range(1, 131)])
    panel = open_panel(tmp_path / "p")
    with pytest.raises(SchemaError, match="is resolved in no era from 0081 on"):
        cut_folds(panel, METADATA, params())
