"""The benchmarks of boosting run, at a size of seconds."""

import json
import subprocess
import sys

import pytest

from tests.project import ROOT

pytestmark = pytest.mark.slow


def last_line(name, *arguments):
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_memory_has_its_figures(tmp_path):
    sizes = ["--eras", "12", "24", "--live-eras", "40", "--rows", "100", "--features", "50"]
    sizes += ["--family-eras", "8", "12"]
    plain = ["--plain-cells", "20000", "60000", "--folder", str(tmp_path)]
    figures = last_line("bench_gbm_memory.py", *sizes, *plain)
    expected = {"bytes_per_cell", "plain_bytes_per_cell", "full_size_peak_gb", "live_fit_peak_gb"}
    expected |= {"catboost_bytes_per_cell", "xgboost_bytes_per_cell"}
    assert expected <= figures.keys()


def test_overhead_has_its_figures_and_bins_once_a_fold():
    figures = last_line(
        "bench_gbm_overhead.py", "--trees", "20", "--pairs", "1", "--eras", "30", "--rows", "50"
    )
    assert {"fit_over_bare", "trial_overhead_share"} <= figures.keys()
    assert figures["binned_sets_per_fold"] == 1


def test_submit_has_its_figure():
    sizes = ["--rows", "300", "--features", "50", "--trees", "20"]
    assert last_line("bench_submit.py", *sizes)["submit_s"] > 0
