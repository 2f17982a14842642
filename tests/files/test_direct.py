"""A file written past the page cache is correct, whatever the file system supports."""

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerai_kedro.files import DirectWriter, direct


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(direct, "BLOCK_BYTES", 4096)


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.sampled_from([0, 1, 7, 4095, 4096, 4097, 20_000]), max_size=6))
def test_what_goes_in_comes_out(tmp_path_factory, sizes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "BLOCK_BYTES", 4096)
        path = tmp_path_factory.mktemp("direct") / "file"
        pieces = [os.urandom(size) for size in sizes]
        writer = DirectWriter(path)
        for piece in pieces:
            assert writer.write(piece) == len(piece)
        assert writer.tell() == sum(sizes)
        writer.close()
        assert path.read_bytes() == b"".join(pieces)


def failing_write(monkeypatch, number, fails):
    """The first `fails` calls of os.write end with an error."""
    real, calls = os.write, []

    def write(handle, piece):
        calls.append(len(piece))
        if len(calls) <= fails:
            raise OSError(number, os.strerror(number))
        return real(handle, piece)

    monkeypatch.setattr(direct.os, "write", write)
    return calls


def test_a_file_system_that_refuses_gets_an_ordinary_file(tmp_path, monkeypatch, small_blocks):
    failing_write(monkeypatch, errno.EINVAL, fails=1)
    content = os.urandom(10_000)
    writer = DirectWriter(tmp_path / "file")
    writer.write(content)
    writer.close()
    assert (tmp_path / "file").read_bytes() == content


def test_short_writes_are_continued(tmp_path, monkeypatch, small_blocks):
    real = os.write
    monkeypatch.setattr(direct.os, "write", lambda handle, piece: real(handle, piece[:1000]))
    content = os.urandom(10_000)
    writer = DirectWriter(tmp_path / "file")
    writer.write(content)
    writer.close()
    assert (tmp_path / "file").read_bytes() == content


def test_a_full_disk_is_an_error_and_leaves_no_handle_open(tmp_path, monkeypatch, small_blocks):
    failing_write(monkeypatch, errno.ENOSPC, fails=99)
    writer = DirectWriter(tmp_path / "file")
    with pytest.raises(OSError, match="No space left"):
        writer.write(bytes(5000))
    with pytest.raises(OSError, match="No space left"):
        writer.close()
    assert writer.closed
