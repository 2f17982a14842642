"""Claim: what the weekly run would submit earns live CORR, by the demo's hidden truth.

    make evidence NAME=weekly        resumable seed by seed; docs/evidence/weekly.json is the result

Seeds 1000-1007, fixed before the first look; `evidence` size; one live fit a seed and no refit over
26 weekly eras. numerai-tools scores the predictions on targets that no pipeline ever sees. The
control learns from targets permuted within each era: it must find nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import yaml
from numerai_tools.scoring import numerai_corr
from scipy.stats import t as student_t

from numerai_kedro.cache import FoldStore
from numerai_kedro.data import EraPanel, EraRows, FeatureBlock, open_panel, write_panel
from numerai_kedro.data.convert import ParquetEras
from numerai_kedro.data.folds import live_fit_eras
from numerai_kedro.demo.publish import publish
from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.demo.world import World
from numerai_kedro.files import atomic_write, digest_bytes
from numerai_kedro.models.registry import family
from numerai_kedro.numerai.schema import parse_era
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.walk_forward import fit_live, predictions_frame

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "weekly.json"
SEEDS = range(1000, 1008)
N_WEEKS = 26
TARGET = "target_ender_60"


def main() -> None:
    """Run the seeds that the result does not hold yet, then say what they come to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="evidence")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    results = _known()
    if results["code"] != _code_fingerprint():
        print(f"{RESULT.name} holds seeds made by other code; delete it to make the claim anew")
    for seed in SEEDS:
        for permuted in (False, True):
            name = f"{seed}{'-permuted' if permuted else ''}"
            if name in results["seeds"]:
                continue
            begin = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                scores = live_scores(Path(folder), options.size, seed, permuted, options.threads)
            results["seeds"][name] = [round(float(score), 6) for score in scores]
            results["summary"] = summarise(results["seeds"])
            _keep(results)
            took = time.perf_counter() - begin
            print(
                f"{name}: mean live CORR {np.mean(scores):+.4f} over {N_WEEKS} eras, {took:.0f} s"
            )
    print(json.dumps(results["summary"]))


def live_scores(folder: Path, size: str, seed: int, permuted: bool, threads: int) -> list[float]:
    """Live CORR of 26 successive weekly eras by one fit made before the first of them."""
    demo = SIZES[size]
    world = World.open(folder / "world", demo, seed, last_era=demo.n_eras + N_WEEKS)
    files = publish(world, folder / "files", demo.n_eras, demo.n_eras + 1, 1412)
    panel = _panel(folder / "panel", files, world, permuted, seed)
    ingestion, model = _parameters()
    period = ingestion["periods"][size]
    eras = live_fit_eras(
        period["test_begin"], demo.n_eras + 1, ingestion["refit_eras"], ingestion["purge_eras"]
    )
    model_class = family("lightgbm")
    params = model_class.params_type.model_validate(model["presets"][model["preset"]])
    recipe = Recipe("lightgbm", model_class, params, (TARGET,), 1, 1, model["seed"], threads)
    models = fit_live(panel, eras, recipe, FitRunner(FoldStore(folder / "store")))
    return [
        _score(world, era, _predictions(models, _live_panel(folder, world, era)))
        for era in range(demo.n_eras + 1, demo.n_eras + N_WEEKS + 1)
    ]


def _predictions(models: list[Any], live: EraPanel) -> npt.NDArray[np.float64]:
    return predictions_frame(models, live)["prediction"].to_numpy()


def summarise(seeds: dict[str, list[float]]) -> dict[str, object]:
    """Mean over seeds with its standard error over seeds: the seeds are independent worlds."""
    out: dict[str, object] = {}
    for kind, permuted in (("honest", False), ("permuted", True)):
        means = [np.mean(s) for name, s in seeds.items() if name.endswith("-permuted") == permuted]
        if len(means) < 2:
            continue
        error = np.std(means, ddof=1) / np.sqrt(len(means))
        t_value = float(np.mean(means) / error)
        out[kind] = {
            "n_seeds": len(means),
            "mean_live_corr": round(float(np.mean(means)), 5),
            "standard_error": round(float(error), 5),
            "t": round(t_value, 2),
            "p_one_sided": float(f"{student_t.sf(t_value, len(means) - 1):.3g}"),
        }
    return out


def _panel(
    folder: Path, files: dict[str, Path], world: World, permuted: bool, seed: int
) -> EraPanel:
    source = ParquetEras(
        [files["train.parquet"], files["validation.parquet"]],
        features=list(world.feature_sets["all"]),
        targets=[TARGET],
        parse_era=parse_era,
    )
    write_panel(folder, _permute(source, seed) if permuted else source)
    return open_panel(folder)


def _permute(source: ParquetEras, seed: int) -> Iterator[EraRows]:
    """The same stream with the targets shuffled within each era: no signal is left."""
    for rows in source:
        order = np.random.default_rng([seed, rows.era]).permutation(len(rows.ids))
        yield EraRows(
            era=rows.era,
            data_type=rows.data_type,
            ids=rows.ids,
            features=rows.features,
            targets=rows.targets.take(pa.array(order)),
        )


def _live_panel(folder: Path, world: World, era: int) -> EraPanel:
    features = world.features(era)
    rows = EraRows(
        era=era,
        data_type="live",
        ids=pa.array(world.ids(era, salt="live")),
        features=FeatureBlock.of(list(world.feature_names), features),
        targets=pa.record_batch([pa.nulls(len(features), pa.float32())], names=[TARGET]),
    )
    write_panel(folder / f"live-{era}", [rows])
    return open_panel(folder / f"live-{era}")


def _score(world: World, era: int, predictions: np.ndarray) -> float:
    ids = world.ids(era, salt="live")
    truth = world.targets(era)[:, list(world.target_names).index(TARGET)]
    scores = numerai_corr(
        pd.DataFrame({"ours": predictions.astype(float)}, index=ids),
        pd.Series(truth.astype(float), index=ids, name=TARGET),
    )
    return float(scores["ours"])


def _parameters() -> tuple[dict[str, Any], dict[str, Any]]:
    """The project's own defaults, without Kedro."""
    base = ROOT / "conf" / "base"
    ingestion = yaml.safe_load((base / "parameters_ingestion.yml").read_text())["ingestion"]
    return ingestion, yaml.safe_load((base / "parameters_gbm.yml").read_text())["lightgbm"]


def _code_fingerprint() -> str:
    """Digest of the package's sources and parameters: what a result belongs to."""
    files = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "conf" / "base").glob("*.yml")])
    return digest_bytes(b"".join(path.read_bytes() for path in files))


def _known() -> dict[str, Any]:
    if RESULT.exists():
        results: dict[str, Any] = json.loads(RESULT.read_text())
        return results
    return {"claim": "weekly", "n_weeks": N_WEEKS, "seeds": {}, "code": _code_fingerprint()}


def _keep(results: dict[str, Any]) -> None:
    with atomic_write(RESULT) as handle:
        handle.write(json.dumps(results, indent=1, sort_keys=True).encode())


if __name__ == "__main__":
    main()
