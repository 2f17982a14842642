import shutil
from dataclasses import replace

import numpy as np
import pytest

from numerai_kedro.demo import world as world_module
from numerai_kedro.demo.sizes import SIZES, DemoSize
from numerai_kedro.demo.world import World
from numerai_kedro.errors import StoreError

SMALL = DemoSize("small", 60, 120, 40, 30)
N_ERAS = 50


def content(world, last_era=N_ERAS):
    """Bytes of everything that belongs to eras 1 to `last_era`."""
    files = [path for part in ("eras", "predictions") for path in (world.folder / part).iterdir()]
    return {
        path.relative_to(world.folder): path.read_bytes()
        for path in files
        if int(path.stem) <= last_era
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World.open(tmp_path_factory.mktemp("world"), SMALL, 0, N_ERAS)


def test_two_builds_are_equal_to_the_byte(world, tmp_path):
    again = World.open(tmp_path, SMALL, 0, N_ERAS)
    assert content(again) == content(world)
    assert (again.folder / "truth.json").read_bytes() == (world.folder / "truth.json").read_bytes()


def test_another_seed_gives_another_world(world, tmp_path):
    other = World.open(tmp_path, SMALL, 1, 3)
    assert not np.array_equal(other.features(3)[:100], world.features(3)[:100])
    assert not set(other.ids(3)) & set(world.ids(3))


def test_a_world_grown_week_by_week_is_the_one_built_at_once(world, tmp_path):
    for last_era in (2, 27, 28, 45, N_ERAS):
        grown = World.open(tmp_path, SMALL, 0, last_era)
        assert grown.n_eras == last_era
    assert content(grown) == content(world)


def test_growing_starts_from_the_checkpoint_not_from_the_first_era(world, tmp_path, monkeypatch):
    World.open(tmp_path, SMALL, 0, 40)
    simulated = []
    plain = world_module.Market.week
    monkeypatch.setattr(
        world_module.Market,
        "week",
        lambda self, state: simulated.append(state.era) or plain(self, state),
    )
    World.open(tmp_path, SMALL, 0, 42)
    assert simulated[0] == 39
    assert simulated[-1] == 42 + 11


def test_a_build_that_is_killed_goes_on_and_ends_equal(world, tmp_path):
    class Killed(Exception):
        pass

    def kill(done, total):
        if done == 33:
            raise Killed

    with pytest.raises(Killed):
        World.open(tmp_path, SMALL, 0, N_ERAS, kill)
    assert content(World.open(tmp_path, SMALL, 0, N_ERAS)) == content(world)


def test_a_lost_era_is_built_again(world, tmp_path):
    shutil.copytree(world.folder, tmp_path / world.key)
    (tmp_path / world.key / "eras" / "0007.npys").unlink()
    assert content(World.open(tmp_path, SMALL, 0, N_ERAS)) == content(world)


def test_opening_what_is_there_builds_nothing(world, monkeypatch):
    monkeypatch.setattr(World, "_build", lambda *_: pytest.fail("it built"))
    assert World.open(world.folder.parent, SMALL, 0, N_ERAS - 5).n_eras == N_ERAS


def test_another_size_of_the_same_name_is_another_world(world):
    other = World(world.folder.parent, replace(SMALL, n_stocks=130), 0)
    assert other.folder != world.folder


def test_a_torn_era_is_one_sentence(world, tmp_path):
    shutil.copytree(world.folder, tmp_path / world.key)
    path = tmp_path / world.key / "eras" / "0007.npys"
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(StoreError, match=r"0007\.npys.*delete the folder"):
        World(tmp_path, SMALL, 0).features(7)


def test_shapes_and_types_are_those_of_the_contract(world):
    n = len(world.ids(40))
    assert world.features(40).shape == (n, 40)
    assert world.features(40).dtype == np.int8
    assert world.targets(40).shape == (n, 41)
    assert world.targets(40).dtype == np.float32
    assert world.benchmark(40).shape == (n, 2)
    assert world.meta_model(40).shape == (n,)
    assert world.signal(40).shape == (n, 2)


def test_features_are_in_exact_quintiles_or_missing_in_an_early_era(world):
    missing = 0
    for era in range(1, N_ERAS + 1):
        features = world.features(era)
        n = len(features)
        exact = np.bincount((5 * np.arange(n)) // n, minlength=5)
        for column in features.T:
            if (column == 2).all():
                missing += 1
                assert era <= 0.15 * SMALL.n_eras
            else:
                np.testing.assert_array_equal(np.bincount(column, minlength=5), exact)
    assert missing > 0


def test_the_paid_target_is_known_in_every_row_and_ends_on_day_60(world):
    paid = world.target_names.index("target_ender_60")
    for era in (1, 20, N_ERAS):
        targets = world.targets(era)
        assert not np.isnan(targets[:, paid]).any()
        np.testing.assert_array_equal(world.target_after(era, 60), targets[:, paid])
    assert np.isnan(world.targets(1)).any()
    assert not np.isnan(world.targets(20)).any()


def test_stocks_come_and_go_and_their_number_stays_within_a_tenth(world):
    stocks = [set(world._block(era, "identities")) for era in range(1, N_ERAS + 1)]
    sizes = [len(listed) for listed in stocks]
    assert min(sizes) >= 0.9 * SMALL.n_stocks
    assert max(sizes) <= 1.1 * SMALL.n_stocks
    assert len(set(sizes)) > 1
    assert stocks[0] - stocks[-1]
    assert stocks[-1] - stocks[0]


def test_a_row_does_not_tell_its_stock_by_its_place(world):
    first, second = (world._block(era, "identities") for era in (1, 2))
    n = min(len(first), len(second))
    assert np.mean(first[:n] == second[:n]) < 0.1


def test_tiny_has_a_constant_number_of_stocks(tmp_path):
    tiny = World.open(tmp_path, SIZES["tiny"], 0, 20)
    assert {len(tiny.ids(era)) for era in range(1, 21)} == {100}


def test_benchmarks_and_the_meta_model_have_no_ties_and_lie_in_0_1(world):
    columns = np.column_stack([world.benchmark(N_ERAS), world.meta_model(N_ERAS)])
    assert columns.min() > 0
    assert columns.max() < 1
    assert all(len(np.unique(column)) == len(columns) for column in columns.T)


def test_before_the_first_benchmark_there_is_none(world):
    with pytest.raises(ValueError, match="begin in era 21"):
        world.meta_model(20)
