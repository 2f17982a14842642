"""When piped, long work logs its progress now and then, and short work nothing."""

import pytest

from numerai_kedro import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_some_seconds_and_not_more(clock, caplog):
    with caplog.at_level("INFO"), progress.steps_bar("folds") as advance:
        for done in range(31):
            clock[0] += 1
            advance(done, 60)
    assert [record.message for record in caplog.records] == ["folds: 23%", "folds: 48%"]


def test_without_a_total_the_count_is_said(clock, caplog):
    with caplog.at_level("INFO"), progress.steps_bar("eras") as advance:
        clock[0] += 20
        advance(1234, 0)
    assert caplog.messages == ["eras: 1,234"]


def test_a_terminal_gets_a_bar_and_no_lines(clock, caplog, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with caplog.at_level("INFO"), progress.bytes_bar("train.parquet") as advance:
        clock[0] += 20
        advance(10, 20)
    assert caplog.messages == []
