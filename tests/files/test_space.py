"""What a system refuses is a sentence with a remedy where a user can do something."""

import errno
from types import SimpleNamespace

import pytest

from numerai_kedro.errors import DiskFull, SystemRefused
from numerai_kedro.files import space


def error_of(number, path=None):
    return OSError(number, "words of the system", *([str(path)] if path else []))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_with_what_is_free_where_the_file_would_be(
    number, tmp_path, monkeypatch
):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda folder: SimpleNamespace(free=12_345))
    found = space.refused(error_of(number, tmp_path / "x"))
    assert isinstance(found, DiskFull)
    assert str(found).startswith(
        f"{tmp_path / 'x'}: the disk is full: more bytes are needed, 12,345 are free; free some "
        "(kedro tournament clean) and run the same command again."
    )
    assert space.is_full(error_of(number))


@pytest.mark.parametrize("path", [None, "/no/such/folder/x"])
def test_a_full_disk_without_a_place_is_said_too(path):
    found = space.refused(error_of(errno.ENOSPC, path))
    assert str(found) == "the disk is full; free some and run the same command again."


def test_what_a_user_can_mend_names_the_file_the_reason_and_the_remedy(tmp_path):
    found = space.refused(error_of(errno.EROFS, tmp_path / "x"))
    assert isinstance(found, SystemRefused)
    assert str(found) == (
        f"{tmp_path / 'x'}: words of the system; make the file system writable, or choose another "
        "data folder, and run the same command again."
    )
    assert str(space.refused(error_of(errno.EMFILE))) == (
        "words of the system; raise the limit of open files (ulimit -n 4096), and run the same "
        "command again."
    )
    assert not space.is_full(error_of(errno.EROFS))


def test_what_no_user_can_mend_is_left_alone():
    assert space.refused(error_of(errno.ECONNRESET)) is None
    assert space.refused(OSError("without a number")) is None


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_files_are_found_behind_the_error_of_a_connection(number):
    def wrapped(inner, explicit):
        try:
            try:
                raise inner
            except OSError as cause:
                raise ValueError("no connection") from (cause if explicit else None)
        except ValueError as error:
            return error

    for explicit in (True, False):
        found = space.refused_a_connection(wrapped(error_of(number), explicit))
        assert isinstance(found, SystemRefused)
    assert space.refused_a_connection(wrapped(error_of(errno.ECONNREFUSED), True)) is None
