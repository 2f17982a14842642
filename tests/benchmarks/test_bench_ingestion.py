"""The benchmark runs as documented and ends with one line of JSON."""

import json
import subprocess
import sys

from tests.project import ROOT

SMALL = ["--eras", "4", "--rows", "300", "--features", "50", "--pairs", "2"]


def test_a_small_run_prints_a_table_and_its_figures_last():
    script = ROOT / "benchmarks" / "bench_ingestion.py"
    run = subprocess.run(
        [sys.executable, script, *SMALL], check=True, capture_output=True, text=True
    )
    figures = json.loads(run.stdout.splitlines()[-1])
    expected = {"time_over_decode", "pandas_over_decode", "peak_unshared_gb", "era_read_speedup"}
    assert expected <= figures.keys()
    assert all(value > 0 for value in figures.values())
    assert "ours/decode" in run.stdout
