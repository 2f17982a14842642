"""The benchmark runs as documented and ends with one line of JSON."""

import json
import subprocess
import sys

from tests.project import ROOT


def test_a_small_run_prints_a_table_and_its_figures_last():
    script = ROOT / "benchmarks" / "bench_incremental.py"
    run = subprocess.run(
        [sys.executable, script, "--nodes", "5", "--rounds", "2"],
        check=True,
        capture_output=True,
        text=True,
    )
    figures = json.loads(run.stdout.splitlines()[-1])
    assert {"all_run_over_plain", "all_current_over_plain"} <= figures.keys()
    assert "all current" in run.stdout
