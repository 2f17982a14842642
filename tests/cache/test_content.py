import os

import pytest
from tests.damage import flip

from numerai_kedro.cache import content
from numerai_kedro.cache.content import Digests, contents_of, parts_at

LONG_AGO = 10**9


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"one")
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return path


def test_a_known_file_is_not_read_again_in_this_run(file, monkeypatch):
    digests = Digests()
    first = digests.of(file)
    monkeypatch.setattr(content, "digest_file", pytest.fail)
    assert digests.of(file) == first


def test_a_flipped_bit_that_keeps_size_time_and_inode_is_found_by_the_next_run(file):
    first = Digests().of(file)
    flip(file)
    assert Digests().of(file) != first


def test_another_size_time_or_file_is_read(tmp_path, file):
    digests = Digests()
    first = digests.of(file)
    file.write_bytes(b"two")
    second = digests.of(file)
    other = tmp_path / "other.bin"
    other.write_bytes(b"six")
    stamp = file.stat().st_mtime_ns
    os.utime(other, ns=(stamp, stamp))
    os.replace(other, file)
    assert len({first, second, digests.of(file)}) == 3


def test_a_file_written_within_the_clocks_tick_is_not_trusted(file, monkeypatch):
    """Size and time stamp stay; only reading it again finds the change."""
    monkeypatch.setattr(content, "TRUSTED_AFTER_NS", 10**19)
    digests = Digests()
    first = digests.of(file)
    flip(file)
    assert digests.of(file) != first


def test_a_folder_is_its_files_without_those_that_are_being_written(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("1")
    (tmp_path / "b.123.partial").write_text("2")
    assert list(parts_at(tmp_path)) == ["sub/a"]
    assert parts_at(tmp_path / "none") == {}


def test_what_says_nothing_of_its_content_has_none():
    assert contents_of(object(), Digests()) is None
