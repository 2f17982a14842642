"""A file is what was verified as long as its note says so and its bytes agree."""

import json
import os
from types import SimpleNamespace

import pytest

from numerai_kedro.files import digest_file, verified
from numerai_kedro.files.verified import (
    data_version_of,
    forget,
    is_as_verified,
    known_digest,
    note_verified,
    read_note,
    write_note,
)

NAME, DAY_S = "v5.3/train.parquet", 86_400
NOW = 1_800_000_000.0


@pytest.fixture
def clock(monkeypatch):
    """The time of day, and no file small."""
    time = SimpleNamespace(now=NOW)
    monkeypatch.setattr(verified, "time", SimpleNamespace(time=lambda: time.now))
    monkeypatch.setattr(verified, "SMALL_BYTES", 3)
    return time


@pytest.fixture
def path(tmp_path, clock):
    path = tmp_path / "train.parquet"
    path.write_bytes(b"content")
    note_verified(path, NAME, '"etag"', digest_file(path))
    return path


def swap(path, content=b"CONTENT"):
    """Other bytes of the same size, at the same time of modification."""
    stat = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_note_has_name_version_size_times_and_digest(path):
    stat = path.stat()
    expected = {
        "name": NAME,
        "version": '"etag"',
        "size": 7,
        "modified_ns": stat.st_mtime_ns,
        "digest": digest_file(path),
        "compared": NOW,
    }
    assert read_note(path) == expected
    assert json.loads((path.parent / "train.parquet.source.json").read_text()) == expected
    assert data_version_of(path) == "v5.3"


@pytest.mark.parametrize(
    ("days", "trusted"), [(0.0, True), (6.99, True), (7.0, False), (-0.1, False)]
)
def test_bytes_are_compared_again_after_so_many_days(path, clock, days, trusted):
    swap(path)
    clock.now += days * DAY_S
    assert is_as_verified(path, NAME, 7) is trusted
    assert bool(read_note(path)) is trusted


def test_0_days_and_small_files_are_compared_every_time(path, monkeypatch):
    swap(path)
    monkeypatch.setattr(verified, "SMALL_BYTES", 7)
    assert not is_as_verified(path, NAME, 7)
    swap(path, b"content")
    note_verified(path, NAME, None, digest_file(path))
    monkeypatch.setattr(verified, "SMALL_BYTES", 3)
    swap(path)
    assert not is_as_verified(path, NAME, 0)


def test_a_file_that_was_only_touched_is_compared_and_noted_anew(path, clock):
    os.utime(path, ns=(1, 1))
    clock.now += 60
    assert is_as_verified(path, NAME, 7)
    note = read_note(path)
    assert (note["modified_ns"], note["compared"], note["version"]) == (1, NOW + 60, '"etag"')


def test_another_size_is_said_and_the_note_is_removed(path, caplog):
    path.write_bytes(b"content and more")
    assert not is_as_verified(path, NAME, 7)
    assert read_note(path) == {}
    assert f"{path}: its bytes are not those that were verified" in caplog.text


def test_a_file_of_another_name_is_another_file_whose_note_stays(path):
    assert not is_as_verified(path, "v5.4/train.parquet", 7)
    assert read_note(path)["name"] == NAME


def test_a_note_that_lacks_something_or_has_no_file_says_nothing(path):
    note = read_note(path)
    path.unlink()
    assert not is_as_verified(path, NAME, 7)
    assert known_digest(path) is None
    path.write_bytes(b"content")
    write_note(path, {key: value for key, value in note.items() if key != "compared"})
    assert not is_as_verified(path, NAME, 7)
    assert known_digest(path) is None


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff"])
def test_a_note_that_cannot_be_read_is_none(path, content):
    (path.parent / "train.parquet.source.json").write_bytes(content)
    assert read_note(path) == {}
    assert data_version_of(path) == ""


def test_the_digest_is_known_of_large_files_that_nobody_touched(path, monkeypatch):
    digest = digest_file(path)
    assert known_digest(path) == digest
    monkeypatch.setattr(verified, "SMALL_BYTES", 7)
    assert known_digest(path) is None
    monkeypatch.setattr(verified, "SMALL_BYTES", 3)
    os.utime(path, ns=(1, 1))
    assert known_digest(path) is None


def test_a_note_is_forgotten_once_or_twice(path):
    forget(path)
    forget(path)
    assert read_note(path) == {}
