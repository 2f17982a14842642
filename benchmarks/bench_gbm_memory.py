"""Memory of boosting from panels larger than memory, against the plain way and the prediction.

    python benchmarks/bench_gbm_memory.py      690,000 and 2,750,000 rows, the live fit by offsets
    python benchmarks/bench_gbm_memory.py --only families
    python benchmarks/bench_gbm_memory.py --eras 12 24 --live-eras 40 --rows 100 --features 50

Panels of random values are written by streaming. Every fit is a process of its own, under a limit
of 16 GB where a control group can be made (page cache counts there, too); memory is the peak of its
unshared pages, read every 20 ms. The plain way is Numerai's own notebook: parquet into pandas, then
`LGBMRegressor.fit`, at sizes that fit. Slopes are bytes a cell between two sizes. CatBoost and
XGBoost are fitted at two smaller sizes. Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute.memory import unshared_gb
from numerai_kedro.data import EraRows, FeatureBlock, open_panel, write_panel
from numerai_kedro.models.registry import BOOSTED, family
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.protocol import FitContext
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.walk_forward import fit_live

TARGET = "target_ender_60"
LIMIT_GB = 16
GIB = 2**30
CGROUP = Path("/sys/fs/cgroup/memory")
SAMPLE_S = 0.02
N_TREES = 4
OFFSETS = 4
PLAIN_CELLS = (36_000_000, 108_000_000)
CONF = Path(__file__).parents[1] / "conf" / "base" / "parameters_gbm.yml"


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eras", type=int, nargs=2, default=(125, 500), help="of the two sizes")
    parser.add_argument("--family-eras", type=int, nargs=2, default=(30, 90))
    parser.add_argument("--only", choices=["lightgbm", "families"])
    parser.add_argument("--live-eras", type=int, default=1_200)
    parser.add_argument("--rows", type=int, default=5_500, help="of an era")
    parser.add_argument("--features", type=int, default=3_555)
    parser.add_argument("--plain-cells", type=int, nargs=2, default=PLAIN_CELLS)
    parser.add_argument("--folder", help="where panels are written; 30 GB")
    parser.add_argument("--one", nargs=4, metavar=("WHAT", "PANEL", "ERAS", "STORE"))
    options = parser.parse_args()
    if options.one:
        what, panel, eras, store = options.one
        print(json.dumps(one_run(what, Path(panel), int(eras), Path(store))))
        return
    with tempfile.TemporaryDirectory(prefix="bench_gbm_memory", dir=options.folder) as folder:
        print(json.dumps(measure(Path(folder), options)))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Measure the families that the options name."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(
        f"{'':>22} {'rows':>10} {'cells':>8} {'peak GB':>8} {'predicted':>9} {'s':>8} "
        f"{'first tree s':>12}"
    )
    figures: dict[str, float] = {}
    if options.only != "lightgbm":
        figures |= measure_families(folder, options)
    if options.only != "families":
        figures |= measure_lightgbm(folder, options)
    return figures


def measure_families(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """The other families at two sizes: slope, and measured over predicted memory."""
    panel = generate(folder / "small_panel", max(options.family_eras), options)
    figures = {}
    for name in [name for name in BOOSTED if name != "lightgbm"]:
        runs = [run(name, panel, eras, folder) for eras in options.family_eras]
        figures[f"{name}_bytes_per_cell"] = slope(runs)
        figures[f"{name}_peak_over_predicted"] = round(
            runs[-1]["peak_gb"] / runs[-1]["predicted_gb"], 3
        )
    shutil.rmtree(panel)
    return figures


def measure_lightgbm(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Our way at two sizes and as the live fit; the plain way at two sizes that fit."""
    panel = generate(folder / "panel", options.live_eras, options)
    ours = [run("lightgbm", panel, eras, folder) for eras in options.eras]
    live = run("live", panel, options.live_eras, folder)
    shutil.rmtree(panel)
    n_plain = [max(2, cells // (options.rows * options.features)) for cells in options.plain_cells]
    parquets = [generate_parquet(folder / f"{n}.parquet", n, options) for n in n_plain]
    plain = [run("plain", path, 0, folder) for path in parquets]
    return {
        "bytes_per_cell": slope(ours),
        "plain_bytes_per_cell": slope(plain),
        "full_size_peak_gb": ours[-1]["peak_gb"],
        "live_fit_peak_gb": live["peak_gb"],
        "full_size_first_tree_s": ours[-1]["first_tree_s"],
        "predicted_full_size_gb": ours[-1]["predicted_gb"],
    }


def slope(runs: list[dict[str, float]]) -> float:
    """Bytes that one more cell takes."""
    small, large = runs
    return round((large["peak_gb"] - small["peak_gb"]) * GIB / (large["cells"] - small["cells"]), 2)


def run(what: str, data: Path, eras: int, folder: Path) -> dict[str, float]:
    """One fit in a process of its own, under the limit."""
    store = folder / "store"
    command = [sys.executable, __file__, "--one", what, str(data), str(eras), str(store)]
    with limited() as enter:
        done = subprocess.run(
            command, capture_output=True, text=True, preexec_fn=enter, check=False
        )
    shutil.rmtree(store, ignore_errors=True)
    if done.returncode:
        raise RuntimeError(f"{what}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{what:>22} {result['rows']:>10,.0f} {result['cells'] / 1e6:>6,.0f} M "
        f"{result['peak_gb']:>8.2f} {result['predicted_gb']:>9.2f} {result['seconds']:>8.1f} "
        f"{result['first_tree_s']:>12.1f}",
        flush=True,
    )
    return dict(result)


@contextlib.contextmanager
def limited() -> Iterator[Any]:
    """A function that puts the calling process under the limit, where that is possible."""
    group = CGROUP / f"bench-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(LIMIT_GB * GIB))
    except OSError:
        print("(no control group can be made here: no limit)")
        yield lambda: None
        return
    try:
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        group.rmdir()


def one_run(what: str, data: Path, n_eras: int, store: Path) -> dict[str, float]:
    """Fit a few trees; returns peak, time, and the time of the first tree."""
    with peak() as reading:
        begin, first = time.perf_counter(), []

        def progress(*_: object) -> None:
            first.append(time.perf_counter() - begin)

        if what in BOOSTED:
            rows, features = fit(what, data, n_eras, store, progress)
        else:
            special = {"live": fit_by_offsets, "plain": fit_plainly}[what]
            rows, features = special(data, n_eras, store, progress)
        seconds = time.perf_counter() - begin
    name = what if what in BOOSTED else "lightgbm"
    rows_at_once = rows // OFFSETS if what == "live" else rows
    predicted = family(name).cost(params_of(name), rows_at_once, features).memory_gb
    return {
        "rows": rows,
        "cells": rows * features,
        "peak_gb": round(reading[0], 3),
        "predicted_gb": round(predicted, 3),
        "seconds": seconds,
        "first_tree_s": first[0] if first else seconds,  # CatBoost says nothing before its 20th
    }


def params_of(name: str) -> Any:
    """The example preset, with a few trees: memory is that of the first."""
    preset = yaml.safe_load(CONF.read_text())[name]["presets"]["example"]
    return family(name).params_type.model_validate(preset | {"n_estimators": N_TREES})


def fit(name: str, folder: Path, n_eras: int, store: Path, progress: Any) -> tuple[int, int]:
    """Our model on the first eras of the panel, bins through the store."""
    panel = open_panel(folder)
    train = panel.select(eras=panel.eras[:n_eras])
    model = family(name)(params_of(name), seed=0, threads=os.cpu_count() or 1)
    model.fit(train, None, TARGET, progress, FitContext(FoldStore(store)))
    return train.n_rows, len(train.feature_names)


def fit_by_offsets(folder: Path, n_eras: int, store: Path, progress: Any) -> tuple[int, int]:
    """The live fit as planned: by era offsets, one in memory at a time."""
    panel = open_panel(folder)
    recipe = Recipe(
        "lightgbm",
        family("lightgbm"),
        params_of("lightgbm"),
        (TARGET,),
        OFFSETS,
        OFFSETS,
        seed=0,
        threads=os.cpu_count() or 1,
    )
    fit_live(panel, (1, n_eras), recipe, FitRunner(FoldStore(store), progress=progress))
    return panel.n_rows, len(panel.feature_names)


def fit_plainly(path: Path, _: int, __: Path, progress: Any) -> tuple[int, int]:
    """Numerai's example: everything into pandas, then LGBMRegressor."""
    import lightgbm as lgb
    import pandas as pd

    frame = pd.read_parquet(path)
    features = [name for name in frame if str(name).startswith("feature")]
    model = lgb.LGBMRegressor(
        n_estimators=N_TREES,
        learning_rate=0.01,
        max_depth=5,
        num_leaves=31,
        colsample_bytree=0.1,
        verbosity=-1,
    )
    model.fit(frame[features], frame["target"], callbacks=[progress])
    return len(frame), len(features)


@contextlib.contextmanager
def peak() -> Iterator[list[float]]:
    """Read this process's unshared memory until the block ends."""
    reading, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_S):
            reading[0] = max(reading[0], unshared_gb(os.getpid()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield reading
    finally:
        over.set()
        thread.join()


def generate(folder: Path, n_eras: int, options: argparse.Namespace) -> Path:
    """A panel of random values, written era by era."""
    names = [f"feature_{number}" for number in range(options.features)]

    def eras() -> Iterator[EraRows]:
        rng = np.random.default_rng(0)
        for era in range(1, n_eras + 1):
            target = pa.array(rng.integers(0, 5, options.rows) / np.float32(4), pa.float32())
            yield EraRows(
                era=era,
                data_type="train",
                ids=pa.array([f"n{era:04d}{row:011d}" for row in range(options.rows)]),
                features=FeatureBlock.of(names, values(rng, options)),
                targets=pa.record_batch([target], names=[TARGET]),
            )

    write_panel(folder, eras())
    return folder


def values(rng: np.random.Generator, options: argparse.Namespace) -> np.ndarray:
    """int8[n_rows, n_features] of five values with nearly equal shares, at memory speed."""
    raw = np.frombuffer(rng.bytes(options.rows * options.features), dtype=np.uint8)
    return (raw % 5).astype(np.int8).reshape(options.rows, options.features)


def generate_parquet(path: Path, n_eras: int, options: argparse.Namespace) -> Path:
    """The same as a parquet file, for the plain way."""
    rng = np.random.default_rng(0)
    with contextlib.ExitStack() as stack:
        writer = None
        for _ in range(n_eras):
            block = values(rng, options)
            columns = {f"feature_{k}": block[:, k] for k in range(options.features)}
            target = rng.integers(0, 5, options.rows) / np.float32(4)
            table = pa.table(columns | {"target": target.astype(np.float32)})
            writer = writer or stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)
    return path


if __name__ == "__main__":
    main()
