"""Claim: features that persist are found, features that drift or say nothing are not.

    make evidence NAME=discovery         resumable seed by seed; docs/evidence/discovery.json
    python benchmarks/evidence_discovery.py --size 520x1000x120 --seeds 0 --result trial.json

Claim seeds 1000-1019. The demo's market at 1,040 eras x 2,000 stocks x 240 features, with 24 causal
features, 36 whose sign follows a regime, 16 that act in pairs only, and a signal so strong that the
causal ones have a mean CORR of .0055 with the target, for the 60-day target as for the 20-day one.
Every verdict is by the library's own rule, at a false discovery rate of .10. Compared are

stable
    The verdict: one sign in two of three regimes, and of the partial effect over all eras.
mean_test
    The mean over all eras, robust to overlap.
naive
    The mean as if eras were independent.

False discoveries are clusters that hold nothing but features that drift, with their variants, and
pure nulls, whose factor has no feature that acts. A null that shares its factor with one is no
exact null, as the target is neutral to factors and features are in bins: ``strict_fdp`` counts it
too. A variant of a feature that acts has an effect, and is never false. The same targets are then
moved to other eras in blocks of 52, five times over, where nothing is left to be found.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from scipy import stats

from claim_seeds import LEVEL, interval, parser, run_seeds
from numerai_kedro.data.verdict import Verdict
from numerai_kedro.demo.market import Market, MarketWeek
from numerai_kedro.demo.sizes import DemoSize
from numerai_kedro.demo.targets import (
    MAX_WEEKS,
    neutral_returns,
    style_basis,
    target_after,
)
from numerai_kedro.demo.truth import EFFECTS, OWN_SHARE, Truth, draw_truth
from numerai_kedro.features.clusters import NO_CLUSTER
from numerai_kedro.features.discovery import DiscoveryRule, discover
from numerai_kedro.features.era_tables import MISSING, corr, era_table, target_levels
from numerai_kedro.features.invariance import q_values
from numerai_kedro.features.sufficient import Products
from numerai_kedro.metrics.ranks import Matrix
from numerai_kedro.runtime.parameters import FeatureParams

Features = npt.NDArray[np.int8]

RESULT = Path(__file__).parents[1] / "docs" / "evidence" / "discovery.json"
SEEDS = range(1000, 1020)
SIZE = "1040x2000x240"
PLANTED = 0.0055
# Signal scale at which causal features have a mean CORR of one with a target of so many days, if it
# were linear; by seeds 0 and 1, and the roles of fifty more. Own parts of features decay before 60
# days are over, so that the same mean CORR takes a stronger signal.
SCALE_OF_CORR = {20: 202.0, 60: 270.0}
CONF = Path(__file__).parents[1] / "conf" / "base" / "parameters_feature_engineering.yml"
SHIPPED = FeatureParams.model_validate(yaml.safe_load(CONF.read_text())["feature_engineering"])
RULES = {20: SHIPPED.rule(gap=8, overlap_eras=4), 60: SHIPPED.rule(gap=16, overlap_eras=12)}
CAUSAL, PAIRED = 24, 16  # the generator's own numbers at 240 features are 22 and 8
STREAM_ROLES, STREAM_BLOCKS = 20, 21
BLOCK_ERAS, PERMUTATIONS = 52, 5
TESTS = ("stable", "mean_test", "naive")
FALSE = ("drifting", "pure null")
LEAST_POWER = {"stable": 0.75, "mean_test": 0.9}
MOST_DRIFTING = 0.05


def main() -> None:
    """Run what is missing, then say what holds."""
    cli = parser(__doc__ or "", SIZE, SEEDS, RESULT)
    cli.add_argument("--planted", type=float, default=PLANTED, help="mean CORR of causal ones")
    options = cli.parse_args()
    n_eras, n_stocks, n_features = map(int, options.size.split("x"))
    size = DemoSize("discovery", n_eras, n_stocks, n_features, last_train_era=n_eras // 3)
    run_seed = partial(one_seed, size=size, planted=options.planted)
    seeds = run_seeds(options, run_seed, lambda seeds: {"summary": summary(seeds)})
    print(json.dumps(summary(seeds), indent=1))


def one_seed(folder: Path, seed: int, size: DemoSize, planted: float) -> dict[str, Any]:
    """What every test calls, by days of the target, beside what is planted."""
    truth = roles_as_in_recipe(draw_truth(size, seed), seed)
    scales = {days: planted * scale for days, scale in SCALE_OF_CORR.items()}
    seen = record(folder, Market(size, seed, truth, 1.0), scales)
    correlation, kinds = seen.products.correlation(), kinds_of(truth)
    counts = zip(*np.unique(kinds, return_counts=True), strict=True)
    results: dict[str, Any] = {"features": {str(kind): int(count) for kind, count in counts}}
    moved = list(permuted_effects(folder, seen, seed))
    for days, effects in seen.effects.items():
        called = calls(truth.names, effects, correlation, RULES[days])
        nothing = [calls(truth.names, by_days[days], correlation, RULES[days]) for by_days in moved]
        results[str(days)] = {
            **planted_corr(effects, truth),
            "clusters": int(called["cluster"].max() + 1),
            **{name: recall_of(called, name, truth, kinds) for name in TESTS},
            "permuted": {
                name: [int(permuted[name].sum()) for permuted in nothing] for name in TESTS
            },
        }
    return results


def roles_as_in_recipe(truth: Truth, seed: int) -> Truth:
    """The generator's truth, where some of its null features are causal or act in pairs instead."""
    rng = np.random.default_rng([seed, STREAM_ROLES])
    share = len(truth.names) / int(SIZE.split("x")[2])
    idle = rng.permutation(truth.bases[truth.role[truth.bases] == "null"])
    # Beside features that act, as long as there are: factors without any keep their pure nulls.
    idle = idle[np.argsort(kinds_of(truth)[idle] == "pure null", kind="stable")]
    n_causal = max(round(CAUSAL * share) - len(truth.with_role("causal")), 0)
    n_paired = max(round(PAIRED * share) - len(truth.with_role("interaction")), 0) // 2 * 2
    causal, paired = np.split(idle[: n_causal + n_paired], [n_causal])
    role, effect = truth.role.copy(), truth.effect.copy()
    role[causal], role[paired] = "causal", "interaction"
    sizes = rng.uniform(*EFFECTS, len(causal)) / np.sqrt(1 - truth.loading[causal] ** 2)
    effect[causal] = OWN_SHARE * sizes * rng.choice([-1, 1], len(causal))
    pairs = np.concatenate([truth.pairs, paired.reshape(-1, 2)])
    signs = rng.choice([-1.0, 1.0], len(paired) // 2).astype(np.float32)
    return replace(
        truth,
        role=role,
        effect=effect,
        pairs=pairs,
        pair_effect=np.concatenate([truth.pair_effect, signs]),
    )


def kinds_of(truth: Truth) -> npt.NDArray[np.str_]:
    """What each feature is to the target, by its base: a role, ``pure null`` or ``shared null``."""
    kinds = truth.role[truth.base]
    null = kinds == "null"
    acting = np.isin(truth.factor, truth.factor[~null])
    return np.where(null, np.where(acting, "shared null", "pure null"), kinds)


@dataclass(frozen=True)
class Record:
    """One pass over the eras; rows of an era in the order of their stocks' age.

    Parameters
    ----------
    products
        Of all features.
    effects
        By days of the target, float64[n_eras, n_features].
    targets
        By days of the target, one array an era.
    """

    products: Products
    effects: dict[int, Matrix]
    targets: dict[int, list[npt.NDArray[np.float32]]]


def record(folder: Path, market: Market, scales: dict[int, float]) -> Record:
    """Score every era as it is simulated; features go to the folder, an era a file."""
    n_features = market.size.n_features
    gram, sums = np.zeros((n_features, n_features)), np.zeros(n_features)
    rows: list[int] = []
    present: list[npt.NDArray[np.bool_]] = []
    effects: dict[int, list[Matrix]] = {days: [] for days in scales}
    targets: dict[int, list[npt.NDArray[np.float32]]] = {days: [] for days in scales}
    for weeks in twelve_weeks(market):
        order = np.argsort(weeks[0].identities)
        features = np.asfortranarray(weeks[0].features[order])
        np.save(folder / f"{len(rows)}.npy", features)
        centred = features.astype(np.float32) - MISSING
        gram += centred.T @ centred
        sums += centred.sum(axis=0, dtype=np.float64)
        rows.append(len(features))
        present.append(np.asarray(centred.any(axis=0)))
        for days, target in targets_of(weeks, scales).items():
            targets[days].append(target[order])
            effects[days].append(effect(features, target[order]))
    products = Products(gram, sums, np.array(rows), np.array(present))
    return Record(
        products, {days: np.stack(era_effects) for days, era_effects in effects.items()}, targets
    )


def twelve_weeks(market: Market) -> Iterator[list[MarketWeek]]:
    """Every era of the history with the eleven weeks after it."""
    state = market.first_state()
    waiting: deque[MarketWeek] = deque(maxlen=MAX_WEEKS)
    for _ in range(market.size.n_eras + MAX_WEEKS - 1):
        waiting.append(market.week(state))
        market.step_(state)
        if len(waiting) == MAX_WEEKS:
            yield list(waiting)


def targets_of(
    weeks: list[MarketWeek], scales: dict[int, float]
) -> dict[int, npt.NDArray[np.float32]]:
    """Targets of the first week by days, each in a market of its own signal scale.

    The market itself has scale 1; returns are linear in the signal.
    """
    slots, basis = weeks[0].slots, style_basis(weeks[0].styles)
    returns = np.column_stack([week.returns[slots] for week in weeks])
    signals = []
    for week in weeks:
        signal = np.zeros_like(week.returns)
        signal[week.slots] = week.signal.sum(axis=1)
        signals.append(signal[slots])
    signal = np.column_stack(signals)
    return {
        days: target_after(neutral_returns(returns + np.float32(scale - 1) * signal, basis), days)
        for days, scale in scales.items()
    }


def effect(features: Features, target: npt.NDArray[np.float32]) -> Matrix:
    """CORR of each feature in one era."""
    levels = target_levels(target.astype(np.float64), "target")
    return corr(era_table(features, target, levels), levels)


def permuted_effects(folder: Path, seen: Record, seed: int) -> Iterator[dict[int, Matrix]]:
    """Effects where each block of eras meets the targets of another block, several times over.

    From era to era a stock meets the targets of another block's stock of the same age, so that
    targets overlap as before. Where the numbers of stocks differ, the youngest are left out.
    """
    rng = np.random.default_rng([seed, STREAM_BLOCKS])
    n_eras = len(seen.products.rows)
    of_era = [moved_blocks(n_eras, rng) for _ in range(PERMUTATIONS)]
    permuted: list[dict[int, list[Matrix]]] = [{days: [] for days in seen.effects} for _ in of_era]
    for era in range(n_eras):
        features = np.load(folder / f"{era}.npy")
        for moved, by_days in zip(of_era, permuted, strict=True):
            for days, effects in by_days.items():
                target = seen.targets[days][moved[era]]
                shared = min(len(features), len(target))
                effects.append(effect(features[:shared], target[:shared]))
    for by_days in permuted:
        yield {days: np.stack(effects) for days, effects in by_days.items()}


def moved_blocks(n_eras: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """The era whose targets each era takes: blocks in one random cycle, so that none stays.

    Eras beyond the last whole block belong to it.
    """
    n_blocks = n_eras // BLOCK_ERAS
    cycle = rng.permutation(n_blocks)
    source = np.empty(n_blocks, np.intp)
    source[cycle] = np.roll(cycle, 1)
    blocks = np.minimum(np.arange(n_eras) // BLOCK_ERAS, n_blocks - 1)
    return np.arange(n_eras) + (source[blocks] - blocks) * BLOCK_ERAS


def calls(
    names: list[str], effects: Matrix, correlation: Matrix, rule: DiscoveryRule
) -> pd.DataFrame:
    """One row a feature: ``cluster``, and whether each test calls it."""
    report = discover(names, effects, correlation, rule)
    clusters = (
        report[report["cluster"] != NO_CLUSTER].drop_duplicates("cluster").set_index("cluster")
    )
    naive = pd.Series(q_values(clusters["naive_p"].to_numpy(float)), clusters.index)
    return pd.DataFrame(
        {
            "cluster": report["cluster"],
            "stable": report["verdict"] == Verdict.STABLE,
            "mean_test": report["q"] <= rule.q,
            "naive": report["cluster"].map(naive) <= rule.q,
        }
    )


def recall_of(
    called: pd.DataFrame, test: str, truth: Truth, kinds: npt.NDArray[np.str_]
) -> dict[str, Any]:
    """Clusters called, false ones among them, and how many features of each kind are called.

    Shares of the features with a role, without their variants; numbers of nulls.
    """
    chosen = called[test].to_numpy()
    of_cluster = pd.Series(kinds)[chosen].groupby(called["cluster"][chosen])
    false, strict = (
        sum(set(kinds_within) <= {*FALSE, *also} for _, kinds_within in of_cluster)
        for also in ((), ("shared null",))
    )
    return {
        "called": len(of_cluster),
        "fdp": false / max(len(of_cluster), 1),
        "strict_fdp": strict / max(len(of_cluster), 1),
        **{
            role: float(chosen[truth.with_role(role)].mean())
            for role in ("causal", "drifting", "interaction", "collapsed")
        },
        **{kind: int(chosen[kinds == kind].sum()) for kind in ("pure null", "shared null")},
    }


def planted_corr(effects: Matrix, truth: Truth) -> dict[str, float]:
    """Mean CORR of causal features, each with the sign that is planted, and its deviation."""
    causal = truth.with_role("causal")
    series = effects[:, causal] * np.sign(truth.effect[causal])
    return {
        "planted_corr": float(np.nanmean(series)),
        "least_planted": float(np.nanmean(series, axis=0).min()),
        "corr_std": float(np.nanmean(np.nanstd(series, axis=0))),
    }


def summary(seeds: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Means over seeds with t intervals, and what of the claim holds."""
    summaries = {}
    for days in RULES:
        runs = [result[str(days)] for result in seeds.values()]
        summaries[f"{days} days"] = {
            "planted_corr": interval([run["planted_corr"] for run in runs]),
            "corr_std": interval([run["corr_std"] for run in runs]),
            **{test: figures(runs, test) for test in TESTS},
            "holds": {test: holds(runs, test) for test in LEAST_POWER},
        }
    return summaries


def figures(runs: list[dict[str, Any]], test: str) -> dict[str, str]:
    """Every figure of one test; the share of permuted runs with any call has a binomial interval.

    Permuted runs of one seed share its features, so that the interval is a little narrow.
    """
    intervals = {name: interval([run[test][name] for run in runs]) for name in runs[0][test]}
    share, low, high = any_call(runs, test)
    return intervals | {
        "fdp_standard_error": f"{standard_error([run[test]['fdp'] for run in runs]):.4f}",
        "permuted_any": f"{share:.4f} [{low:.4f}, {high:.4f}]",
    }


def holds(runs: list[dict[str, Any]], test: str) -> dict[str, bool]:
    """Whether each part of the claim holds."""
    fdp, power, drifting = (
        [run[test][name] for run in runs] for name in ("fdp", "causal", "drifting")
    )
    return {
        "fdp": bool(np.mean(fdp) <= SHIPPED.q + 2 * standard_error(fdp)),
        "power": bool(np.mean(power) >= LEAST_POWER[test]),
        "drifting": bool(np.mean(drifting) <= MOST_DRIFTING),
        "permuted": any_call(runs, test)[0] <= SHIPPED.q,
    }


def standard_error(values: list[float]) -> float:
    """Standard error of a mean over seeds; 0 for a single seed."""
    return float(stats.sem(values)) if len(values) > 1 else 0.0


def any_call(runs: list[dict[str, Any]], test: str) -> tuple[float, float, float]:
    """Share of permuted runs in which anything is called, and its exact interval."""
    called = np.concatenate([run["permuted"][test] for run in runs]) > 0
    reach = stats.binomtest(int(called.sum()), len(called)).proportion_ci(LEVEL)
    return float(called.mean()), float(reach.low), float(reach.high)


if __name__ == "__main__":
    main()
