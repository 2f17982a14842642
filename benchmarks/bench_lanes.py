"""Wall time of a week that trains networks in parallel with boosting, against one after the other.

    python benchmarks/bench_lanes.py                  a simulated card: networks count on the cores
    python benchmarks/bench_lanes.py --card real      an NVIDIA card
    python benchmarks/bench_lanes.py --rounds 1 --size tiny

Both take turns, each in a project of its own with the same world and the committed configuration,
without tuning. A simulated card takes its time from the cores that boosting uses. Last line: one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from claim_seeds import demo_project, kedro
from numerai_kedro.compute.machine import SIMULATED_GPU
from numerai_kedro.models.registry import BUILT_IN


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--card", default="simulated", choices=("simulated", "real"))
    options = parser.parse_args()
    if options.card == "simulated":
        os.environ[SIMULATED_GPU] = "4"
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared"
        prepared.mkdir()
        demo_project(prepared, options.size, 0)
        took: dict[bool, list[float]] = {False: [], True: []}
        for number in range(options.rounds):
            for hybrid in (False, True):
                project = Path(folder) / f"{number}-{hybrid}"
                shutil.copytree(prepared, project)
                took[hybrid].append(seconds(project, hybrid))
                print(f"hybrid {hybrid}: {took[hybrid][-1]:.1f} s", flush=True)
                shutil.rmtree(project)
    ratios = [
        parallel / sequential for sequential, parallel in zip(took[False], took[True], strict=True)
    ]
    print(
        json.dumps(
            {
                "one_after_the_other_s": round(statistics.median(took[False]), 1),
                "beside_each_other_s": round(statistics.median(took[True]), 1),
                "beside_over_one_after_the_other": round(statistics.median(ratios), 3),
            }
        )
    )


def seconds(folder: Path, hybrid: bool) -> float:
    """Wall time of a first week."""
    untuned = ",".join(f"{name}.n_trials=0" for name in BUILT_IN)
    begin = time.perf_counter()
    chosen = f"--params=resources.hybrid={str(hybrid).lower()},{untuned}"
    kedro(folder, "run", "--pipeline=weekly", chosen)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
