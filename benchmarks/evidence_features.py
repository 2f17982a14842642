"""Claim: what verdicts on features, and latents, are worth to LightGBM and TabM.

    make evidence NAME=features        resumable seed by seed; docs/evidence/features.json

Claim seeds 1000-1009, the default demo. Each model at its preset predicts the test period out of
fold, as the pipeline does it, once for each use of the verdicts, and with latents beside all
features. CORR, BMC and payoff are means over its 120 eras; every difference to all features is
paired by seed, with a t interval over seeds. Minutes are those of one core for the folds, whatever
else the machine does; columns are the bytes that a row takes in memory. The table stands
on every user's dashboard.
"""

from __future__ import annotations

import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from claim_seeds import Table, demo_project, interval, kedro, parser, run_seeds
from numerai_kedro.data import open_panel
from numerai_kedro.data.folds import Folds
from numerai_kedro.numerai.schema import benchmark_of
from numerai_kedro.training.engineered import DROPPED, window_name
from numerai_kedro.training.tuning.objective import era_scores

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "features.json"
SEEDS = range(1000, 1010)
PIPELINES = {"lightgbm": "gbm", "tabm": "deep_learning"}
PLAIN = "keep_all"
USES = {
    PLAIN: "",
    "drop_unstable": "features=[drop_unstable]",
    "keep_confirmed": "features=[keep_confirmed]",
    "weigh": "features=[weigh]",
    "latents": "features=[latents]",
}
SCORES = ("corr", "bmc", "payoff")


def main() -> None:
    """Run what is missing, then compare."""
    options = parser(__doc__ or "", "demo", SEEDS, RESULT).parse_args()
    run_seed = lambda folder, seed: one_seed(folder, options.size, seed)  # noqa: E731 - called there
    run_seeds(options, run_seed, concluded, page)


def one_seed(folder: Path, size: str, seed: int) -> dict[str, dict[str, float]]:
    """Scores, minutes and columns of each model and use on the test period of one world."""
    demo_project(folder, size, seed)
    kedro(folder, "run", "--pipeline=feature_engineering")
    (data,) = (path.parent for path in folder.glob("data/*/02_intermediate"))
    results: dict[str, dict[str, float]] = {}
    for model, pipeline in PIPELINES.items():
        for use, option in USES.items():
            columns = columns_of(data, use)
            if use in DROPPED and columns == columns_of(data, PLAIN):
                results[f"{model} {use}"] = results[f"{model} {PLAIN}"]  # nothing was dropped
                continue
            # Each fit is computed anew, so that its minutes can be measured.
            for part in ("models", "predictions"):
                shutil.rmtree(data / "06_models" / "fold_store" / part, ignore_errors=True)
            parameters = [f"{model}.n_trials=0", *([f"{model}.{option}"] if option else [])]
            nodes = f"--to-nodes={model}.walk_forward"
            begin = core_minutes()
            kedro(
                folder, "run", f"--pipeline={pipeline}", nodes, f"--params={','.join(parameters)}"
            )
            minutes = {"minutes": core_minutes() - begin}
            results[f"{model} {use}"] = scores_of(data, model) | columns | minutes
    return results


def core_minutes() -> float:
    """Core minutes of all commands so far, with all their processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) / 60


def scores_of(data: Path, model: str) -> dict[str, float]:
    """Means over the test eras."""
    folds = Folds.model_validate_json((data / "02_intermediate" / "folds.json").read_text())
    target = folds.paid_target
    panel = open_panel(data / "02_intermediate" / "history_panel")
    first, last = folds.periods.test
    holdout = panel.select(eras=np.arange(first, last + 1))
    benchmarks = pd.read_parquet(data / "02_intermediate" / "benchmark_predictions.parquet")
    benchmark = benchmark_of(benchmarks, target).reindex(holdout.ids()).to_numpy(dtype=np.float64)
    oof = pd.read_parquet(data / "07_model_output" / model / "oof_predictions.parquet")
    column = oof.set_index("id")["prediction"].reindex(holdout.ids()).to_numpy(dtype=np.float64)
    scores = era_scores(holdout, column, benchmark, target)
    return {
        "corr": float(np.nanmean(scores.corr)),
        "bmc": float(np.nanmean(scores.bmc)),
        "payoff": float(np.nanmean(scores.payoff(3.0, 15.0))),
    }


def columns_of(data: Path, use: str) -> dict[str, float]:
    """Columns that a fold learns, on average over the test folds."""
    folds = Folds.model_validate_json((data / "02_intermediate" / "folds.json").read_text())
    counts = []
    for fold in folds.test:
        name = window_name(fold.train[1])
        report = pd.read_parquet(data / "04_feature" / "feature_report" / f"{name}.parquet")
        n_columns = len(report)
        if use in DROPPED:
            n_columns -= int(report["verdict"].isin(list(DROPPED[use])).sum())
        if use == "latents":
            n_columns += len(open_panel(data / "04_feature" / "latent_panel" / name).feature_names)
        counts.append(n_columns or len(report))
    return {"columns": float(np.mean(counts))}


def concluded(seeds: dict[str, Any]) -> dict[str, Any]:
    """Every use beside all features, paired by seed."""
    runs, rows = list(seeds.values()), []
    for model in PIPELINES:
        for use in USES:
            mine, plain = ([run[f"{model} {name}"] for run in runs] for name in (use, PLAIN))
            differences = {
                score: interval([a[score] - b[score] for a, b in zip(mine, plain, strict=True)])
                for score in (*SCORES, "minutes", "columns")
            }
            levels = {"level": interval([run["corr"] for run in mine])}
            rows.append({"model": model, "use": use, "seeds": len(runs), **levels, **differences})
    return {"table": rows}


def page(result: dict[str, Any]) -> Table:
    """CORR of every model and use, and its gain over all features."""
    titles = ("model", "learns from", "CORR", "gain in CORR", "in BMC", "in payoff")
    units = ("core minutes", "bytes a row")
    names = ("model", "use", "level", *SCORES, "minutes", "columns")
    rows = [[row[name] for name in names] for row in result["table"]]
    text = f"Means over {len(result['seeds'])} demo tournaments, gains paired with all features."
    return Table(
        title="What verdicts and latents are worth", heads=(*titles, *units), rows=rows, said=text
    )


if __name__ == "__main__":
    main()
