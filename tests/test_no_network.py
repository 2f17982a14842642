"""A first week without any network but loopback: nothing even tries to connect."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import QUICK, Project

pytestmark = pytest.mark.slow

# Read by every Python process of the command when it starts.
GUARD = """
import os, sys
from pathlib import Path

LOOPBACK = ("127.", "::1", "localhost")

def guard(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event == "socket.sendto":
        host = arguments[1][0] if isinstance(arguments[1], tuple) else None
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host and not str(host).startswith(LOOPBACK):
        with open(os.environ["KNOCKS"], "a") as handle:
            handle.write(f"{sys.argv[:3]} {event} {host}\\n")
        raise OSError(101, "Network is unreachable")

sys.addaudithook(guard)
Path(os.environ["KNOCKS"] + ".watched").touch()
"""


def test_a_week_asks_nobody_but_this_machine(tmp_path):
    project = Project.make(tmp_path / "project")
    project.local("parameters", QUICK | {"tracking": {"enabled": True}})
    guard, knocks = tmp_path / "guard", tmp_path / "knocks"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    path = os.pathsep.join(filter(None, [str(guard), os.environ.get("PYTHONPATH")]))
    environment = project.environment() | {"PYTHONPATH": path, "KNOCKS": str(knocks)}
    kedro = str(Path(sys.executable).parent / "kedro")
    for command in (["run", "--pipeline=weekly"], ["tournament", "status"]):
        run = subprocess.run(
            [kedro, *command],
            cwd=project.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr[-3000:]
    assert knocks.with_name("knocks.watched").exists()
    assert not knocks.exists(), knocks.read_text()
    assert [receipt["status"] for receipt in project.receipts().values()] == ["accepted"]
