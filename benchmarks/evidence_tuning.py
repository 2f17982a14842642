"""Claim: tuned trees are not worse than Numerai's example parameters.

    make evidence NAME=tuning        resumable seed by seed; docs/evidence/tuning.json is the result

Claim seeds 1000-1009, size `evidence`, 60 trials a family, as the pipeline runs them. Three models
of each family predict the test period, which no trial has seen: the example parameters, what the
procedure chose (the example, unless the gain on the validation period was significant), and the
best trial, adopted or not. Differences to the example are paired by seed, with t intervals over
seeds.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from claim_seeds import demo_project, interval, kedro, parser, run_seeds
from numerai_kedro.data import open_panel
from numerai_kedro.numerai.schema import benchmark_of
from numerai_kedro.training.tuning.objective import era_scores

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "tuning.json"
SEEDS = range(1000, 1010)
FAMILIES = ("lightgbm", "catboost", "xgboost")


def main() -> None:
    """Run what is missing, then compare."""
    cli = parser(__doc__, "evidence", SEEDS, RESULT)
    cli.add_argument("--trials", type=int, default=60)
    options = cli.parse_args()
    run_seeds(
        options,
        lambda folder, seed: one_seed(folder, options.size, seed, options.trials),
        lambda seeds: {
            "n_trials": options.trials,
            "gains": {family: gains(seeds, family) for family in FAMILIES},
        },
    )


def one_seed(folder: Path, size: str, seed: int, n_trials: int) -> dict[str, Any]:
    """Scores of every family's three models on the test period of one world."""
    demo_project(folder, size, seed)
    (data,) = (path.parent for path in folder.glob("data/*/02_intermediate"))
    judge = Judge(data)
    results = {}
    for family in FAMILIES:
        begin = time.perf_counter()
        walk_forward = f"{family}.walk_forward"
        command = ("run", "--pipeline=gbm", f"--to-nodes={walk_forward}")
        kedro(folder, *command, f"--params={family}.n_trials={n_trials}")
        tuned = json.loads((data / "06_models" / family / "best_params.json").read_text())
        decision = tuned["decisions"][-1]
        scores = {"chosen": judge.scores(family)}
        trials = pd.read_parquet(data / "06_models" / family / "trials.parquet")
        best = json.loads(trials.set_index("trial")["params"][decision["best_trial"]])
        for name, point in (("example", {}), ("best", best)):
            parameters = {f"{family}.n_trials": 0} | {
                f"{family}.presets.example.{key}": value for key, value in point.items()
            }
            text = ",".join(f"{key}={value}" for key, value in parameters.items())
            kedro(folder, *command, f"--params={text}")
            scores[name] = judge.scores(family)
        results[family] = {
            "verdict": decision["verdict"],
            "adopted": decision["adopted"],
            "n_pruned": int((trials["state"] == "pruned").sum()),
            "seconds": round(time.perf_counter() - begin),
            "scores": scores,
        }
    return results


class Judge:
    """Scores out-of-fold predictions on the test period."""

    def __init__(self, data: Path) -> None:
        self._data = data
        folds = json.loads((data / "02_intermediate" / "folds.json").read_text())
        weights = json.loads((data / "02_intermediate" / "score_weights.json").read_text())
        self._weights = (weights["corr"], weights["mmc"])
        self._target = folds["paid_target"]
        panel = open_panel(data / "02_intermediate" / "history_panel")
        first, last = folds["periods"]["test"]
        self._panel = panel.select(eras=np.arange(first, last + 1))
        benchmarks = pd.read_parquet(data / "02_intermediate" / "benchmark_predictions.parquet")
        self._benchmark = benchmark_of(benchmarks, self._target).reindex(self._panel.ids())

    def scores(self, family: str) -> dict[str, float]:
        """Mean CORR, BMC and payout an era."""
        path = self._data / "07_model_output" / family / "oof_predictions.parquet"
        predictions = pd.read_parquet(path)["prediction"].to_numpy()
        benchmark = self._benchmark.to_numpy(dtype=np.float64)
        scores = era_scores(self._panel, predictions, benchmark, self._target)
        return {
            "corr": float(np.nanmean(scores.corr)),
            "bmc": float(np.nanmean(scores.bmc)),
            "objective": float(np.nanmean(scores.payoff(*self._weights))),
        }


def gains(seeds: dict[str, Any], family: str) -> dict[str, str]:
    """Mean difference to the example over seeds with its t interval, by model and score."""
    intervals = {}
    for model in ("chosen", "best"):
        for score in ("corr", "objective"):
            values = [results[family]["scores"] for results in seeds.values()]
            differences = [v[model][score] - v["example"][score] for v in values]
            intervals[f"{model}.{score}"] = interval(differences)
    return intervals


if __name__ == "__main__":
    main()
