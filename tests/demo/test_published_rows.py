"""Published rows show what a participant may know: targets up to their frontier, no further."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from numerai_kedro.demo.published_rows import history, live

N = 5
SIZE = SimpleNamespace(last_train_era=10)


class World:
    """Five stocks whose every value tells its era and its row."""

    size = SIZE
    feature_names = ("f0", "f1")
    target_names = ("target", "target_x_20", "target_x_60")

    def ids(self, era, salt=""):
        # Reversed, so that the order of ids is not the order of rows.
        return np.array([f"n{salt}{era:03d}{N - row}" for row in range(N)])

    def features(self, era):
        return np.column_stack([np.arange(N), np.arange(N)[::-1]]).astype(np.int8)

    def targets(self, era):
        return np.tile(np.linspace(0, 1, N, dtype=np.float32), (3, 1)).T

    def benchmark(self, era):
        values = np.array([0.3, 0.1, 0.9, 0.5, 0.7], dtype=np.float32)
        return np.column_stack([values[::-1], values])

    def meta_model(self, era):
        return np.linspace(0.1, 0.9, N, dtype=np.float32)


def frame(table):
    return table.to_pandas()


@pytest.mark.parametrize(("name", "behind"), [("target_x_20", 5), ("target_x_60", 13)])
def test_a_target_is_known_up_to_its_frontier_and_missing_one_era_later(name, behind):
    last, first_hidden = history(World(), [100 - behind, 101 - behind], 100)
    assert frame(last.main())[name].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert frame(first_hidden.main())[name].isna().all()


def test_the_alias_follows_the_paid_target_not_the_short_one():
    resolved, hidden = (frame(era.main()) for era in history(World(), [87, 88], 100))
    pd.testing.assert_series_equal(resolved["target"], resolved["target_x_60"], check_names=False)
    assert hidden["target"].isna().all()
    assert hidden["target_x_20"].notna().all()


def test_an_era_is_train_then_validation_then_test():
    eras = history(World(), [10, 11, 87, 88], 100)
    assert [era.data_type for era in eras] == ["train", "validation", "validation", "test"]
    assert [era.label for era in eras] == ["0010", "0011", "0087", "0088"]


def test_live_rows_are_sorted_by_ids_of_their_round_and_every_column_moves_along():
    rows = live(World(), 101, 1412)
    shown = frame(rows.main())
    assert shown.index.tolist() == sorted(World().ids(101, salt="1412"))
    assert shown["f0"].tolist() == [4, 3, 2, 1, 0]
    assert shown["f1"].tolist() == [0, 1, 2, 3, 4]
    assert shown[list(World.target_names)].isna().all(axis=None)
    assert set(shown["era"]) == {"X"}
    benchmarks = frame(rows.benchmarks())
    np.testing.assert_array_equal(
        benchmarks.drop(columns="era").to_numpy(), World().benchmark(101)[::-1]
    )
    assert benchmarks.index.tolist() == shown.index.tolist()


def test_the_example_is_the_60_day_benchmark_as_rank_over_n():
    (era,) = history(World(), [50], 100)
    assert frame(era.example())["prediction"].tolist() == [0.4, 0.2, 1.0, 0.6, 0.8]
