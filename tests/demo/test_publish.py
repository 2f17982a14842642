import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from numerai_kedro.demo.publish import publish
from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.demo.world import World

HISTORY, LIVE, ROUND = 160, 161, 1_412
NAMES = {
    "features.json",
    "train.parquet",
    "validation.parquet",
    "live.parquet",
    "meta_model.parquet",
    "train_benchmark_models.parquet",
    "validation_benchmark_models.parquet",
    "live_benchmark_models.parquet",
    "validation_example_preds.parquet",
    "validation_example_preds.csv",
    "live_example_preds.parquet",
    "live_example_preds.csv",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World.open(tmp_path_factory.mktemp("world"), SIZES["tiny"], 0, LIVE + 2)


@pytest.fixture(scope="module")
def files(world, tmp_path_factory):
    return publish(world, tmp_path_factory.mktemp("published"), HISTORY, LIVE, ROUND)


@pytest.fixture(scope="module")
def validation(files):
    return pd.read_parquet(files["validation.parquet"])


@pytest.fixture(scope="module")
def live(files):
    return pd.read_parquet(files["live.parquet"])


def test_the_twelve_files_of_v53_are_there(files):
    assert set(files) == NAMES
    assert all(path.name == name for name, path in files.items())


def test_two_publications_are_equal_to_the_byte(world, files, tmp_path):
    again = publish(world, tmp_path, HISTORY, LIVE, ROUND)
    assert all(again[name].read_bytes() == path.read_bytes() for name, path in files.items())


def test_what_is_current_is_not_written_again(world, tmp_path):
    first = {
        name: path.stat().st_mtime_ns
        for name, path in publish(world, tmp_path, HISTORY, LIVE, ROUND).items()
    }
    same = publish(world, tmp_path, HISTORY, LIVE, ROUND)
    assert {name: path.stat().st_mtime_ns for name, path in same.items()} == first
    next_week = publish(world, tmp_path, HISTORY + 1, LIVE + 1, ROUND + 5)
    unchanged = {n for n, path in next_week.items() if path.stat().st_mtime_ns == first[n]}
    assert unchanged == {"features.json", "train.parquet", "train_benchmark_models.parquet"}


def test_files_of_weeks_gone_by_are_deleted_but_for_the_last(world, tmp_path):
    for week in range(3):
        publish(world, tmp_path, HISTORY + week, LIVE + week, ROUND + 5 * week)
    weeks = sorted(path.name for path in (tmp_path / world.key).glob("week-*"))
    assert weeks == ["week-0161", "week-0162"]


@pytest.mark.parametrize("name", ["train.parquet", "validation.parquet", "live.parquet"])
def test_columns_types_and_index_are_those_of_v53(world, files, name):
    frame = pd.read_parquet(files[name])
    expected = ["era", "data_type", *world.feature_names, *world.target_names]
    assert list(frame.columns) == expected
    assert frame.index.name == "id"
    assert frame.index.is_unique
    assert set(frame[world.feature_names].dtypes.astype(str)) == {"int8"}
    assert set(frame[world.target_names].dtypes.astype(str)) == {"float32"}
    stored = pq.read_schema(files[name])
    assert str(stored.field("id").type) == str(stored.field("era").type) == "string"
    assert [field.name for field in stored][-1] == "id"


def test_train_ends_where_validation_begins_and_eras_are_in_order(files, validation):
    train = pd.read_parquet(files["train.parquet"], columns=["era", "data_type"])
    assert train.era.unique().tolist() == [f"{era:04d}" for era in range(1, 38)]
    assert validation.era.unique().tolist() == [f"{era:04d}" for era in range(38, 161)]
    assert train.data_type.unique().tolist() == ["train"]


def test_rows_of_a_file_are_the_worlds(world, validation):
    rows = validation[validation.era == "0100"]
    assert rows.index.tolist() == world.ids(100).tolist()
    np.testing.assert_array_equal(rows[world.feature_names], world.features(100))
    np.testing.assert_array_equal(rows[world.target_names], world.targets(100))


def test_targets_are_missing_as_whole_eras_behind_their_frontier(validation):
    for name, frontier in (("target_ender_60", 147), ("target", 147), ("target_cyrusd_20", 155)):
        missing = validation[name].isna().groupby(validation.era.astype(int)).mean()
        assert (missing[missing.index <= frontier] == 0).all()
        assert (missing[missing.index > frontier] == 1).all()


def test_data_type_is_test_where_the_paid_target_is_not_resolved(validation):
    eras = validation.era.astype(int)
    assert set(validation.data_type[eras <= 147]) == {"validation"}
    assert set(validation.data_type[eras > 147]) == {"test"}


def test_live_rows_have_no_era_no_targets_and_ids_of_their_round(world, live):
    assert set(live.era) == {"X"}
    assert set(live.data_type) == {"live"}
    assert live[world.target_names].isna().all(axis=None)
    assert set(live.index) == set(world.ids(LIVE, salt=str(ROUND)))
    assert not set(live.index) & set(world.ids(LIVE))


def test_live_features_follow_their_ids(world, live):
    place = {name: row for row, name in enumerate(world.ids(LIVE, salt=str(ROUND)))}
    order = [place[name] for name in live.index]
    np.testing.assert_array_equal(live[world.feature_names], world.features(LIVE)[order])


def test_rounds_of_a_week_show_the_same_stocks_in_another_order(world, live, tmp_path):
    paths = publish(world, tmp_path, HISTORY, LIVE, ROUND + 1)
    other = pd.read_parquet(paths["live.parquet"])
    assert not set(other.index) & set(live.index)
    first, second = live[world.feature_names].to_numpy(), other[world.feature_names].to_numpy()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first[np.lexsort(first.T)], second[np.lexsort(second.T)])


def test_the_meta_model_covers_the_newest_resolved_eras_only(files):
    frame = pd.read_parquet(files["meta_model.parquet"])
    assert list(frame.columns) == ["era", "data_type", "numerai_meta_model"]
    assert frame.era.unique().tolist() == [f"{era:04d}" for era in range(88, 148)]


def test_benchmarks_start_in_the_last_third_of_train(world, files):
    train = pd.read_parquet(files["train_benchmark_models.parquet"])
    assert list(train.columns) == ["era", "v53_lgbm_ender20", "v53_lgbm_ender60"]
    assert train.era.iloc[0] == "0025"
    validation = pd.read_parquet(files["validation_benchmark_models.parquet"])
    assert validation.era.nunique() == 123
    live = pd.read_parquet(files["live_benchmark_models.parquet"])
    assert set(live.index) == set(world.ids(LIVE, salt=str(ROUND)))


@pytest.mark.parametrize("stem", ["validation_example_preds", "live_example_preds"])
def test_example_predictions_are_the_60_day_benchmark_as_rank_over_n(files, stem):
    frame = pd.read_parquet(files[f"{stem}.parquet"])
    models = pd.read_parquet(files[stem.replace("example_preds", "benchmark_models") + ".parquet"])
    n = models.groupby("era").era.transform("size")
    np.testing.assert_allclose(
        frame.prediction, models.v53_lgbm_ender60 + 0.5 / n, rtol=0, atol=1e-6
    )
    assert frame.prediction.max() == 1
    csv = pd.read_csv(files[f"{stem}.csv"], index_col="id")
    pd.testing.assert_frame_equal(csv, frame, check_index_type=False, check_exact=True)


def test_features_json_lists_the_sets_and_the_targets(world, files):
    content = json.loads(files["features.json"].read_text())
    assert content["targets"] == world.target_names
    assert content["feature_sets"] == world.feature_sets


def test_a_world_that_is_too_short_is_refused(world, tmp_path):
    with pytest.raises(ValueError, match="it has 163"):
        publish(world, tmp_path, 163, 164, ROUND)
