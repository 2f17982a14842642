"""Overhead of our fit over LightGBM alone, and of a trial over its fits.

    python benchmarks/bench_gbm_overhead.py                      six pairs of about 50 s
    python benchmarks/bench_gbm_overhead.py --trees 20 --pairs 1 --eras 30 --rows 50

A: our model through the worker, its child process included. B: `lightgbm.train` on the same binned
file with the same parameters. Both run in processes of their own and take turns; ratios are of
consecutive runs, median and quartiles are printed. The overhead does not grow with the fit, so that
the ratio of a fit of 200 s follows from the seconds. A trial's overhead is its share of time
outside `lightgbm.train`; rows are binned once a fold, by an earlier trial, and that is given in
seconds. Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute.isolation import Worker
from numerai_kedro.data import EraRows, FeatureBlock, open_panel, write_panel
from numerai_kedro.data.folds import Fold, Folds, Periods
from numerai_kedro.models.lightgbm import DATASET_PARAMS, LightGBM, LightGBMParams
from numerai_kedro.models.registry import family
from numerai_kedro.training.adaptive import AdaptiveParams
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.tuning.context import Search, TuningContext, TuningParams, Weights
from numerai_kedro.training.tuning.decide import tune
from numerai_kedro.training.tuning.space import Range
from numerai_kedro.training.tuning.store import StudyStore
from numerai_kedro.training.walk_forward import fit_live

TARGET = "target_ender_60"
N_FEATURES = 160
EQUIVALENT_S = 200.0
N_TRIALS = 8
PURGE = 16


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eras", type=int, default=400)
    parser.add_argument("--rows", type=int, default=800, help="of an era")
    parser.add_argument("--trees", type=int, default=2_000)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--one", nargs=4, metavar=("WHAT", "PANEL", "STORE", "TREES"))
    options = parser.parse_args()
    if options.one:
        what, panel, store, trees = options.one
        {"ours": ours, "bare": bare}[what](Path(panel), Path(store), int(trees))
        return
    with tempfile.TemporaryDirectory(prefix="bench_gbm_overhead") as folder:
        print(json.dumps(measure(Path(folder), options)))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Pairs of fits, then a study."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    panel = generate(folder / "panel", options)
    store = folder / "store"
    run("ours", panel, store, 1)  # bins the data once, for both
    ratios, added = [], []
    for number in range(options.pairs):
        order = ("ours", "bare") if number % 2 else ("bare", "ours")
        seconds = {what: run(what, panel, store, options.trees + number) for what in order}
        ratios.append(seconds["ours"] / seconds["bare"])
        added.append(seconds["ours"] - seconds["bare"])
        print(f"ours {seconds['ours']:7.1f} s   bare {seconds['bare']:7.1f} s", flush=True)
    share, binning_s, built, folds = study(folder / "study", panel, options)
    low, middle, high = quartiles(ratios)
    print(
        f"\nours/bare {middle:.3f} [{low:.3f}, {high:.3f}]; added {statistics.median(added):.2f} s"
    )
    print(
        f"trial: {share:.1%} outside lightgbm.train; {built} binned sets for {folds} folds, "
        f"{binning_s / folds:.2f} s each"
    )
    return {
        "fit_over_bare": round(1 + statistics.median(added) / EQUIVALENT_S, 4),
        "fit_over_bare_as_measured": round(middle, 4),
        "added_s": round(statistics.median(added), 3),
        "trial_overhead_share": round(share, 4),
        "binned_sets_per_fold": built / folds,
        "binning_s_per_fold": round(binning_s / folds, 3),
    }


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def run(what: str, panel: Path, store: Path, trees: int) -> float:
    """Seconds of one process from its first line on, imports aside."""
    command = [sys.executable, __file__, "--one", what, str(panel), str(store), str(trees)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def params_of(trees: int) -> LightGBMParams:
    """The example preset, with another number of trees a pair: nothing comes from the store."""
    return LightGBMParams(
        n_estimators=trees,
        learning_rate=0.01,
        max_depth=5,
        num_leaves=31,
        colsample_bytree=0.1,
        min_data_in_leaf=20,
        lambda_l2=0.0,
        path_smooth=0.0,
        strength=0.0,
    )


def ours(folder: Path, store: Path, trees: int) -> None:
    """The live fit of the pipeline, in its child process."""
    import lightgbm  # noqa: F401 - what both sides import is not timed

    begin = time.perf_counter()
    panel = open_panel(folder)
    threads = os.cpu_count() or 1
    recipe = Recipe(
        "lightgbm", family("lightgbm"), params_of(trees), (TARGET,), 1, 1, 0, threads=threads
    )
    with Worker("lightgbm") as worker:
        fit_live(panel, (1, 10_000), recipe, FitRunner(FoldStore(store), worker))
    print(time.perf_counter() - begin)


def bare(folder: Path, store: Path, trees: int) -> None:
    """LightGBM on the same binned file."""
    import lightgbm as lgb

    begin = time.perf_counter()
    (content,) = (store / "binned").glob("*/content")
    data = lgb.Dataset(content, params=DATASET_PARAMS).construct()
    data.set_label(open_panel(folder).target(TARGET))
    params = LightGBM(params_of(trees), seed=0, threads=os.cpu_count() or 1)._training_params(
        os.cpu_count() or 1, n_rows=0
    )
    lgb.train(params, data, num_boost_round=trees)
    print(time.perf_counter() - begin)


def study(
    folder: Path, panel_folder: Path, options: argparse.Namespace
) -> tuple[float, float, int, int]:
    """Share of trials outside `lightgbm.train`; seconds of binning, binned sets, and folds."""
    import lightgbm as lgb

    spent, train = [0.0], lgb.train

    def timed(*arguments: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        try:
            return train(*arguments, **options)
        finally:
            spent[0] += time.perf_counter() - begin

    panel = open_panel(panel_folder)
    last = options.eras
    cuts = [last - 75, last - 50, last - 25] if last > 100 else [last - 9, last - 6, last - 3]
    width = cuts[1] - cuts[0]
    purge = PURGE if last > 100 else 1
    folds = Folds(
        size="simulated",
        target=TARGET,
        paid_target=TARGET,
        features=panel.feature_names,
        neutral_features=[],
        groups=[],
        purge_eras=purge,
        valid_eras=0,
        refit_eras=10,
        test_fold_eras=10,
        history=(1, last + 40),
        periods=Periods(
            warm_up=(1, cuts[0] - purge - 1),
            validation=(cuts[0], last),
            test=(last + 40, last + 40),
        ),
        resolved_to={},
        validation=[
            Fold(f"tuning-{k}", (1, cut - purge - 1), (cut, cut + width - 1))
            for k, cut in enumerate(cuts)
        ],
        test=[],
        live_fit=(1, last),
    )
    ids = panel.ids()
    benchmark = pd.Series(np.random.default_rng(1).random(len(ids)), index=ids)
    params, threads = params_of(options.trees), os.cpu_count() or 1
    recipe = Recipe("lightgbm", family("lightgbm"), params, (TARGET,), 1, 1, 0, threads=threads)
    space = {"num_leaves": Range(low=7, high=63, log=True)}
    tuning = TuningParams(
        low_fidelity_stride=1,
        low_fidelity_trees=200,
        risk_aversion=1.0,
        adopt_level=0.95,
        max_overfitting=0.7,
        retune_weeks=13,
        weights=Weights(corr=3, mmc=15),
        seed=0,
        adaptive=AdaptiveParams.model_validate(
            {
                "rungs": 1,
                "valid_eras": 1,
                "target_gap": 0.5,
                "rate": 0.6,
                "low_fidelity_stride": 1,
                "low_fidelity_trees": 1,
            }
        ),
    )
    lgb.train = timed
    context = TuningContext(panel, folds, benchmark, (3.0, 15.0), 12)
    store, studies = FoldStore(folder / "store"), StudyStore(folder / "studies")
    outside, in_all = [], []
    first = params.model_copy(update={"max_depth": 4})
    for point, n_trials in ((first, 1), (params, N_TRIALS)):
        search = Search(recipe.with_params(point), {"example": point}, space, n_trials)
        spent[0], begin = 0.0, time.perf_counter()
        tune(search, context, tuning, FitRunner(store), studies)
        in_all.append(time.perf_counter() - begin)
        outside.append(in_all[-1] - spent[0])
    lgb.train = train
    binning_s = outside[0] - outside[1] / N_TRIALS
    built = len(list((folder / "store" / "binned").glob("*")))
    return outside[1] / in_all[1], binning_s, built, len(cuts)


def generate(folder: Path, options: argparse.Namespace) -> Path:
    """A panel of random values, whose target depends on the first feature."""
    names = [f"feature_{number}" for number in range(N_FEATURES)]

    def eras() -> Iterator[EraRows]:
        rng = np.random.default_rng(0)
        for era in range(1, options.eras + 1):
            values = rng.integers(0, 5, (options.rows, N_FEATURES), dtype=np.int8)
            target = (values[:, 0] + rng.integers(0, 5, options.rows)) / np.float32(8)
            yield EraRows(
                era=era,
                data_type="train",
                ids=pa.array([f"n{era:04d}{row:011d}" for row in range(options.rows)]),
                features=FeatureBlock.of(names, values),
                targets=pa.record_batch([pa.array(target, pa.float32())], names=[TARGET]),
            )

    write_panel(folder, eras())
    return folder


if __name__ == "__main__":
    main()
