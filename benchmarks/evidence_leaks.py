"""Claim: the gate lets honest records through, names leaks, and blocks what learned nothing.

    make evidence NAME=leaks        resumable seed by seed; docs/evidence/leaks.json
    python benchmarks/evidence_leaks.py --judge      judges the kept scores anew, and fits nothing

Claim seeds 1100-1119, the default demo, LightGBM's example preset with 200 trees. Of every
world an honest record, one with a noisy copy of the target among the features, and one that learned
permuted targets, are fitted walk-forward and checked by the gate's checks of a record; the honest
one is checked again without its purge, with a choice made on all eras, and with scores of eras that
have not resolved. Each leak has to be blocked under its own reason.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from claim_seeds import parser
from evidence_ensemble import TARGET, parameters
from evidence_weekly import _code_fingerprint
from numerai_kedro.cache import FoldStore
from numerai_kedro.data import EraPanel, EraRows, FeatureBlock, open_panel, write_panel
from numerai_kedro.data.convert import ParquetEras
from numerai_kedro.data.folds import Fold, walk_forward_folds
from numerai_kedro.demo.publish import publish
from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.demo.world import World
from numerai_kedro.files import atomic_write
from numerai_kedro.gate.checks import GateParams, backtest_checks, honesty_checks
from numerai_kedro.gate.decision import Check
from numerai_kedro.gate.likeness import likeness_of_eras
from numerai_kedro.metrics.backtest import score_columns
from numerai_kedro.metrics.payout import PayoutRule
from numerai_kedro.models.registry import family
from numerai_kedro.numerai.schema import benchmark_of, meta_model_of, overlap_eras, parse_era
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.walk_forward import walk_forward

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "leaks.json"
SEEDS = range(1100, 1120)
RULE = PayoutRule(3.0, 15.0)
COPY_NOISE = 1.0  # noise of the copy, in standard deviations of the target
# The reason for which each case has to be blocked; an honest record for none.
WANTED = {
    "honest": None,
    "noisy copy of the target": "record_too_good",
    "no purge": "purge_too_short",
    "choice on all eras": "selected_on_test_eras",
    "unresolved eras scored": "unresolved_scored",
    "permuted targets": "corr_not_above_zero",
}
Change = Callable[[EraRows, np.random.Generator], EraRows]


def main() -> None:
    """Fit the seeds whose scores are not kept yet, and judge all that are."""
    cli = parser(__doc__, "demo", SEEDS, RESULT)
    cli.add_argument("--judge", action="store_true", help="judge what is kept, and fit nothing")
    options = cli.parse_args()
    for seed in [] if options.judge else options.seeds:
        path = table_of(options.result, seed)
        if path.exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            scores = one_seed(Path(folder), options.size, seed)
        with atomic_write(path) as handle:
            scores.to_parquet(handle, index=False, compression="zstd")
        print(f"seed {seed}: {json.dumps(conclude(options))}", flush=True)
    print(json.dumps(conclude(options)), flush=True)


def table_of(result: Path, seed: int) -> Path:
    """Where a seed's scores are kept, in a folder beside the result."""
    return result.with_suffix("") / f"{seed}.parquet"


def conclude(options: argparse.Namespace) -> dict[str, str]:
    """Judge every seed whose scores are kept, and count."""
    paths = {seed: table_of(options.result, seed) for seed in options.seeds}
    seeds = {
        str(seed): verdicts(pd.read_parquet(path), options.size)
        for seed, path in paths.items()
        if path.exists()
    }
    counted = rates(seeds)
    result = {
        "size": options.size,
        "code": _code_fingerprint(),
        "rates": counted,
        "seeds": seeds,
    }
    with atomic_write(options.result) as handle:
        handle.write((json.dumps(result, indent=1) + "\n").encode())
    return counted


def one_seed(folder: Path, size: str, seed: int) -> pd.DataFrame:
    """Scores of the three fitted cases, by ``case``."""
    demo = SIZES[size]
    world = World.open(folder / "world", demo, seed, last_era=demo.n_eras + 1)
    files = publish(world, folder / "files", demo.n_eras, demo.n_eras + 1, 1412)
    period, ingestion, _ = parameters(size)
    changes: dict[str, Change | None] = {
        "honest": None,
        "noisy copy of the target": with_copy,
        "permuted targets": permuted,
    }
    cases = []
    for case, change in changes.items():
        panel = panel_of(folder / case.replace(" ", "-"), files, world, change, seed)
        frontier = int(max(panel.resolved_eras(TARGET)))
        honest = open_panel(folder / "honest")
        store = FoldStore(folder / "store")
        folds, purge = folds_of(period, ingestion, frontier), ingestion["purge_eras"]
        scores = record(panel, honest, files, folds, purge, store)
        cases.append(scores.assign(case=case))
    table = pd.concat(cases, ignore_index=True)
    floats = table.select_dtypes("float64").columns
    return table.astype(dict.fromkeys(floats, "float32"))  # half of the repository's space


def folds_of(period: dict[str, Any], ingestion: dict[str, Any], frontier: int) -> list[Fold]:
    """Walk-forward folds of the test period."""
    holdout = (period["test_begin"], frontier)
    fold_eras, purge = period["test_fold_eras"], ingestion["purge_eras"]
    return walk_forward_folds(holdout, fold_eras, purge, "test")


def verdicts(tables: pd.DataFrame, size: str) -> dict[str, list[str]]:
    """The reasons for which each case is blocked."""
    period, ingestion, _ = parameters(size)
    n_eras, overlap = SIZES[size].n_eras, overlap_eras(TARGET)
    begin, frontier = period["test_begin"], int(tables["era"].max())
    folds = folds_of(period, ingestion, frontier)
    windows = [(fold.train[1], fold.test[0]) for fold in folds]
    choice = (period["validation"][1], begin)
    by_case = {str(case): rows for case, rows in tables.groupby("case")}

    def blocked_for(
        case: str,
        windows: list[tuple[int, int]] = windows,
        choice: tuple[int, int] = choice,
        last_scored: int = frontier,
    ) -> list[str]:
        return blocked(by_case[case], windows, [choice], last_scored, n_eras + 1, overlap)

    bare = [(test - 1, test) for _, test in windows]
    return {
        **{case: blocked_for(case) for case in by_case},
        "no purge": blocked_for("honest", windows=bare),
        "choice on all eras": blocked_for("honest", choice=(frontier, begin)),
        "unresolved eras scored": blocked_for("honest", last_scored=n_eras),
    }


def record(
    panel: EraPanel,
    honest: EraPanel,
    files: dict[str, Path],
    folds: list[Fold],
    purge: int,
    store: FoldStore,
) -> pd.DataFrame:
    """Scores of one model on the test eras, by their true targets, beside the benchmark's."""
    settings = yaml.safe_load((ROOT / "conf/base/parameters_gbm.yml").read_text())["lightgbm"]
    kind = family("lightgbm")
    whole: Any = kind.params_type.model_validate(settings["presets"]["example"])
    preset = whole.low_fidelity(200, 1.0)
    recipe = Recipe("lightgbm", kind, preset, (TARGET,), 1, 1, 0, threads=1)
    oof, _ = walk_forward(panel, folds, [recipe] * len(folds), purge, FitRunner(store))
    eras = np.arange(folds[0].test[0], folds[-1].test[1] + 1)
    holdout = honest.select(eras=eras)
    parts = [files[f"{name}_benchmark_models.parquet"] for name in ("train", "validation")]
    benchmark = benchmark_of(pd.concat([pd.read_parquet(part) for part in parts]), TARGET)
    meta = meta_model_of(pd.read_parquet(files["meta_model.parquet"]))
    ids = holdout.ids()
    columns = pd.DataFrame(
        {
            "ours": oof.set_index("id")["prediction"].reindex(ids),
            "benchmark": benchmark.reindex(ids),
        }
    )
    neutral = holdout.feature_names[:40]
    scores = score_columns(holdout, columns, meta, benchmark, TARGET, neutral)
    ours, reference = columns.to_numpy().T
    like = likeness_of_eras(ours, reference, holdout.era_starts)
    return scores.merge(
        pd.DataFrame({"era": holdout.eras, "model": "ours", "likeness": like}), "left"
    )


def blocked(
    scores: pd.DataFrame,
    windows: list[tuple[int, int]],
    choices: list[tuple[int, int]],
    last_scored: int,
    live_era: int,
    overlap: int,
) -> list[str]:
    """Reasons of the checks that are missed, and block."""
    conf = yaml.safe_load((ROOT / "conf/base/parameters_backtest.yml").read_text())["gate"]
    params = GateParams.model_validate(conf)
    checks: list[Check] = [
        *backtest_checks(scores, "ours", overlap, params, RULE, n_configurations=1),
        *honesty_checks(windows, choices, last_scored, live_era, overlap),
    ]
    missed = [check.reason for check in checks if not check.passed]
    return [reason.name.lower() for reason in missed if reason.kind != "warning"]


def panel_of(
    folder: Path, files: dict[str, Path], world: World, change: Change | None, seed: int
) -> EraPanel:
    """The published history, changed era by era."""
    source = ParquetEras(
        [files["train.parquet"], files["validation.parquet"]],
        features=list(world.feature_sets["all"]),
        targets=[TARGET],
        parse_era=parse_era,
    )
    write_panel(folder, changed(source, change, seed) if change else source)
    return open_panel(folder)


def changed(source: ParquetEras, change: Change, seed: int) -> Iterator[EraRows]:
    """Every era changed by a generator of its own."""
    for rows in source:
        yield change(rows, np.random.default_rng([seed, rows.era]))


def with_copy(rows: EraRows, rng: np.random.Generator) -> EraRows:
    """The first feature becomes a noisy copy of the target, in five bins."""
    target = rows.targets.column(TARGET).to_numpy(zero_copy_only=False).astype(float)
    filled = np.nan_to_num(target, nan=0.5)
    noisy = filled + COPY_NOISE * 0.25 * rng.normal(size=len(filled))
    values = np.array(rows.features.matrix, dtype=np.int8)
    values[:, 0] = np.digitize(noisy, np.quantile(noisy, [0.05, 0.25, 0.75, 0.95]))
    features = FeatureBlock.of(rows.features.names, values)
    return EraRows(rows.era, rows.data_type, rows.ids, features, rows.targets)


def permuted(rows: EraRows, rng: np.random.Generator) -> EraRows:
    """Shuffle the targets: nothing can be learned."""
    targets = rows.targets.take(pa.array(rng.permutation(len(rows.ids))))
    return EraRows(rows.era, rows.data_type, rows.ids, rows.features, targets)


def rates(seeds: dict[str, Any]) -> dict[str, str]:
    """How often each case ended as it should."""
    counted = {}
    for case, reason in WANTED.items():
        right = [
            (not by_case[case]) if reason is None else reason in by_case[case]
            for by_case in seeds.values()
        ]
        counted[case] = f"{sum(right)} of {len(right)}"
    return counted


if __name__ == "__main__":
    main()
