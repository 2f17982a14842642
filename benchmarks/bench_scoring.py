"""Our scores against numerai-tools: 60 columns x 600 eras x 5,500 rows.

    python benchmarks/bench_scoring.py                    two minutes: the tools score a sample
    python benchmarks/bench_scoring.py --eras 20 --rows 300 --columns 5 --features 30 --sample 4

Eras are generated one after another, as they would be read. numerai-tools scores `--sample` of
them, in turn with ours on the same eras; the ratio is the median over rounds. Neutralising Gaussian
columns is timed beside the Gram matrices of the same features alone, as scores are made: an era a
core. Memory is the growth of unshared pages between a tenth of the eras and all. Last line: one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numerai_tools import scoring as tools

from numerai_kedro.compute.memory import unshared_gb
from numerai_kedro.metrics.fnc import Neutraliser, feature_scores
from numerai_kedro.metrics.ranks import gaussian_rank
from numerai_kedro.metrics.scoring import over_eras, rank_scores

SHARES = (0.05, 0.20, 0.50, 0.20, 0.05)
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
ROUNDS = 5
CHUNK = 10  # eras in memory at a time
NEUTRALISED = 8  # eras


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eras", type=int, default=600)
    parser.add_argument("--rows", type=int, default=5_500, help="of an era")
    parser.add_argument("--columns", type=int, default=60)
    parser.add_argument("--features", type=int, default=780)
    parser.add_argument("--sample", type=int, default=10, help="eras that numerai-tools scores")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # numerai-tools divides by zero in its own tests, too
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    figures = beside_the_tools(options) | neutralising(options) | all_eras(options)
    print(json.dumps(figures))


def beside_the_tools(options: argparse.Namespace) -> dict[str, float]:
    """Ratios of time on the same eras, and the largest difference."""
    n = options.sample
    predictions, target, meta = eras_of(0, n, options)
    starts = np.arange(n + 1) * options.rows
    ours: list[np.ndarray] = []

    def corr() -> None:
        ours[:] = [rank_scores(starts, predictions, target)]

    def both() -> None:
        ours[:] = [rank_scores(starts, predictions, target, [meta])]

    frames = [frames_of(predictions, target, meta, era, options) for era in range(n)]
    theirs: dict[str, list[Any]] = {}

    def their_corr() -> None:
        theirs["corr"] = [tools.numerai_corr(frame, label) for frame, label, _ in frames]

    def their_mmc() -> None:
        theirs["mmc"] = [
            tools.correlation_contribution(frame, other, label) for frame, label, other in frames
        ]

    rounds = [
        {task.__name__: seconds(task) for task in (corr, both, their_corr, their_mmc)}
        for _ in range(ROUNDS)
    ]
    expected = np.stack([np.stack(theirs[name]) for name in ("corr", "mmc")])
    difference = float(np.abs(ours[0] - expected).max())
    of = {name: statistics.median(timings[name] for timings in rounds) for name in rounds[0]}
    print(f"{n} eras: CORR {of['corr']:.2f} s, numerai-tools {of['their_corr']:.2f} s")
    print(f"{n} eras: CORR and MMC {of['both']:.2f} s, numerai-tools' MMC {of['their_mmc']:.2f} s")
    # MMC alone costs nearly as much as both.
    return {
        "corr_speedup": ratio(rounds, "their_corr", "corr"),
        "mmc_speedup": ratio(rounds, "their_mmc", "both"),
        "both_over_corr": ratio(rounds, "both", "corr"),
        "max_abs_diff": difference,
    }


def neutralising(options: argparse.Namespace) -> dict[str, float]:
    """Neutralising Gaussian columns over the Gram matrices alone, in float64, an era a core."""
    predictions, _, _ = eras_of(0, 1, options)
    columns = gaussian_rank(predictions)
    features = [features_of(era, options) for era in range(NEUTRALISED)]
    floats = [era.astype(np.float64) for era in features]

    def gram_of(era: int) -> None:
        floats[era].T @ floats[era]

    def neutralise_of(era: int) -> None:
        Neutraliser(features[era]).residuals(columns)

    singles = [era.astype(np.float32) for era in features]

    def single_gram_of(era: int) -> None:
        singles[era].T @ singles[era]

    def single_gram() -> None:
        list(over_eras(single_gram_of, range(NEUTRALISED)))

    def gram() -> None:
        list(over_eras(gram_of, range(NEUTRALISED)))

    def neutralise() -> None:
        list(over_eras(neutralise_of, range(NEUTRALISED)))

    rounds = [
        {task.__name__: seconds(task) for task in (gram, single_gram, neutralise)} for _ in range(9)
    ]
    of = {name: statistics.median(r[name] for r in rounds) / NEUTRALISED for name in rounds[0]}
    print(f"an era's Gram matrix {of['gram'] * 1e3:.0f} ms, ", end="")
    print(f"neutralising {of['neutralise'] * 1e3:.0f} ms")
    # Of five small integers the Gram matrix is exact in single precision, and ours is made so.
    return {
        "neutralise_over_gram": ratio(rounds, "neutralise", "gram"),
        "neutralise_over_single_gram": ratio(rounds, "neutralise", "single_gram"),
    }


def all_eras(options: argparse.Namespace) -> dict[str, float]:
    """Everything at full size, a few eras in memory at a time: seconds, and growth of memory."""
    memory, spent = [], 0.0
    for first in range(0, options.eras, CHUNK):
        n = min(CHUNK, options.eras - first)
        predictions, target, meta = eras_of(first, n, options)
        begin = time.perf_counter()
        rank_scores(np.arange(n + 1) * options.rows, predictions, target, [meta, meta])
        spent += time.perf_counter() - begin
        memory.append(unshared_gb(os.getpid()))
    early = max(memory[: max(1, len(memory) // 10)])
    n = min(CHUNK, options.eras)
    predictions, target, _ = eras_of(0, n, options)
    begin = time.perf_counter()
    feature_scores(
        np.arange(n + 1) * options.rows, predictions, target, lambda era: features_of(era, options)
    )
    fnc = (time.perf_counter() - begin) / n * options.eras
    print(
        f"{options.eras} eras: CORR, MMC and BMC {spent:.1f} s; FNC and exposure about {fnc:.0f} s"
    )
    return {
        "all_s": round(spent, 1),
        "fnc_s": round(fnc),
        "growth_gb": round(max(memory) - early, 3),
    }


def eras_of(
    first: int, n: int, options: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, target and meta model of some eras."""
    rng = np.random.default_rng(first)
    n_rows = n * options.rows
    target = rng.choice(LEVELS, size=n_rows, p=SHARES)
    predictions = rng.normal(size=(n_rows, options.columns)) + 0.05 * target[:, None]
    return predictions, target, rng.normal(size=n_rows) + 0.1 * target


def features_of(era: int, options: argparse.Namespace) -> np.ndarray:
    """int8[n_rows, n_features] of five values."""
    raw = np.random.default_rng([9, era]).bytes(options.rows * options.features)
    values = np.frombuffer(raw, dtype=np.uint8).reshape(options.rows, options.features)
    return (values % 5).astype(np.int8)


def frames_of(
    predictions: np.ndarray, target: np.ndarray, meta: np.ndarray, era: int, options: Any
) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """One era as numerai-tools wants it."""
    rows = slice(era * options.rows, (era + 1) * options.rows)
    ids = [f"n{row:07d}" for row in range(options.rows)]
    names = [f"model_{column}" for column in range(options.columns)]
    return (
        pd.DataFrame(predictions[rows], index=ids, columns=names),
        pd.Series(target[rows], index=ids, name="target"),
        pd.Series(meta[rows], index=ids, name="meta"),
    )


def seconds(task: Callable[[], None]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    task()
    return time.perf_counter() - begin


def ratio(rounds: list[dict[str, float]], over: str, under: str) -> float:
    """Median over rounds of the ratio of two tasks' times."""
    return round(statistics.median(timings[over] / timings[under] for timings in rounds), 3)


if __name__ == "__main__":
    main()
