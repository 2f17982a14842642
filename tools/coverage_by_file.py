"""A pytest plugin: which test file runs which line, and how long each test file takes.

    MUTANTS_MAP=FOLDER pytest -p tools.coverage_by_file

Each process, workers of pytest-xdist among them, leaves two files in FOLDER: coverage data whose
contexts are paths of test files, and a JSON file of seconds and of failed tests. What child
processes run is not seen.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest


class CoverageByFile:
    """Measures while the tests run."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.root = root
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.failed: list[str] = []
        self.coverage = coverage.Coverage(
            data_file=str(folder / "coverage"),
            data_suffix=True,
            config_file=False,
            source=[str(root / "src" / "numerai_kedro")],
        )
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note one test's lines under its file."""
        path = item.path.relative_to(self.root).as_posix()
        self.coverage.switch_context(path)
        start = time.monotonic()
        try:
            return (yield)
        finally:
            self.seconds[path] += time.monotonic() - start

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that fails without any mutation."""
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Save both files."""
        self.coverage.stop()
        self.coverage.save()
        found = {"seconds": self.seconds, "failed": self.failed}
        (self.folder / f"tests-{os.getpid()}.json").write_text(json.dumps(found))


def pytest_configure(config: pytest.Config) -> None:
    """Start measuring, unless the workers of pytest-xdist do."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    folder = Path(os.environ["MUTANTS_MAP"])
    config.pluginmanager.register(CoverageByFile(folder, config.rootpath))
