"""Wherever a file is cut, half a record is dropped and whole ones stay."""

from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.files import journal
from numerai_kedro.files.journal import cut_torn_tail


@given(lines=st.lists(st.binary(max_size=40), max_size=6), cut=st.integers(0, 300))
def test_what_is_left_is_every_whole_line(tmp_path_factory, lines, cut):
    content = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)[:cut]
    path = tmp_path_factory.mktemp("journal") / "j"
    path.write_bytes(content)
    lost = cut_torn_tail(path)
    assert path.read_bytes() == content[: content.rfind(b"\n") + 1]
    assert lost == len(content) - path.stat().st_size


def test_a_tail_longer_than_a_block_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "BLOCK_BYTES", 16)
    path = tmp_path / "j"
    path.write_bytes(b"first\n" + b"x" * 100)
    assert cut_torn_tail(path) == 100
    assert path.read_bytes() == b"first\n"


def test_no_journal_is_nothing_to_cut(tmp_path):
    assert cut_torn_tail(tmp_path / "absent") == 0
