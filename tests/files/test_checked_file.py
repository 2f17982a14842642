"""A file is read only as it was written."""

import pytest

from numerai_kedro.files.checked_file import build_checked, checked_content


@pytest.fixture
def folder(tmp_path):
    assert build_checked(tmp_path / "x", lambda path: path.write_bytes(b"first")) == (
        tmp_path / "x" / "content"
    )
    return tmp_path / "x"


def test_what_was_written_is_there_and_is_replaced_as_a_whole(folder):
    assert checked_content(folder) == folder / "content"
    build_checked(folder, lambda path: path.write_bytes(b"second"))
    assert checked_content(folder).read_bytes() == b"second"


@pytest.mark.parametrize("name", ["content", "digest"])
def test_what_is_damaged_or_gone_is_none(folder, name):
    content = (folder / name).read_bytes()
    for damaged in (content[:-1], bytes([content[0] ^ 1]) + content[1:], b"", b"\x80\x04"):
        (folder / name).write_bytes(damaged)
        assert checked_content(folder) is None
    (folder / name).write_bytes(content)
    assert checked_content(folder) is not None
    (folder / name).unlink()
    assert checked_content(folder) is None
