"""The benchmark of feature discovery runs, at a size of seconds."""

import json
import math
import subprocess
import sys

import pytest

from tests.project import ROOT

pytestmark = pytest.mark.slow

WANTED = {
    "rows_per_second",
    "peak_unshared_gb",
    "tables_over_read",
    "tables_over_matmul",
    "gram_over_matmul",
    "new_era_over_first_pass",
}


def test_it_has_its_figures():
    small = ["--features", "20", "--eras", "12", "--rows", "60", "--rounds", "1"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "bench_feature_discovery.py"), *small],
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures.keys() >= WANTED
    assert all(math.isfinite(figures[name]) and figures[name] > 0 for name in WANTED)
    assert "tables / cold read" in done.stdout
