"""The first pass of feature discovery against reading, products alone, and next week's pass.

    python benchmarks/bench_feature_discovery.py      3,555 features x 250 eras x 5,000 rows
    python benchmarks/bench_feature_discovery.py --features 30 --eras 24 --rows 120 --rounds 2

A first pass makes every era's tables of one target, the products of all features, and a verdict for
each feature. Passes, tables and readings run in processes of their own, after the files were
dropped from the page cache. A and B take turns with equally many threads; the median ratio of
consecutive runs is printed with its quartiles. Memory is the peak of anonymous pages. Needs 4.5 GB
of disk below `TMPDIR`, and a quarter of an hour on two idle cores. Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from numerai_kedro.cache import FoldStore, code_of
from numerai_kedro.data import EraPanel, EraRows, FeatureBlock, open_panel, write_panel
from numerai_kedro.features.discovery import DiscoveryRule, discover
from numerai_kedro.features.era_tables import N_LEVELS, era_table, target_levels
from numerai_kedro.features.sufficient import PIECE, effects_of, products_of, table_of
from numerai_kedro.metrics.scoring import over_eras
from peak_memory import Peak

TARGET = "target_ender_60"
SHARES = (0.05, 0.20, 0.50, 0.20, 0.05)
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
RULE = DiscoveryRule(q=0.1, n_regimes=3, least=2, gap=16, overlap_eras=12, alike=0.9, ridge=0.02)
TABLED = 4  # eras a round whose tables are timed beside matrix products
GIB = 2**30

Figures = dict[str, float]


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--features", type=int, default=3_555)
    parser.add_argument("--eras", type=int, default=250)
    parser.add_argument("--rows", type=int, default=5_000, help="of an era")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "PANEL", "STORE"))
    options = parser.parse_args()
    if options.one:
        what, panel, store = options.one
        # A run has read the sources before its first node: that is no part of a pass.
        for maker in (table_of, products_of):
            code_of(maker)
        print(json.dumps(RUNS[what](Path(panel), FoldStore(store))))
        return
    # Ended from outside, it leaves no gigabytes behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="bench_feature_discovery") as folder:
        print(json.dumps(measure(Path(folder), options)))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures; the panel of a week later shares the files of the first."""
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"numpy {np.__version__}; {options.eras * options.rows * options.features / 1e6:,.0f} "
        "million cells"
    )
    if not hasattr(os, "posix_fadvise"):
        print("no page cache can be dropped here: nothing is read cold")
    panel, later = folder / "panel", folder / "later"
    write_panel(panel, eras_of(options, options.eras))
    shutil.copytree(panel, later, copy_function=os.link)
    write_panel(later, eras_of(options, options.eras + 1))

    def run(what: str, of: Path = panel) -> Figures:
        return in_process(what, of, folder / "store")

    print(f"\n{'':<26}{'ours s':>9}{'beside s':>10}{'ratio':>8}  quartiles", flush=True)
    rounds = range(options.rounds)
    measurements = [
        reading([tables_and_read(run, folder, first=number % 2) for number in rounds], options),
        matrices([run("era") for _ in rounds]),
        gram([run("piece") for _ in rounds]),
        passes([first_and_second(run, folder, later) for _ in rounds], options),
    ]
    together: dict[str, Any] = {"quartiles": {}}
    for figures in measurements:
        together["quartiles"] |= figures.pop("quartiles")
        together |= figures
    return together


def in_process(what: str, panel: Path, store: Path) -> Figures:
    """One measurement in a fresh process, whose files are no longer in the page cache."""
    if hasattr(os, "posix_fadvise"):
        for path in [*panel.rglob("*"), *store.rglob("*")]:
            if path.is_file():
                with path.open("rb") as handle:
                    os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = [sys.executable, __file__, "--one", what, str(panel), str(store)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def tables_and_read(run: Callable[..., Figures], folder: Path, first: int) -> Figures:
    """Seconds of both, in this order or the other."""
    timings: Figures = {}
    for what in ("tables", "read") if first else ("read", "tables"):
        timings |= run(what)
        shutil.rmtree(folder / "store", ignore_errors=True)
    return timings


def first_and_second(run: Callable[..., Figures], folder: Path, later: Path) -> list[Figures]:
    """A first pass, and a second one that uses its store, which is then deleted."""
    results = [run("pass"), run("pass", later)]
    shutil.rmtree(folder / "store")
    return results


def reading(rounds: list[Figures], options: argparse.Namespace) -> dict[str, Any]:
    """Time of all eras' tables over reading them, reading speed, and the cost of both per era."""
    figures = line("tables / cold read", "tables_over_read", rounds, "tables", "read")
    speed = options.eras * options.rows * options.features / median(rounds, "read") / 1e9
    busy = {
        name: round(1e3 * median(rounds, f"{name}_busy") / options.eras, 1)
        for name in ("tables", "read")
    }
    print(
        f"  reading {speed:.2f} GB/s; processor time of an era {busy['tables']} and "
        f"{busy['read']} ms",
        flush=True,
    )
    return (
        figures
        | {"read_gb_per_second": round(speed, 2)}
        | {f"{name}_processor_ms_per_era": value for name, value in busy.items()}
    )


def matrices(rounds: list[Any]) -> dict[str, Any]:
    """An era's tables over plain matrix products, without and with converting the features."""
    eras = [era for measured in rounds for era in measured["eras"]]
    return merged(
        line("era's tables / matmuls", "tables_over_matmul", eras, "tables", "matmuls"),
        line("  / converted, matmuls", "tables_over_plain", eras, "tables", "plain"),
    )


def gram(rounds: list[Figures]) -> dict[str, Any]:
    """Products of a piece over those of matrices that are floats already."""
    return line("piece's products / matmul", "gram_over_matmul", rounds, "ours", "matmul")


def passes(rounds: list[list[Figures]], options: argparse.Namespace) -> dict[str, Any]:
    """The second pass over the first; rows a second, memory and parts of the first."""
    pairs = [{"first": first["all"], "second": second["all"]} for first, second in rounds]
    figures = line("new era / first pass", "new_era_over_first_pass", pairs, "second", "first")
    print()
    for name, of in zip(("first pass", "new era"), zip(*rounds, strict=True), strict=True):
        parts = {part: median(of, part) for part in ("tables", "products", "discover", "all")}
        print(f"{name}: " + ", ".join(f"{part} {value:.2f} s" for part, value in parts.items()))
        figures |= {f"{name.replace(' ', '_')}_{part}_s": parts[part] for part in parts}
    peak = max(first["peak_gb"] for first, _ in rounds)
    speed = options.eras * options.rows / statistics.median(pair["first"] for pair in pairs)
    print(f"{speed:,.0f} rows/s, peak {peak:.2f} GiB\n")
    return figures | {"rows_per_second": round(speed), "peak_unshared_gb": round(peak, 3)}


def line(title: str, key: str, rounds: list[Figures], ours: str, beside: str) -> dict[str, Any]:
    """Print a line of the table; returns the median ratio and its quartiles."""
    low, middle, high = quartiles([timing[ours] / timing[beside] for timing in rounds])
    print(
        f"{title:<26}{median(rounds, ours):>9.3f}{median(rounds, beside):>10.3f}{middle:>8.3f}"
        f"  [{low:.3f}, {high:.3f}]",
        flush=True,
    )
    return {key: round(middle, 4), "quartiles": {key: [round(low, 4), round(high, 4)]}}


def merged(*lines: dict[str, Any]) -> dict[str, Any]:
    """All lines in one dictionary."""
    figures: dict[str, Any] = {}
    for entry in lines:
        figures |= entry | {"quartiles": figures.get("quartiles", {}) | entry["quartiles"]}
    return figures


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def median(rounds: Any, name: str) -> float:
    """Median of one figure over rounds."""
    return round(statistics.median(measured[name] for measured in rounds), 4)


def run_read(folder: Path, store: FoldStore) -> Figures:
    """Every era's features and target, their digests verified, an era a core."""
    begin, busy = time.perf_counter(), time.process_time()
    panel = open_panel(folder)

    def one(position: int) -> None:
        alone = panel.select(eras=[int(panel.eras[position])])
        alone.features_at(0)
        alone.target(TARGET)

    list(over_eras(one, range(len(panel.eras))))
    return {"read": time.perf_counter() - begin, "read_busy": time.process_time() - busy}


def run_tables(folder: Path, store: FoldStore) -> Figures:
    """Tables and scores of every era, kept."""
    begin, busy = time.perf_counter(), time.process_time()
    effects_of(open_panel(folder), TARGET, store)
    return {"tables": time.perf_counter() - begin, "tables_busy": time.process_time() - busy}


def run_pass(folder: Path, store: FoldStore) -> Figures:
    """A whole pass with what the store has: seconds of its parts, and its peak of memory."""
    begin = time.perf_counter()
    with Peak() as peak:
        panel = open_panel(folder)
        _, effects = effects_of(panel, TARGET, store)
        tables = time.perf_counter()
        (products,) = products_of(panel, [int(panel.eras[-1])], store)
        multiplied = time.perf_counter()
        discover(panel.feature_names, effects, products.correlation(), RULE)
        end = time.perf_counter()
    return {
        "tables": tables - begin,
        "products": multiplied - tables,
        "discover": end - multiplied,
        "all": end - begin,
        "peak_gb": peak.bytes / GIB,
    }


def run_era(folder: Path, store: FoldStore) -> dict[str, list[Figures]]:
    """Tables of some eras in memory beside the plain way's products, on one thread."""
    panel = open_panel(folder)
    with threadpool_limits(1, user_api="blas"):
        beside_products(panel, int(panel.eras[0]), ours_first=True)  # warm
        eras = panel.eras[1 : 1 + TABLED].tolist()
        return {"eras": [beside_products(panel, era, ours_first=era % 2 == 0) for era in eras]}


def beside_products(panel: EraPanel, era: int, ours_first: bool) -> Figures:
    """Seconds of one era's tables, of five products alone, and of those with their conversion."""
    alone = panel.select(eras=[era])
    features, target = alone.features(era), alone.target(TARGET).astype(np.float64)
    levels = target_levels(target, TARGET)
    classes = (target[:, None] == levels).astype(np.float32)
    features.sum(dtype=np.int64)  # the first touch maps the pages
    planes = [plane_of(features, value) for value in range(N_LEVELS)]
    tasks: dict[str, Callable[[], Any]] = {
        "tables": lambda: era_table(features, target, levels),
        "matmuls": lambda: [plane @ classes for plane in planes],
        "plain": lambda: [plane_of(features, value) @ classes for value in range(N_LEVELS)],
    }
    order = list(tasks) if ours_first else list(tasks)[::-1]
    timings = {name: seconds(tasks[name]) for name in order}
    for name in ("matmuls", "plain"):
        assert (np.stack(tasks[name](), axis=1) == tasks["tables"]()).all()
    return timings


def plane_of(features: np.ndarray, value: int) -> np.ndarray:
    """float32[n_features, n_rows]: where features have a value."""
    return (features == value).T.astype(np.float32)


def run_piece(folder: Path, store: FoldStore) -> Figures:
    """Products of a piece of eras as they are kept, and of matrices that are floats already."""
    panel = open_panel(folder)
    panel = panel.select(eras=panel.eras[:PIECE])
    last, matmul = int(panel.eras[-1]), 0.0
    for era in panel.eras.tolist():
        floats = panel.features(era).astype(np.float32)
        matmul += seconds(partial(np.matmul, floats.T, floats))
    ours = seconds(lambda: list(products_of(panel, [last], store)))
    shutil.rmtree(store.folder)
    return {"ours": ours, "matmul": matmul}


RUNS: dict[str, Callable[[Path, FoldStore], Any]] = {
    "read": run_read,
    "tables": run_tables,
    "pass": run_pass,
    "era": run_era,
    "piece": run_piece,
}


def seconds(task: Callable[[], Any]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    task()
    return time.perf_counter() - begin


def eras_of(options: argparse.Namespace, n_eras: int) -> Iterator[EraRows]:
    """Random features in five equal bins, and a target in five of Numerai's shares."""
    names = [f"feature_{number:04d}" for number in range(options.features)]
    for era in range(1, n_eras + 1):
        rng = np.random.default_rng(era)
        block = FeatureBlock.empty(names, options.rows)
        shape = (options.features, options.rows)
        block.columns[:, : options.rows] = rng.integers(0, N_LEVELS, shape, dtype=np.int8)
        target = rng.choice(np.array(LEVELS, np.float32), size=options.rows, p=SHARES)
        yield EraRows(
            era=era,
            data_type="train",
            ids=pa.array([f"n{era:04d}{row:011d}" for row in range(options.rows)]),
            features=block,
            targets=pa.record_batch([pa.array(target)], names=[TARGET]),
        )


if __name__ == "__main__":
    main()
