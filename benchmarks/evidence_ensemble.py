"""Claim: live, the ensemble is not worse than its best member or equal weights beyond the interval.

    make evidence NAME=ensemble        resumable seed by seed; docs/evidence/ensemble.json
    python benchmarks/evidence_ensemble.py --seeds 0 1 2 3 4 --result choice.json

Claim seeds 1000-1009, the default demo, the three families at their presets. Out-of-fold
predictions of the test period give every scheme its weights; one live fit a family then predicts
26 weekly eras, whose hidden truth scores the blends: CORR, MMC, and payoff by the round's
multipliers. The best member is the one that earned most on the test period, named before
the live eras are looked at. Differences to equal weights and to that member are paired by seed,
with t intervals over seeds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from claim_seeds import interval, parser, run_seeds
from evidence_weekly import _live_panel
from numerai_kedro.cache import FoldStore
from numerai_kedro.data import EraPanel, open_panel, write_panel
from numerai_kedro.data.convert import ParquetEras
from numerai_kedro.data.folds import live_fit_eras, walk_forward_folds
from numerai_kedro.demo.publish import publish
from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.demo.world import World
from numerai_kedro.ensemble.blending import blend
from numerai_kedro.ensemble.member_scores import MemberScores
from numerai_kedro.ensemble.weighting import (
    ALL_SCHEMES,
    EnsembleParams,
    weights_at,
)
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.models.registry import BOOSTED, family
from numerai_kedro.numerai.schema import (
    benchmark_of,
    meta_model_of,
    overlap_eras,
    parse_era,
)
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.walk_forward import (
    fit_live,
    predictions_frame,
    walk_forward,
)

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "ensemble.json"
SEEDS = range(1000, 1010)
N_WEEKS = 26
TARGET = "target_ender_60"
MULTIPLIERS = (3.0, 15.0)


def main() -> None:
    """Run what is missing, then compare."""
    options = parser(__doc__, "demo", SEEDS, RESULT).parse_args()
    run_seeds(
        options,
        lambda folder, seed: one_seed(folder, options.size, seed),
        lambda seeds: {"gains": gains(seeds)},
    )


def one_seed(folder: Path, size: str, seed: int) -> dict[str, Any]:
    """Live means of every scheme, of every member, and which member was the best beforehand."""
    demo = SIZES[size]
    world = World.open(folder / "world", demo, seed, last_era=demo.n_eras + N_WEEKS)
    files = publish(world, folder / "files", demo.n_eras, demo.n_eras + 1, 1412)
    panel = history_of(folder / "panel", files, world)
    period, ingestion, presets = parameters(size)
    live_era, overlap = demo.n_eras + 1, overlap_eras(TARGET)
    frontier = int(max(panel.resolved_eras(TARGET)))
    purge = ingestion["purge_eras"]
    folds = walk_forward_folds(
        (period["test_begin"], frontier), period["test_fold_eras"], purge, "test"
    )
    eras = live_fit_eras(period["test_begin"], live_era, ingestion["refit_eras"], purge)
    store, oof, models = FoldStore(folder / "store"), {}, {}
    for name in BOOSTED:
        settings = presets[name]
        kind = family(name)
        preset = kind.params_type.model_validate(settings["presets"][settings["preset"]])
        recipe = Recipe(name, kind, preset, (TARGET,), settings["era_stride"], 1, 0, threads=2)
        oof[name], _ = walk_forward(panel, folds, [recipe] * len(folds), purge, FitRunner(store))
        models[name] = fit_live(panel, eras, recipe, FitRunner(store))
    scores, means = holdout_scores(panel, files, oof, (period["test_begin"], frontier))
    best = list(BOOSTED)[int(np.nanargmax(means))]
    params = EnsembleParams.model_validate(
        yaml.safe_load((ROOT / "conf/base/parameters_ensemble.yml").read_text())["ensemble"]
    )
    weights = {
        scheme: weights_at(scores, frontier, scheme, MULTIPLIERS, overlap, params)
        for scheme in ALL_SCHEMES
    }
    weights |= {name: row for name, row in zip(BOOSTED, np.eye(len(BOOSTED)), strict=True)}
    return {
        "best": best,
        "weights": {name: np.round(row, 4).tolist() for name, row in weights.items()},
        "live": live_means(folder, world, models, weights),
    }


def holdout_scores(
    panel: EraPanel, files: dict[str, Path], oof: dict[str, Any], period: tuple[int, int]
) -> tuple[MemberScores, np.ndarray]:
    """Scores of the members on the test period, and the mean payoff of each."""
    import pandas as pd

    holdout = panel.select(eras=np.arange(period[0], period[1] + 1))
    ids = np.asarray(holdout.ids(), dtype=object)
    parts = [files[f"{name}_benchmark_models.parquet"] for name in ("train", "validation")]
    benchmarks = pd.concat([pd.read_parquet(path) for path in parts])
    meta_model = meta_model_of(pd.read_parquet(files["meta_model.parquet"]))
    scores = MemberScores.of(
        holdout.eras,
        holdout.era_starts,
        np.column_stack([frame["prediction"] for frame in oof.values()]).astype(float),
        holdout.target(TARGET).astype(float),
        meta_model.reindex(ids).to_numpy(dtype=float),
        benchmark_of(benchmarks, TARGET).reindex(ids).to_numpy(dtype=float),
    )
    return scores, np.nanmean(scores.payoff(*MULTIPLIERS, overlap_eras(TARGET)), axis=0)


def live_means(
    folder: Path, world: World, models: dict[str, Any], weights: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Mean live CORR, MMC and payoff over the weeks, of every blend."""
    rows = []
    for era in range(world.size.n_eras + 1, world.size.n_eras + N_WEEKS + 1):
        live = _live_panel(folder, world, era)
        columns = np.column_stack(
            [predictions_frame(models[name], live)["prediction"] for name in BOOSTED]
        ).astype(float)
        starts = np.array([0, len(columns)])
        table = np.column_stack([blend(columns, row, starts) for row in weights.values()])
        truth = world.targets(era)[:, list(world.target_names).index(TARGET)].astype(float)
        rows.append(rank_scores(starts, table, truth, [world.meta_model(era).astype(float)])[:, 0])
    corr, mmc = np.mean(rows, axis=0)
    paid = MULTIPLIERS[0] * corr + MULTIPLIERS[1] * mmc
    return {
        name: {"corr": float(corr[k]), "mmc": float(mmc[k]), "payoff": float(paid[k])}
        for k, name in enumerate(weights)
    }


def gains(seeds: dict[str, Any]) -> dict[str, str]:
    """Mean difference of every scheme to equal weights and to the best member, with t intervals."""
    intervals = {}
    for scheme in ALL_SCHEMES:
        for against in ("equal", "best"):
            if scheme == against:
                continue
            for score in ("corr", "payoff"):
                differences = [
                    results["live"][scheme][score]
                    - results["live"][results["best"] if against == "best" else against][score]
                    for results in seeds.values()
                ]
                intervals[f"{scheme} - {against}, {score}"] = interval(differences)
    return intervals


def history_of(folder: Path, files: dict[str, Path], world: World) -> EraPanel:
    """The published history as a panel."""
    source = ParquetEras(
        [files["train.parquet"], files["validation.parquet"]],
        features=list(world.feature_sets["all"]),
        targets=[TARGET],
        parse_era=parse_era,
    )
    write_panel(folder, source)
    return open_panel(folder)


def parameters(size: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The project's own defaults, without Kedro: a size's periods, ingestion, families."""
    base = ROOT / "conf" / "base"
    ingestion = yaml.safe_load((base / "parameters_ingestion.yml").read_text())["ingestion"]
    presets = yaml.safe_load((base / "parameters_gbm.yml").read_text())
    return ingestion["periods"][size], ingestion, presets


if __name__ == "__main__":
    main()
