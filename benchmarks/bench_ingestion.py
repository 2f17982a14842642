"""Parquet to EraPanel: time against decoding alone and against pandas, memory, and reading back.

    python benchmarks/bench_ingestion.py              3,555 features x 100 eras x 5,000 rows
    python benchmarks/bench_ingestion.py --eras 4 --rows 300 --features 50 --pairs 2

Every run is a process of its own, A and B in turn; ratios are of neighbours, the median with its
quartiles is printed. Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from numerai_kedro.data import open_panel, write_panel
from numerai_kedro.data.convert import BATCH_ROWS, ParquetEras
from peak_memory import Peak

TARGETS = ["target_ender_20", "target_ender_60"]
N_COLUMNS_READ = 100


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eras", type=int, default=100)
    parser.add_argument("--rows", type=int, default=5_000, help="of an era")
    parser.add_argument("--features", type=int, default=3_555)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "PARQUET", "PANEL"))
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_run(*options.one)))
        return
    with tempfile.TemporaryDirectory(prefix="bench_ingestion") as folder:
        print(json.dumps(measure(Path(folder), options)))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Compare for small row groups and for one large one; the worse figure counts."""
    cells = options.eras * options.rows * options.features
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"pyarrow {pa.__version__}; {cells / 1e6:,.0f} million cells\n"
    )
    print(
        f"{'row groups of':>14} {'decode s':>9} {'ours s':>7} {'rows/s':>9} "
        f"{'ours/decode':>20} {'pandas/decode':>14} {'peak GB':>8}"
    )
    results = []
    for group_rows in (10 * options.rows, options.eras * options.rows):
        parquet = generate(folder, options, group_rows)
        results.append(compare(parquet, folder / "panel", options, group_rows))
        if group_rows == 10 * options.rows:
            reads = run("read", parquet, folder / "panel")
        parquet.unlink()
        shutil.rmtree(folder / "panel")
    print(
        f"\none era: panel {1e3 * reads['panel_era_s']:.1f} ms, parquet "
        f"{1e3 * reads['parquet_era_s']:.0f} ms; {N_COLUMNS_READ} features of all eras: panel "
        f"{reads['panel_columns_s']:.2f} s, parquet {reads['parquet_columns_s']:.2f} s\n"
    )
    return {
        "time_over_decode": max(r["time_over_decode"] for r in results),
        "pandas_over_decode": min(r["pandas_over_decode"] for r in results),
        "peak_unshared_gb": max(r["peak_gb"] for r in results),
        "era_read_speedup": round(reads["parquet_era_s"] / reads["panel_era_s"], 1),
        "columns_read_speedup": round(reads["parquet_columns_s"] / reads["panel_columns_s"], 1),
    }


def compare(
    parquet: Path, panel: Path, options: argparse.Namespace, group_rows: int
) -> dict[str, float]:
    """Interleave decoding and converting; pandas once at the end."""
    decode, ours, ratios = [], [], []
    for _ in range(options.pairs):
        decode.append(run("decode", parquet, panel)["seconds"])
        shutil.rmtree(panel, ignore_errors=True)
        ours.append(run("ours", parquet, panel))
        ratios.append(ours[-1]["seconds"] / decode[-1])
    pandas = run("pandas", parquet, panel)["seconds"] / run("decode", parquet, panel)["seconds"]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    peak = max(r["peak_gb"] for r in ours)
    seconds = statistics.median(r["seconds"] for r in ours)
    print(
        f"{group_rows:>14,} {statistics.median(decode):>9.2f} {seconds:>7.2f} "
        f"{options.eras * options.rows / seconds:>9,.0f} "
        f"{middle:>6.2f} [{low:.2f}, {high:.2f}] {pandas:>14.2f} {peak:>8.2f}",
        flush=True,
    )
    return {
        "time_over_decode": round(middle, 3),
        "pandas_over_decode": round(pandas, 2),
        "peak_gb": round(peak, 3),
    }


def run(what: str, parquet: Path, panel: Path) -> dict[str, float]:
    """One measurement in a fresh process."""
    command = [sys.executable, __file__, "--one", what, str(parquet), str(panel)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def one_run(what: str, parquet: str, panel: str) -> dict[str, float]:
    """Time one task, with the peak of unshared memory of the whole process."""
    if what == "read":
        return read_back(Path(parquet), Path(panel))
    work = {"decode": decode, "ours": convert, "pandas": with_pandas}[what]
    peak = Peak()
    with peak:
        begin = time.perf_counter()
        work(Path(parquet), Path(panel))
        seconds = time.perf_counter() - begin
    return {"seconds": seconds, "peak_gb": peak.bytes / 2**30}


def decode(parquet: Path, panel: Path) -> None:
    """Decode every column and throw it away."""
    file = pq.ParquetFile(parquet, memory_map=True, pre_buffer=False)
    for _ in file.iter_batches(BATCH_ROWS):
        pass


def convert(parquet: Path, panel: Path) -> None:
    """Ours: checked, digested, on disk."""
    write_panel(panel, source(parquet))


def with_pandas(parquet: Path, panel: Path) -> None:
    """The plain way: a frame, and its matrix in a file."""
    import pandas as pd

    frame = pd.read_parquet(parquet)
    names = [name for name in frame if name.startswith("feature")]
    with (panel.parent / "pandas.i8").open("wb") as handle:
        frame[names].to_numpy().tofile(handle)
        handle.flush()
        os.fsync(handle.fileno())
    (panel.parent / "pandas.i8").unlink()


def source(parquet: Path) -> ParquetEras:
    """All features and targets of the generated file."""
    names = pq.read_schema(parquet).names
    features = [name for name in names if name.startswith("feature")]
    return ParquetEras([parquet], features, TARGETS, parse_era=int)


def read_back(parquet: Path, panel: Path) -> dict[str, float]:
    """Read one era, and some features of all eras, from both."""
    opened = open_panel(panel)
    era = int(opened.eras[len(opened.eras) // 2])
    names = opened.feature_names
    some = names[:: max(1, len(names) // N_COLUMNS_READ)][:N_COLUMNS_READ]
    opened.features(era)  # the first touch verifies the digest
    return {
        "panel_era_s": best_of(9, lambda: opened.features(era).sum(dtype=np.int64)),
        "parquet_era_s": best_of(3, lambda: parquet_era(parquet, era, names)),
        "panel_columns_s": best_of(3, lambda: panel_columns(panel, some)),
        "parquet_columns_s": best_of(3, lambda: matrix_sum(pq.read_table(parquet, columns=some))),
    }


def parquet_era(parquet: Path, era: int, names: list[str]) -> int:
    """An era by its row group's statistics, as a reader of parquet would."""
    filters = [("era", "=", f"{era:04d}")]
    return matrix_sum(pq.read_table(parquet, columns=names, filters=filters))


def panel_columns(panel: Path, names: list[str]) -> int:
    """Some features of every era of a panel opened anew."""
    opened = open_panel(panel).select(features=names)
    return sum(int(opened.features(int(era)).sum(dtype=np.int64)) for era in opened.eras)


def matrix_sum(table: pa.Table) -> int:
    """Touch every value."""
    return sum(int(np.sum(column.to_numpy(), dtype=np.int64)) for column in table.columns)


def best_of(n: int, work: Callable[[], object]) -> float:
    """Shortest of n runs, in seconds."""
    times = []
    for _ in range(n):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def generate(folder: Path, options: argparse.Namespace, group_rows: int) -> Path:
    """Stream a file like Numerai's: int8 in five equal bins, dictionary-encoded, zstd."""
    path = folder / f"train-{group_rows}.parquet"
    names = [f"feature_{k:04d}" for k in range(options.features)]
    fields = [("era", pa.string()), ("id", pa.string())]
    fields += [(name, pa.int8()) for name in names] + [(name, pa.float32()) for name in TARGETS]
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, pa.schema(fields), compression="zstd") as writer:
        eras_a_group = max(1, group_rows // options.rows)
        for first in range(1, options.eras + 1, eras_a_group):
            eras = range(first, min(first + eras_a_group, options.eras + 1))
            batches = [era_batch(era, options, rng, pa.schema(fields)) for era in eras]
            writer.write_table(pa.Table.from_batches(batches), row_group_size=group_rows)
    return path


def era_batch(
    era: int, options: argparse.Namespace, rng: np.random.Generator, schema: pa.Schema
) -> pa.RecordBatch:
    """One era of random features and targets."""
    features = rng.integers(0, 5, size=(options.features, options.rows), dtype=np.int8)
    target = rng.choice(np.array([0, 0.25, 0.5, 0.75, 1], np.float32), size=options.rows)
    columns = [
        pa.array([f"{era:04d}"] * options.rows),
        pa.array([f"n{era:05d}{row:010d}" for row in range(options.rows)]),
        *[pa.array(row) for row in features],
        *[pa.array(target)] * len(TARGETS),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


if __name__ == "__main__":
    main()
