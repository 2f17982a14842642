"""Overhead of skipping: 60 small nodes run by Kedro alone, run by ours, and skipped by ours.

    python benchmarks/bench_incremental.py

The three take turns; ratios are of neighbours, the median with its quartiles is printed. The nodes
add one to a number in a JSON file, so that nearly all of the time is Kedro's and ours. Last line:
one JSON object.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import logging
import platform
import statistics
import tempfile
import time
from pathlib import Path

from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from numerai_kedro.cache.runner import incremental_run

LABELS = ("plain Kedro", "all run", "all current")
JSON = "numerai_kedro.datasets.atomic_file.JSONDataset"


def add_one(number: int, step: int) -> int:
    """Add."""
    return number + step


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), options.nodes, options.rounds)))


def measure(folder: Path, n_nodes: int, n_rounds: int) -> dict[str, float]:
    """Plain Kedro, all nodes run, all nodes current, in turn."""
    # A node defined in the script itself would always run: its code cannot be tracked.
    node = importlib.import_module("bench_incremental").add_one
    pipeline = Pipeline(
        [Node(node, [f"x{k}", "params:step"], f"x{k + 1}", name=f"add_{k}") for k in range(n_nodes)]
    )
    rows = []
    for number in range(n_rounds):
        run(folder, pipeline, number, incremental=True)  # what follows is current, or plain
        plain = run(folder, pipeline, number, incremental=False)
        ran = run(folder, pipeline, number, incremental=True, run_all=True)
        current = run(folder, pipeline, number, incremental=True)
        rows.append((plain, ran, current))
    print(f"{platform.machine()}, Python {platform.python_version()}; {n_nodes} nodes, ms\n")
    print(f"{'':>16} {'median':>8} {'quartiles':>18} {'over plain':>11}")
    medians = []
    for label, times in zip(LABELS, zip(*rows, strict=True), strict=True):
        low, median, high = statistics.quantiles(times, n=4)
        over = statistics.median(t / row[0] for t, row in zip(times, rows, strict=True))
        medians.append((median, over))
        print(f"{label:>16} {1e3 * median:8.0f} {1e3 * low:8.0f} {1e3 * high:9.0f} {over:11.2f}")
    print()
    (plain_s, _), (ran_s, over), (current_s, skipped) = medians
    return {
        "all_run_over_plain": round(over, 3),
        "all_current_over_plain": round(skipped, 3),
        "ms_a_node_that_runs": round(1e3 * (ran_s - plain_s) / n_nodes, 2),
        "ms_a_node_that_is_current": round(1e3 * current_s / n_nodes, 2),
    }


def run(
    folder: Path, pipeline: Pipeline, number: int, *, incremental: bool, run_all: bool = False
) -> float:
    """One run in seconds; another `number` is another input."""
    (folder / "x0.json").write_text(json.dumps(number))
    catalog = DataCatalog.from_config(
        {
            name: {"type": JSON, "filepath": str(folder / f"{name}.json")}
            for name in pipeline.datasets()
            if not name.startswith("params:")
        }
    )
    catalog["params:step"] = 1
    settings = {"run_all": run_all, "cache_limit_gb": 1, "keep_fits_of_other_code": False}
    catalog["params:incremental"] = settings
    runner = SequentialRunner()
    if incremental:
        runner._run = functools.partial(incremental_run, runner, folder)  # type: ignore[method-assign]
    begin = time.perf_counter()
    runner.run(pipeline, catalog)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
