"""Claim: networks earn CORR on the demo, and a blend with LightGBM more than LightGBM alone.

    make evidence NAME=networks        resumable seed by seed; docs/evidence/networks.json

Claim seeds 1000-1004, the default demo. The three networks at their CPU presets, and LightGBM as
its study chose it (8 trials on the validation period), predict the test period out of fold, as the
pipeline does it. CORR and BMC are means over its 120 eras; every difference is paired by seed, with
a t interval over seeds. The blend has equal weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from claim_seeds import demo_project, interval, kedro, parser, run_seeds
from numerai_kedro.data import open_panel
from numerai_kedro.ensemble.blending import blend
from numerai_kedro.models.registry import NETWORKS
from numerai_kedro.numerai.schema import benchmark_of
from numerai_kedro.training.tuning.objective import era_scores

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "networks.json"
SEEDS = range(1000, 1005)
TREES = "lightgbm"
BLENDS = {
    "tabm + transformer + lightgbm": ("tabm", "transformer", TREES),
    "all four": (*NETWORKS, TREES),
}
WANTED_SHARE = 0.95  # of LightGBM's CORR that TabM should have


def main() -> None:
    """Run what is missing, then compare."""
    options = parser(__doc__, "demo", SEEDS, RESULT).parse_args()
    run_seeds(options, lambda folder, seed: one_seed(folder, options.size, seed), concluded)


def one_seed(folder: Path, size: str, seed: int) -> dict[str, dict[str, float]]:
    """Mean CORR and BMC of every model and blend on the test period of one world."""
    demo_project(folder, size, seed)
    kedro(folder, "run", "--pipeline=gbm", f"--to-nodes={TREES}.walk_forward")
    for name in NETWORKS:
        command = ("run", "--pipeline=deep_learning", f"--to-nodes={name}.walk_forward")
        kedro(folder, *command, f"--params={name}.n_trials=0")
    (data,) = (path.parent for path in folder.glob("data/*/02_intermediate"))
    return scores_of(data)


def scores_of(data: Path) -> dict[str, dict[str, float]]:
    """Read predictions and score them."""
    folds = json.loads((data / "02_intermediate" / "folds.json").read_text())
    target = folds["paid_target"]
    panel = open_panel(data / "02_intermediate" / "history_panel")
    first, last = folds["periods"]["test"]
    holdout = panel.select(eras=np.arange(first, last + 1))
    benchmarks = pd.read_parquet(data / "02_intermediate" / "benchmark_predictions.parquet")
    benchmark = benchmark_of(benchmarks, target).reindex(holdout.ids()).to_numpy(dtype=np.float64)
    columns = {
        name: pd.read_parquet(data / "07_model_output" / name / "oof_predictions.parquet")
        .set_index("id")["prediction"]
        .reindex(holdout.ids())
        .to_numpy(dtype=np.float64)
        for name in (*NETWORKS, TREES)
    }
    for title, names in BLENDS.items():
        table = np.column_stack([columns[name] for name in names])
        columns[title] = blend(table, np.ones(len(names)), holdout.era_starts)
    results = {}
    for name, column in columns.items():
        scores = era_scores(holdout, column, benchmark, target)
        results[name] = {
            "corr": float(np.nanmean(scores.corr)),
            "bmc": float(np.nanmean(scores.bmc)),
            "payoff": float(np.nanmean(scores.payoff(3.0, 15.0))),
        }
    return results


def concluded(seeds: dict[str, Any]) -> dict[str, Any]:
    """What each network earns by itself, and beside LightGBM."""
    runs = list(seeds.values())
    result: dict[str, Any] = {"corr": {}, "earns": {}, "gains": {}}
    for name in runs[0]:
        values = [run[name]["corr"] for run in runs]
        result["corr"][name] = interval(values)
        if name in NETWORKS and len(values) > 1:
            errors = float(np.mean(values) / stats.sem(values))
            verdict = "beats" if errors > 2 else "earns nothing sure: does not beat"
            result["earns"][name] = f"{verdict} CORR 0 by two standard errors ({errors:.1f})"
    for title in BLENDS:
        for score in ("corr", "payoff"):
            differences = [run[title][score] - run[TREES][score] for run in runs]
            result["gains"][f"{title} - lightgbm, {score}"] = interval(differences)
    shares = [run["tabm"]["corr"] / run[TREES]["corr"] for run in runs]
    result["tabm as a share of lightgbm"] = f"{interval(shares)}, wanted {WANTED_SHARE}"
    return result


if __name__ == "__main__":
    main()
