"""Stores of an earlier version are set aside once, whole, and never read."""

import logging

import pytest

from numerai_kedro.errors import ConfigurationError, StoreError
from numerai_kedro.files import folder_lock
from numerai_kedro.runtime import earlier_version
from numerai_kedro.runtime.earlier_version import ASIDE, LAYOUT, LAYOUT_FILE, set_aside_older

KEPT = ("01_raw/v5.3/train.parquet", "07_model_output/receipts/1-demo.json")
STORED = ("06_models/fold_store/models/a", "08_reporting/champion_store/b", ".incremental/c")


@pytest.fixture
def older(tmp_path):
    for place in (*KEPT, *STORED):
        path = tmp_path / "data" / place
        path.parent.mkdir(parents=True)
        path.write_bytes(b"1" * 1000)
    return tmp_path / "data"


def test_older_stores_move_and_the_size_is_said_once(older, caplog):
    with caplog.at_level(logging.WARNING):
        set_aside_older(older)
        set_aside_older(older)
    (line,) = caplog.messages
    assert "(0.000 GB)" in line
    assert "clean --free" in line
    assert all((older / place).exists() for place in KEPT)
    assert not any((older / place).exists() for place in STORED)
    assert all((older / ASIDE / place).read_bytes() == b"1" * 1000 for place in STORED)
    assert (older / LAYOUT_FILE).read_text() == f"{LAYOUT}\n"


def test_a_new_folder_is_of_this_layout_and_nothing_moves(tmp_path, caplog):
    set_aside_older(tmp_path / "data")
    assert caplog.messages == []
    store = tmp_path / "data" / "06_models" / "fold_store"
    store.mkdir(parents=True)
    set_aside_older(tmp_path / "data")
    assert store.exists()


def test_what_a_killed_run_left_is_moved_by_the_next(older, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(earlier_version, "atomic_write", killed)
        with pytest.raises(KeyboardInterrupt):
            set_aside_older(older)
    late = older / "06_models" / "late"
    late.mkdir(parents=True)
    set_aside_older(older)
    assert (older / ASIDE / "06_models~2" / "late").is_dir()
    assert (older / ASIDE / "06_models" / "fold_store").is_dir()


def test_a_later_layout_is_refused_before_anything_moves(older):
    (older / LAYOUT_FILE).write_text(f"{LAYOUT + 1}\n")
    with pytest.raises(StoreError, match=f"layout {LAYOUT + 1}, and this version reads {LAYOUT}"):
        set_aside_older(older)
    assert all((older / place).exists() for place in STORED)


def test_a_folder_in_use_is_left_alone(older):
    with folder_lock(older), pytest.raises(ConfigurationError):
        set_aside_older(older)
    assert all((older / place).exists() for place in STORED)
