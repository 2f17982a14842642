"""How long `submit` takes at the real tournament's size, beside the network and Kedro's own start.

    python benchmarks/bench_submit.py                 6,500 live stocks x 3,555 features
    python benchmarks/bench_submit.py --rows 300 --features 50 --trees 20

The nodes of the pipeline themselves, on a generated live.parquet: parquet to panel, predictions of
the `example` preset and of a slice of `deep` (time per tree is constant, so 30,000 trees are
extrapolated from the slice), blend, gate, csv. Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from numerai_kedro.data import EraPanel, open_panel, write_panel
from numerai_kedro.data.convert import ParquetEras
from numerai_kedro.files.trusted_pickle import read_trusted, write_trusted
from numerai_kedro.gate.checks import GateParams, live_checks
from numerai_kedro.models.lightgbm import LightGBM, LightGBMParams
from numerai_kedro.numerai.submission import csv_of_ranks
from numerai_kedro.pipelines.ensemble.nodes import blend_live
from numerai_kedro.training.walk_forward import predictions_frame

TARGET = "target_ender_60"
DEEP_TREES, DEEP_LEAVES = 30_000, 1024
DOWNLOAD_BYTES_PER_S = 2e6  # a poor line: 16 Mbit/s
GATE_CONF = Path(__file__).parents[1] / "conf" / "base" / "parameters_backtest.yml"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=6_500)
    parser.add_argument("--features", type=int, default=3_555)
    parser.add_argument("--trees", type=int, default=2_000)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory(prefix="bench_submit") as folder:
        print(json.dumps(measure(Path(folder), options)))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Time each step once; returns seconds."""
    features = [f"f{number}" for number in range(options.features)]
    live = generate(folder / "live.parquet", options.rows, features)
    source = ParquetEras([live], features, [TARGET], lambda text: 1)
    seconds: dict[str, float] = {"download": live.stat().st_size / DOWNLOAD_BYTES_PER_S}
    timed(seconds, "panel", lambda: write_panel(folder / "live", source))
    panel = open_panel(folder / "live")
    example = fitted(folder / "example", panel, options.trees, 31, 5)
    slice_ = fitted(folder / "deep", panel, max(1, options.trees // 20), DEEP_LEAVES, 10)
    frame = timed(seconds, "example", lambda: predict(example, panel))
    timed(seconds, "deep", lambda: predict(slice_, panel))
    seconds["deep"] *= DEEP_TREES / max(1, options.trees // 20)
    weights = pd.DataFrame({"era": 1, "model": ["a", "b"], "weight": 0.5, "chosen": True})
    plain = {"features": [], "proportion": 0.0}
    folds: Any = None  # read only where something is neutralised
    blended = timed(
        seconds, "blend", lambda: blend_live(weights, plain, panel, folds, None, a=frame, b=frame)
    )
    predictions = blended["prediction"].to_numpy()
    gate = GateParams.model_validate(yaml.safe_load(GATE_CONF.read_text())["gate"])
    timed(seconds, "gate", lambda: live_checks(predictions, panel.features(1), gate))
    timed(seconds, "csv", lambda: csv_of_ranks(blended))
    for name, value in seconds.items():
        print(f"{name:>10} {value:8.2f} s")
    return {f"{name}_s": round(value, 2) for name, value in seconds.items()} | {
        "submit_s": round(sum(seconds.values()), 1)
    }


def timed(seconds: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Do the work, and note its time."""
    begin = time.perf_counter()
    result = work()
    seconds[name] = time.perf_counter() - begin
    return result


def generate(path: Path, n_rows: int, features: list[str]) -> Path:
    """A live file, with a target to fit on."""
    rng = np.random.default_rng(0)
    columns = {name: pa.array(rng.integers(0, 5, n_rows, dtype=np.int8)) for name in features}
    columns[TARGET] = pa.array(rng.integers(0, 5, n_rows) / np.float32(4), pa.float32())
    ids = {"id": [f"n{number:015x}" for number in range(n_rows)], "era": ["X"] * n_rows}
    pq.write_table(pa.table(ids | columns), path, compression="zstd")
    return path


def fitted(folder: Path, panel: EraPanel, n_trees: int, n_leaves: int, depth: int) -> Path:
    """Store a model of this shape; its predictions do not matter."""
    params = LightGBMParams(
        n_estimators=n_trees,
        num_leaves=n_leaves,
        max_depth=depth,
        learning_rate=0.01,
        colsample_bytree=0.1,
        min_data_in_leaf=1,
        lambda_l2=0.0,
        path_smooth=0.0,
        strength=0.0,
    )
    model = LightGBM(params, seed=0, threads=os.cpu_count() or 1)
    write_trusted(folder, model.fit(panel, None, TARGET))
    return folder


def predict(folder: Path, panel: EraPanel) -> pd.DataFrame:
    """Read a model and predict the live stocks, as `predict_live` does."""
    return predictions_frame([read_trusted(folder)], panel)


if __name__ == "__main__":
    main()
