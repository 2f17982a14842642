"""Where a crash drill may kill the run: just before and after each rename of a file.

Without the variable this only looks into the environment. With it, every passage is recorded
outside the process, and the run is killed where the drill's order says so. A site is a step, a kind
of file, and a place in the code; `tests/test_drill.py` kills at all of them.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import re
import signal
import sys
import zlib
from pathlib import Path
from typing import Literal

VARIABLE = "NUMERAI_KEDRO_FAILPOINTS"
PASSAGES, KILLS, ORDER = "passages", "kills", "order.json"
# What distinguishes two files of the same kind.
OF_ONE_FILE = re.compile(r"[0-9a-f]{12,}|\d+")
# Writers: the place in the code is whoever calls them.
WRITERS = {"failpoint.py", "atomic.py", "contextlib.py", "kept_json.py", "checked_file.py"}
# Folders whose files are all of one kind, whatever their names.
OF_ONE_KIND = {"nodes", "values", "predictions", "procedures"}


def passed(step: Literal["before", "between", "after"], target: Path) -> None:
    """Report that a rename is about to happen, or has; does not return where the drill kills.

    Parameters
    ----------
    step
        ``"between"``: the old target is gone, and the new one is not there yet.
    """
    folder = os.environ.get(VARIABLE)
    if folder is not None:
        _passed(Path(folder), f"{step} {kind_of(target)} by {_caller()}")


def _passed(folder: Path, site: str) -> None:
    number = _counted(folder / PASSAGES, site)
    order, kills = json.loads((folder / ORDER).read_text()), _lines(folder / KILLS)
    drawn = zlib.crc32(f"{order['seed']} {site}".encode()) % order["one_in"] == 0
    at_site = order["sites"] and drawn and site not in kills
    if not at_site and number not in order["at"]:
        return
    _counted(folder / KILLS, site)
    # The parent dies, too: otherwise it would only see a failed fit, and repeat it.
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        os.kill(parent.pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def kind_of(target: Path) -> str:
    """A file's name; for one of many files that differ by number or digest, its folder's name."""
    is_one_of_many = target.parent.name in OF_ONE_KIND or OF_ONE_FILE.search(target.name)
    return f"{target.parent.name}/#" if is_one_of_many else target.name


def _caller() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and Path(frame.f_code.co_filename).name in WRITERS:
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"


def _counted(path: Path, line: str) -> int:
    """Add a line; returns how many there are, from all processes of the run."""
    with path.open("a+", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.write(f"{line}\n")
        handle.flush()
        handle.seek(0)
        return handle.read().count("\n")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
