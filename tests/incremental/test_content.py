import os
import time

import pytest

from numerai_kedro.incremental import content
from numerai_kedro.incremental.content import Digests, contents_of, parts_at

LONG_AGO = 10**9


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"one")
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return path


def test_a_known_file_is_not_read_again_in_this_run_or_the_next(tmp_path, file, monkeypatch):
    digests = Digests(tmp_path / "digests.json")
    first = digests.of(file)
    digests.save()
    monkeypatch.setattr(content, "digest_file", pytest.fail)
    assert digests.of(file) == Digests(tmp_path / "digests.json").of(file) == first


def test_another_size_time_or_file_is_read(tmp_path, file):
    digests = Digests(tmp_path / "digests.json")
    first = digests.of(file)
    file.write_bytes(b"two")
    second = digests.of(file)
    other = tmp_path / "other.bin"
    other.write_bytes(b"six")
    stamp = file.stat().st_mtime_ns
    os.utime(other, ns=(stamp, stamp))
    os.replace(other, file)
    assert len({first, second, digests.of(file)}) == 3


def test_a_file_written_within_the_clocks_tick_is_not_trusted(tmp_path, file, monkeypatch):
    """Size and time stamp stay; only reading it again finds the change."""
    monkeypatch.setattr(content, "TRUSTED_AFTER_NS", 10**18)
    digests, now = Digests(tmp_path / "digests.json"), time.time_ns()
    os.utime(file, ns=(now, now))
    first = digests.of(file)
    with file.open("r+b") as handle:
        handle.write(b"two")
    os.utime(file, ns=(now, now))
    assert digests.of(file) != first


def test_a_torn_memory_costs_a_reading_no_more(tmp_path, file):
    (tmp_path / "digests.json").write_text("{")
    assert Digests(tmp_path / "digests.json").of(file)


def test_files_that_went_are_forgotten(tmp_path, file):
    digests = Digests(tmp_path / "digests.json")
    digests.of(file)
    file.unlink()
    digests.save()
    assert (tmp_path / "digests.json").read_text() == "{}"


def test_a_folder_is_its_files_without_those_that_are_being_written(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("1")
    (tmp_path / "b.123.partial").write_text("2")
    assert list(parts_at(tmp_path)) == ["sub/a"]
    assert parts_at(tmp_path / "none") == {}


def test_what_says_nothing_of_its_content_has_none(tmp_path):
    assert contents_of(object(), Digests(tmp_path / "digests.json")) is None


@pytest.mark.parametrize("text", ["[]", '{"f": 1}', '{"f": [1, 2]}'])
def test_a_memory_of_another_shape_is_read_anew(tmp_path, file, text):
    (tmp_path / "digests.json").write_text(text)
    assert Digests(tmp_path / "digests.json").of(file)
