"""The benchmark of graph layers runs, at a size of seconds."""

import json
import subprocess
import sys

import pytest

from tests.project import ROOT

pytestmark = pytest.mark.slow


def test_it_has_its_figures():
    small = ["--features", "24", "--nodes", "6", "--rows", "16", "--rounds", "1"]
    small += ["--networks", "gatv2"]  # GIN's layer is compared with theirs in tests/models
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "bench_graph.py"), *small],
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    cases = {f"gatv2 6 {near}" for near in (8, "full")}
    assert figures["speedup_over_pyg"].keys() == cases
    assert all(value > 0 for value in figures["speedup_over_pyg"].values())
    assert all(value < 1e-5 for value in figures["max_abs_diff"].values())
    assert all(value > 0 for value in figures["peak_gb"].values())
