"""A round's files are made once, the world grows by half-years, and versions identify content."""

import os

import pytest

from numerai_kedro.demo import archive as module
from numerai_kedro.demo import world as world_module
from numerai_kedro.demo.archive import FILES, WEEKS_AHEAD, Archive
from numerai_kedro.demo.rounds import FIRST_ROUND, demo_round
from numerai_kedro.demo.sizes import SIZES

TINY = SIZES["tiny"]


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path, "tiny", 0)


def first_round_of_week(week):
    number = FIRST_ROUND
    while demo_round(number, 0).week < week:
        number += 1
    return demo_round(number, 0)


class World:
    """Records the last era of each request."""

    asked: list[int]

    def __init__(self, n_eras):
        self.n_eras = n_eras

    @classmethod
    def open(cls, folder, size, seed, last_era, progress):
        cls.asked.append(last_era)
        return cls(last_era)


def test_the_world_grows_by_half_a_year_and_never_shrinks(archive, monkeypatch):
    World.asked = []
    monkeypatch.setattr(world_module, "World", World)
    for week in (0, 1, WEEKS_AHEAD - 1):
        archive.world(first_round_of_week(week))
    assert World.asked == [TINY.n_eras + WEEKS_AHEAD]
    archive.world(first_round_of_week(WEEKS_AHEAD))
    assert archive.world(first_round_of_week(0)).n_eras == TINY.n_eras + 2 * WEEKS_AHEAD
    assert len(World.asked) == 2


@pytest.mark.parametrize("week", [0, WEEKS_AHEAD - 1, WEEKS_AHEAD])
def test_the_world_always_reaches_the_era_that_is_live(archive, monkeypatch, week):
    World.asked = []
    monkeypatch.setattr(world_module, "World", World)
    round_ = first_round_of_week(week)
    assert archive.world(round_).n_eras >= archive.live_era(round_)


def test_a_version_follows_the_content_and_reads_a_file_once(archive, tmp_path, monkeypatch):
    reads = []
    plain = module.digest_file
    monkeypatch.setattr(module, "digest_file", lambda path: reads.append(path) or plain(path))
    file, copy = tmp_path / "a", tmp_path / "b"
    for path in (file, copy):
        path.write_bytes(b"week one")
    assert archive.version(file) == archive.version(file) == archive.version(copy)
    assert reads == [file, copy]
    file.write_bytes(b"week two")
    os.utime(file, ns=(1, 1))
    assert archive.version(file) != archive.version(copy)


def test_all_files_are_there_and_a_second_asking_makes_none(demo_folder):
    archive = Archive(demo_folder / "tournament", "tiny", 0)
    round_ = demo_round(FIRST_ROUND, 0)
    paths = archive.files(round_)
    assert set(paths) == set(FILES)
    times = {path: path.stat().st_mtime_ns for path in paths.values()}
    again = Archive(demo_folder / "tournament", "tiny", 0).files(round_)
    assert {path: path.stat().st_mtime_ns for path in again.values()} == times
