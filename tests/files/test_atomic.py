import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from numerai_kedro.errors import DiskFull
from numerai_kedro.files import atomic, atomic_folder, atomic_path, atomic_write

KILLED_WRITER = """
import os, signal, sys
from numerai_kedro.files import atomic_folder, atomic_write
target, kind, point = sys.argv[1:]
if point == "rename":
    real = os.replace
    os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
if kind == "file":
    with atomic_write(target) as handle:
        handle.write(b"new" * 1000)
        if point == "write":
            os.kill(os.getpid(), signal.SIGKILL)
else:
    with atomic_folder(target) as partial:
        (partial / "a").write_bytes(b"new")
        if point == "write":
            os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(target, kind: str, point: str) -> int:
    command = [sys.executable, "-c", KILLED_WRITER, str(target), kind, point]
    return subprocess.run(command, check=False).returncode


@pytest.mark.parametrize("point", ["write", "rename"])
def test_a_killed_write_leaves_the_old_file(tmp_path, point):
    target = tmp_path / "file"
    target.write_bytes(b"old")
    assert killed(target, "file", point) == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    with atomic_write(target) as handle:
        handle.write(b"new")
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("point", ["write", "rename"])
def test_a_killed_write_leaves_the_old_folder(tmp_path, point):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "a").write_bytes(b"old")
    assert killed(target, "folder", point) == -signal.SIGKILL
    assert (target / "a").read_bytes() == b"old"


def test_an_error_leaves_the_old_file_and_no_partial(tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def fail_half_way():
        with atomic_write(target) as handle:
            handle.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_libraries_that_open_files_themselves_get_a_path(tmp_path):
    with atomic_path(tmp_path / "deep" / "file") as partial:
        partial.write_text("x")
    assert (tmp_path / "deep" / "file").read_text() == "x"


def test_a_folder_is_replaced_whole(tmp_path):
    for name in ("a", "b"):
        with atomic_folder(tmp_path / "folder") as partial:
            (partial / name).write_text(name)
    assert os.listdir(tmp_path / "folder") == ["b"]
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full, of Linux")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_full_disk_is_a_sentence_and_leaves_what_was_there(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "file":
        target.write_bytes(b"old")

    def write():
        if kind == "folder":
            with atomic_folder(target) as partial:
                (partial / "a").symlink_to("/dev/full")
                (partial / "a").write_bytes(b"new")
        else:
            with atomic_path(target) as partial:
                partial.symlink_to("/dev/full")
                partial.write_bytes(b"new")

    words = rf"{target}: the disk is full: more than 0 bytes are needed, [\d,]+ are free; free some"
    with pytest.raises(DiskFull, match=words):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["target"] * (kind == "file")
    assert kind == "folder" or target.read_bytes() == b"old"


def test_a_writer_is_asked_for_by_a_signal_that_does_nothing(monkeypatch):
    sent = []

    def kill(process, number):
        sent.append((process, number))
        if process == 8:
            raise ProcessLookupError
        if process == 9:
            raise PermissionError

    monkeypatch.setattr(atomic.os, "kill", kill)
    assert [atomic._alive(process) for process in (7, 8, 9)] == [True, False, True]
    assert sent == [(7, 0), (8, 0), (9, 0)]
