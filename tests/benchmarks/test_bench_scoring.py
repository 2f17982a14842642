"""The benchmark of scoring runs, at a size of seconds."""

import json
import subprocess
import sys

import pytest

from tests.project import ROOT

pytestmark = pytest.mark.slow


def test_it_has_its_figures_and_agrees_with_the_tools():
    small = ["--eras", "12", "--rows", "300", "--columns", "5", "--features", "30", "--sample", "4"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "bench_scoring.py"), *small],
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    expected = {"corr_speedup", "mmc_speedup", "both_over_corr", "neutralise_over_gram"}
    assert expected <= figures.keys()
    assert figures["max_abs_diff"] < 1e-10
