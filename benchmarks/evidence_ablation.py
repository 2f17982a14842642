"""Claim: what every model earns by itself, relative to LightGBM alone, and inside the ensemble.

    make evidence NAME=ablation        resumable seed by seed; docs/evidence/ablation.json

Claim seeds 1000-1004, the default demo. Each model at its preset predicts the test period out of
fold, as the pipeline does it; LightGBM with verdicts (`weigh`) and with latents are further
members. Measured for each: CORR, BMC and payoff, less LightGBM's; the compute of its folds, in
minutes of one core; the peak memory of its largest process; and what the ensemble of all models
loses without it. A room of several models is left out whole. Differences are paired by seed, with
t intervals over seeds.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from claim_seeds import Table, demo_project, interval, kedro, parser, run_seeds
from numerai_kedro.cache.provenance import CONFIGURATION
from numerai_kedro.data import EraPanel, open_panel
from numerai_kedro.data.folds import Folds
from numerai_kedro.ensemble.weighting import EnsembleParams
from numerai_kedro.models.live_fit import LiveFit
from numerai_kedro.models.registry import BOOSTED, BUILT_IN, GRAPHS, TABULAR
from numerai_kedro.numerai.schema import benchmark_of
from numerai_kedro.pipelines.ensemble import nodes
from numerai_kedro.training.tuning.objective import era_scores

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "ablation.json"
SEEDS = range(1000, 1005)
ALONE = "lightgbm"
# Models that use a room's output: they are no members by themselves.
USES = {"verdicts": "features=[weigh]", "latents": "features=[latents]"}
PIPELINES = {"gbm": BOOSTED, "deep_learning": TABULAR, "gnn": GRAPHS}
ROOMS = {name: (name,) for name in BUILT_IN} | {
    "all trees": BOOSTED,
    "TabM, transformer, VAE": TABULAR,
    "graph networks": GRAPHS,
}
MULTIPLIERS = {"corr": 3.0, "mmc": 15.0}
SCORES = ("corr", "bmc", "payoff")


def main() -> None:
    """Run what is missing, then compare."""
    options = parser(__doc__ or "", "demo", SEEDS, RESULT).parse_args()
    run_seed = lambda folder, seed: one_seed(folder, options.size, seed)  # noqa: E731 - called there
    run_seeds(options, run_seed, concluded, page)


def one_seed(folder: Path, size: str, seed: int) -> dict[str, dict[str, float]]:
    """Scores, costs and the ensemble's loss without it, of every model in one world."""
    demo_project(folder, size, seed)
    kedro(folder, "run", "--pipeline=feature_engineering")
    kedro(folder, "run", "--pipeline=gnn", "--nodes=build_graphs")
    (data,) = (path.parent for path in folder.glob("data/*/02_intermediate"))
    measures: dict[str, dict[str, float]] = {}
    oof: dict[str, pd.DataFrame] = {}
    variants = [(name, name, "") for name in BUILT_IN]
    variants += [(use, ALONE, option) for use, option in USES.items()]
    for title, model, option in variants:
        pipeline = next(name for name, models in PIPELINES.items() if model in models)
        parameters = ",".join([f"{model}.n_trials=0", *([f"{model}.{option}"] if option else [])])
        measures[title] = measured(
            folder,
            f"--pipeline={pipeline}",
            f"--to-nodes={model}.walk_forward",
            f"--params={parameters}",
        )
        oof[title] = pd.read_parquet(data / "07_model_output" / model / "oof_predictions.parquet")
    world = World.read(data)
    for title, predictions in oof.items():
        measures[title] |= world.scores(predictions)
    whole = world.ensemble({name: oof[name] for name in BUILT_IN})
    for title, names in ROOMS.items():
        without = world.ensemble({name: oof[name] for name in BUILT_IN if name not in names})
        measures.setdefault(title, {})
        measures[title] |= {f"lost_{score}": whole[score] - without[score] for score in SCORES}
    for use in USES:
        more = world.ensemble({name: oof[name] for name in (*BUILT_IN, use)})
        measures[use] |= {f"lost_{score}": more[score] - whole[score] for score in SCORES}
    return measures | {"ensemble": whole}


def measured(folder: Path, *arguments: str) -> dict[str, float]:
    """Core minutes of a command with its children, and the peak memory of the largest of them."""
    command = [str(Path(sys.executable).parent / "kedro"), "run", *arguments]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode:
        sys.exit(f"{' '.join(command)} failed with {run.returncode}")
    return {
        "minutes": (used.ru_utime + used.ru_stime) / 60,
        "memory_gb": used.ru_maxrss / 2**20,
    }


@dataclass(frozen=True)
class World:
    """What predictions are scored with."""

    history: EraPanel
    folds: Folds
    meta_model: pd.DataFrame
    benchmarks: pd.DataFrame
    params: EnsembleParams

    @classmethod
    def read(cls, data: Path) -> World:
        """Read from a project's data folder."""
        conf = yaml.safe_load((ROOT / "conf/base/parameters_ensemble.yml").read_text())
        return cls(
            open_panel(data / "02_intermediate" / "history_panel"),
            Folds.model_validate_json((data / "02_intermediate" / "folds.json").read_text()),
            pd.read_parquet(data / "01_raw" / "meta_model.parquet"),
            pd.read_parquet(data / "02_intermediate" / "benchmark_predictions.parquet"),
            EnsembleParams.model_validate(conf["ensemble"]),
        )

    def scores(self, predictions: pd.DataFrame) -> dict[str, float]:
        """Means over the test eras."""
        target = self.folds.paid_target
        first, last = self.folds.periods.test
        holdout = self.history.select(eras=np.arange(first, last + 1))
        benchmark = benchmark_of(self.benchmarks, target).reindex(holdout.ids()).to_numpy(float)
        column = predictions.set_index("id")["prediction"].reindex(holdout.ids()).to_numpy(float)
        scored = era_scores(holdout, column, benchmark, target)
        payoff = scored.payoff(MULTIPLIERS["corr"], MULTIPLIERS["mmc"])
        means = (np.nanmean(scored.corr), np.nanmean(scored.bmc), np.nanmean(payoff))
        return {score: float(mean) for score, mean in zip(SCORES, means, strict=True)}

    def ensemble(self, oof: dict[str, pd.DataFrame]) -> dict[str, float]:
        """Scores of the blend by the chosen weights, as the pipeline makes it."""
        shared = (self.history, self.folds, self.meta_model, self.benchmarks, MULTIPLIERS)
        members: dict[str, Any] = {f"{name}__oof": frame for name, frame in oof.items()}
        for name, frame in oof.items():
            frame.attrs = {CONFIGURATION: name}
            members[f"{name}__model"] = LiveFit((), name, "")
        weights = nodes.weigh(*shared, self.params, **members)
        plain = {"features": [], "proportion": 0.0}
        blended, _ = nodes.blend_out_of_fold(weights, plain, *shared, **oof)
        return self.scores(blended)


def concluded(seeds: dict[str, Any]) -> dict[str, Any]:
    """Every room beside LightGBM alone and inside the ensemble, paired by seed."""
    runs, rows = list(seeds.values()), []
    for title in (*ROOMS, *USES):
        row: dict[str, Any] = {"room": title, "seeds": len(runs)}
        mine = [run[title] for run in runs]
        if "corr" in mine[0]:
            alone = [run[ALONE] for run in runs]
            row["level"] = interval([run["corr"] for run in mine])
            for name in (*SCORES, "minutes", "memory_gb"):
                row[name] = interval([a[name] - b[name] for a, b in zip(mine, alone, strict=True)])
        for score in SCORES:
            row[f"lost_{score}"] = interval([run[f"lost_{score}"] for run in mine])
        rows.append(row)
    whole = {score: interval([run["ensemble"][score] for run in runs]) for score in SCORES}
    costs = {
        name: interval([run[ALONE][name] for run in runs]) for name in ("minutes", "memory_gb")
    }
    return {"ensemble": whole, f"{ALONE} alone": costs, "table": rows}


def page(result: dict[str, Any]) -> Table:
    """What every model earns and costs relative to LightGBM, and what it adds to the ensemble."""
    earned = {"level": "CORR", "corr": f"less {ALONE}'s", "bmc": "BMC less"}
    costs = {"minutes": "core minutes more", "memory_gb": "GB of the largest process more"}
    owed = {"lost_corr": "the ensemble's CORR owed to it", "lost_payoff": "its payoff"}
    rows = [
        [
            row["room"],
            *(row.get(name, "") for name in earned),
            *(_shorter(row.get(name, "")) for name in costs),
            *(row[name] for name in owed),
        ]
        for row in result["table"]
    ]
    heads = ("room", *earned.values(), *costs.values(), *owed.values())
    whole = result["ensemble"]
    text = (
        f"Means over {len(result['seeds'])} demo tournaments, each model at its preset, paired by "
        f"them. The ensemble of all models: CORR {whole['corr']}, payoff {whole['payoff']}. "
        f"Verdicts and latents are {ALONE}'s, as further members; fits that verdicts leave as they "
        "were are not made again, so that their minutes are fewer."
    )
    return Table(title="What every model earns", heads=heads, rows=rows, said=text)


def _shorter(interval: str) -> str:
    """Two decimals are enough for a cost."""
    return re.sub(r"-?\d+\.\d+", lambda match: f"{float(match[0]):.2f}", interval)


if __name__ == "__main__":
    main()
