"""Claim: the adaptive strength rises to its maximum on noise and falls to 0 on a strong signal.

    make evidence NAME=strength          resumable seed by seed; docs/evidence/strength.json
    python benchmarks/evidence_strength.py --picture strength.html

Claim seeds 1000-1009, panels of 120 eras x 400 rows x 40 features, five of them with a planted
effect of three sizes. Every family climbs on eras 1-90; its final strength is fitted on them and
scored on eras 97-120, beside the same parameters without any strength. Means over seeds with t
intervals.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from claim_seeds import interval, parser, run_seeds
from numerai_kedro.cache import FoldStore
from numerai_kedro.data import EraPanel, EraRows, FeatureBlock, open_panel, write_panel
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.models.registry import family
from numerai_kedro.reporting.dashboard.figures import strength_figure
from numerai_kedro.training.adaptive import AdaptiveParams, adapted
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.recipe import Recipe

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "strength.json"
SEEDS = range(1000, 1010)
FAMILIES = ("lightgbm", "catboost", "xgboost")
SIGNALS = {"noise": 0.0, "weak": 0.1, "strong": 1.5}  # in standard deviations of the noise, roughly
TARGET = "target_ender_60"
N_ERAS, N_ROWS, N_FEATURES, N_CAUSES = 120, 400, 40, 5
LEARNED, TEST_BEGIN, PURGE = 90, 97, 6
BINS = np.array([0.0, 0.25, 0.5, 0.75, 1.0], np.float32)
EDGES = (0.05, 0.25, 0.75, 0.95)
# Trees deep and fast enough to learn noise by heart, so that there is something to steer.
CHANGED = {"n_estimators": 100, "learning_rate": 0.1, "max_depth": 6, "colsample_bytree": 0.5}


def main() -> None:
    """Run what is missing, then compare and draw."""
    cli = parser(__doc__, "120 x 400 x 40", SEEDS, RESULT)
    cli.add_argument("--picture", type=Path, help="a page with the rungs of all seeds")
    options = cli.parse_args()
    seeds = run_seeds(options, one_seed, lambda seeds: {"summary": summary(seeds)})
    print(json.dumps(summary(seeds), indent=1))
    if options.picture:
        strength_figure(climbs(seeds)).write_html(options.picture)


def one_seed(folder: Path, seed: int) -> dict[str, Any]:
    """Rungs, final strength and later CORR of each family on each signal."""
    params = yaml.safe_load((ROOT / "conf/base/parameters_tuning.yml").read_text())["tuning"]
    steering = AdaptiveParams(
        **params["adaptive"] | {"low_fidelity_stride": 1, "low_fidelity_trees": 60}
    )
    presets = yaml.safe_load((ROOT / "conf/base/parameters_gbm.yml").read_text())
    results: dict[str, Any] = {}
    for signal, size in SIGNALS.items():
        panel = panel_of(folder / signal, size, seed)
        for name in FAMILIES:
            kind = family(name)
            preset = presets[name]["presets"]["example"] | CHANGED
            plain = Recipe(name, kind, kind.params_type(**preset), (TARGET,), 1, 1, seed, threads=2)
            store = FoldStore(folder / "store")
            steered, rungs = adapted(plain, panel, (1, LEARNED), PURGE, steering, FitRunner(store))
            results[f"{name} {signal}"] = {
                "rungs": [[rung.strength, rung.train_corr, rung.valid_corr] for rung in rungs],
                "strength": steered.params.strength,
                "corr": later_corr(steered, panel),
                "corr_without": later_corr(plain, panel),
            }
    return results


def later_corr(recipe: Recipe, panel: EraPanel) -> float:
    """Mean CORR of a fit on eras that no rung has seen."""
    (fit,) = recipe.fits(panel, (1, LEARNED))
    model = recipe.family(recipe.params, seed=recipe.seed, threads=2).fit(fit.train, None, TARGET)
    holdout = panel.select(eras=np.arange(TEST_BEGIN, N_ERAS + 1))
    columns = model.predict(holdout).astype(np.float64)[:, None]
    scores = rank_scores(holdout.era_starts, columns, holdout.target(TARGET))[0]
    return float(np.nan_to_num(scores).mean())  # constant predictions score nothing


def panel_of(folder: Path, size: float, seed: int) -> EraPanel:
    """Eras whose target depends on the first features, with an effect of this size."""
    rng = np.random.default_rng([seed, round(1000 * size)])
    names = [f"feature_{k}" for k in range(N_FEATURES)]
    blocks = []
    for era in range(1, N_ERAS + 1):
        values = rng.integers(0, 5, (N_ROWS, N_FEATURES)).astype(np.int8)
        leaning = values[:, :N_CAUSES].sum(axis=1) - 2 * N_CAUSES
        raw = size * leaning + rng.normal(scale=3.2, size=N_ROWS)
        ranks = raw.argsort().argsort() / N_ROWS
        target = BINS[np.searchsorted(EDGES, ranks, side="right")]
        ids = pa.array([f"n{era:04d}{row:011d}" for row in range(N_ROWS)])
        targets = pa.record_batch([pa.array(target)], names=[TARGET])
        blocks.append(EraRows(era, "train", ids, FeatureBlock.of(names, values), targets))
    write_panel(folder, blocks)
    return open_panel(folder)


def summary(seeds: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Final strength, later CORR, and its difference to no strength; t intervals over seeds."""
    intervals = {}
    for case in next(iter(seeds.values())):
        runs = [results[case] for results in seeds.values()]
        intervals[case] = {
            "strength": interval([run["strength"] for run in runs]),
            "corr": interval([run["corr"] for run in runs]),
            "gain": interval([run["corr"] - run["corr_without"] for run in runs]),
        }
    return intervals


def climbs(seeds: dict[str, Any]) -> dict[str, list[list[float]]]:
    """Strengths by rung and the final one, of every family and seed, by signal."""
    return {
        signal: [
            [*(rung[0] for rung in results[f"{name} {signal}"]["rungs"]), run["strength"]]
            for results in seeds.values()
            for name in FAMILIES
            for run in [results[f"{name} {signal}"]]
        ]
        for signal in SIGNALS
    }


if __name__ == "__main__":
    main()
