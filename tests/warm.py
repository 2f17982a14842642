"""Processes that have imported what commands import, and fork a child for each command.

Imports take half the time of a short command. Two such processes take turns, each with its own
hash seed, so that results that depend on the order of a set are still caught.
"""

from __future__ import annotations

import atexit
import importlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEDRO = Path(sys.executable).parent / "kedro"
N_PARENTS = 2
IMPORTED = (
    "catboost",
    "kedro.framework.cli.cli",
    "lightgbm",
    "numerai_kedro.cli.commands",
    "numerai_kedro.settings",
    "numerai_kedro.demo.server",
    "numerai_tools.submissions",
)


class Parent:
    """One process, which forks a child for each command."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        atexit.register(self.end)

    def end(self) -> None:
        """Kill it, and the command that it waits for."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def run(
        self, arguments: list[str], folder: Path, environment: Mapping[str, str], seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end.

        Raises
        ------
        TimeoutError
            It takes longer than `seconds`; it is killed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as scratch:
            outputs = [f"{scratch}/stdout", f"{scratch}/stderr"]
            order = {"arguments": arguments, "folder": str(folder), "said": outputs}
            order["environment"] = dict(environment)
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            if not select.select([self._process.stdout], [], [], seconds)[0]:
                self.end()
                parents.cache_clear()
                raise TimeoutError(f"kedro {' '.join(arguments)}: no end within {seconds} s")
            status = self._process.stdout.readline()
            stdout, stderr = (Path(output).read_text() for output in outputs)
        return subprocess.CompletedProcess(arguments, int(status), stdout, stderr)


@cache
def parents() -> Iterator[Parent]:
    """The parents of this process, in an endless cycle."""
    return itertools.cycle([Parent() for _ in range(N_PARENTS)])


def serve() -> None:
    """Fork a child for each incoming order, and answer with its exit status."""
    import_all()
    main = sys.modules["__main__"]
    # Processes that a command spawns read the command's own script, as without this server.
    main.__spec__, main.__file__ = None, str(KEDRO)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def become(order: dict[str, object]) -> None:
    """Turn this process into the command, as if it had been typed."""
    for descriptor, path in enumerate(["/dev/null", *order["said"]]):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(order["environment"])
    importlib.reload(sys.modules["numerai_kedro"])  # sets its environment variables, as on import
    os.chdir(order["folder"])
    sys.path[0] = str(KEDRO.parent)
    sys.argv = [str(KEDRO), *order["arguments"]]
    from kedro.framework.cli.cli import main

    sys.exit(main())


def import_all() -> None:
    """Import what most commands need; networks are left to those that use them."""
    for name in IMPORTED:
        importlib.import_module(name)
    for path in (ROOT / "src" / "numerai_kedro" / "pipelines").glob("*/pipeline.py"):
        importlib.import_module(f"numerai_kedro.pipelines.{path.parent.name}.pipeline")
    # Every child inherits the parsed sources.
    package = ROOT / "src" / "numerai_kedro"
    importlib.import_module("numerai_kedro.cache.sources").Sources(package).acting_on(
        (package.name, 0)
    )


if __name__ == "__main__":
    serve()
