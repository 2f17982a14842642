"""Claim: the gate stops burning, worthless and broken models, and few honest ones.

    make evidence NAME=gate_rates        some minutes; docs/evidence/gate_rates.json is the result

Simulated records of 60-day targets, whose truth is known, at 72, 120 and 353 eras of the test
period, with MMC in the newest 93 of them, are checked by the gate's checks with the project's own
thresholds: honest ones of three strengths, one that was good and fades, one whose CORR is good and
whose MMC burns, a worthless one, and the best of 10 and of 60 worthless ones, whose number the gate
knows. Also measured: the level at which the bound of CORR is corrected for the best of many, and
the false and true positives of the SPA test.

Live predictions are checked by their rank correlation with the benchmark's: in every test era of
the worlds of ``evidence_leaks.py`` an honest model's own, and what it becomes for the same
predictions flipped, with all or 60 % of the rows shuffled, and for noise; and by their
correlation with the champion's.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from scipy.special import stdtr

from claim_seeds import PAGE, Table
from evidence_leaks import RESULT as LEAKS
from evidence_weekly import _code_fingerprint
from numerai_kedro.files import atomic_write
from numerai_kedro.gate.checks import (
    GateParams,
    backtest_checks,
    benchmark_likeness_check,
)
from numerai_kedro.gate.decision import Check
from numerai_kedro.metrics.intervals import implied_variance
from numerai_kedro.metrics.overfitting import superior_predictive_ability
from numerai_kedro.metrics.payout import PayoutRule
from simulated import BMC, CORR, OVERLAP, overlapping

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "gate_rates.json"
LENGTHS = (72, 120, 353)
N_RECORDS, N_BEST, N_TESTS = 100, 1_000, 200
META_ERAS = 93  # the meta model reaches back no further
ALIKE = 0.7  # share of a score's variance that worthless configurations have in common
RULE = PayoutRule(3.0, 15.0)
# Mean CORR and MMC, per era.
STRENGTHS = {
    "honest, strong": (0.03, 0.006),
    "honest": (0.02, 0.003),
    "honest, weak": (0.01, 0.001),
    "burning": (0.02, -0.012),
    "worthless": (0.0, 0.0),
}
FADING = (
    (0.0116, 0.001),
    (0.0036, -0.0025),
)  # a public blend, before the newest 93 eras and within them
COUNTS, LEVELS = (1, 10, 60), (0.5, 0.7, 0.8, 0.9, 0.95)
SPA_LENGTHS, SPA_MODELS, SPA_GAINS = (72, 120, 400), 6, (0.0, 0.3, 0.6)
FIRST_LIVE = 36  # eras before the first one that counts as live
ROWS = {"demo": 800, "numerai": 5_000}
CORRELATIONS = (0.95, 0.8, 0.6, 0.4)  # of two fits of a configuration, or of two of them
Floats = npt.NDArray[np.float64]
Rates = dict[str, Any]


def main() -> None:
    """Compute what the result lacks, then make the page's table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    result = json.loads(options.result.read_text()) if options.result.exists() else {}
    if result.get("code") != _code_fingerprint():
        result = {"code": _code_fingerprint()}
    params = GateParams.model_validate(
        yaml.safe_load((ROOT / "conf/base/parameters_backtest.yml").read_text())["gate"]
    )
    parts: dict[str, Callable[[], Rates]] = {
        "records": partial(records, params),
        "best_of_many": best_of_many,
        "superior": superior,
        "live": partial(live, params),
        "champion": partial(champion, params),
    }
    for name, compute in parts.items():
        if name in result:
            continue
        result[name] = compute()
        with atomic_write(options.result) as handle:
            handle.write((json.dumps(result, indent=1) + "\n").encode())
        print(f"{name}: {json.dumps(result[name])}", flush=True)
    with atomic_write(PAGE / options.result.name) as handle:
        table = json.dumps(page(result), indent=1)
        handle.write((re.sub(r"(?<![\d.])0\.", ".", table) + "\n").encode())


def records(params: GateParams) -> Rates:
    """By length and record: how often it is blocked, and how often each check is missed."""
    rates: Rates = {}
    for n_eras in LENGTHS:
        rng = np.random.default_rng(n_eras)
        makers = {name: partial(record, rng, n_eras, *means) for name, means in STRENGTHS.items()}
        makers["fading"] = partial(fading, rng, n_eras)
        makers |= {f"best of {n} worthless": partial(best, rng, n_eras, n) for n in COUNTS[1:]}
        rates[str(n_eras)] = {name: rates_of(make, params) for name, make in makers.items()}
    return rates


def rates_of(make: Callable[[], tuple[pd.DataFrame, int]], params: GateParams) -> Rates:
    """Share of records that are blocked, and that miss each check."""
    misses: dict[str, int] = {}
    blocked = 0
    for _ in range(N_RECORDS):
        scores, n_configurations = make()
        checks = backtest_checks(scores, "ours", OVERLAP, params, RULE, n_configurations)
        missed = [check.reason for check in checks if not check.passed]
        blocked += any(reason.kind != "warning" for reason in missed)
        for reason in missed:
            misses[reason.name.lower()] = misses.get(reason.name.lower(), 0) + 1
    shares = {name: round(count / N_RECORDS, 3) for name, count in sorted(misses.items())}
    return {"blocked": round(blocked / N_RECORDS, 3), "missed": shares}


def record(
    rng: np.random.Generator, n_eras: int, corr: float, mmc: float
) -> tuple[pd.DataFrame, int]:
    """A record of constant strength, checked alone."""
    levels = np.full(n_eras, corr), np.full(n_eras, mmc)
    return table_of(rng, *levels), 1


def fading(rng: np.random.Generator, n_eras: int) -> tuple[pd.DataFrame, int]:
    """A record that was good and has faded."""
    newest = np.arange(n_eras) >= n_eras - META_ERAS
    levels = (np.where(newest, *pair) for pair in zip(FADING[1], FADING[0], strict=True))
    return table_of(rng, *levels), 1


def best(rng: np.random.Generator, n_eras: int, n: int) -> tuple[pd.DataFrame, int]:
    """The best by CORR of so many independent, worthless configurations."""
    drawn = CORR[1] * overlapping(rng, n_eras, n)
    scores = table_of(rng, np.zeros(n_eras), np.zeros(n_eras))
    scores.loc[scores["model"] == "ours", "corr"] = drawn[:, drawn.mean(axis=0).argmax()]
    return scores, n


def table_of(rng: np.random.Generator, corr: Floats, mmc: Floats) -> pd.DataFrame:
    """Scores around given levels, and a benchmark's with correlated noise."""
    n_eras = len(corr)
    noise = overlapping(rng, n_eras, 4)
    common = np.sqrt(ALIKE) * noise[:, :1] + np.sqrt(1 - ALIKE) * noise[:, 1:3]
    beyond = mmc + BMC[1] * noise[:, 3]
    scored = np.arange(n_eras) >= n_eras - META_ERAS
    ours = pd.DataFrame(
        {
            "model": "ours",
            "corr": corr + CORR[1] * common[:, 0],
            "mmc": np.where(scored, beyond, np.nan),
            "bmc": beyond,
        }
    )
    theirs = pd.DataFrame({"model": "benchmark", "corr": CORR[0] + CORR[1] * common[:, 1]})
    both = [frame.assign(era=np.arange(n_eras), max_exposure=0.1) for frame in (ours, theirs)]
    return pd.concat(both, ignore_index=True)


def best_of_many() -> Rates:
    """By length, number and record: how often the corrected bound passes, by level."""
    rates: Rates = {}
    for n_eras in LENGTHS:
        rng = np.random.default_rng([n_eras, 1])
        honest = {
            name: STRENGTHS[name][0] / CORR[1] + overlapping(rng, n_eras, N_BEST)
            for name in ("honest", "honest, weak")
        }
        rates[str(n_eras)] = {}
        for n in COUNTS:
            worthless = {
                f"best worthless, {alike:.0%} in common": best_columns(rng, n_eras, n, alike)
                for alike in (0.0, ALIKE)
            }
            rates[str(n_eras)][str(n)] = {
                name: {str(level): passes(drawn, level, n) for level in LEVELS}
                for name, drawn in (worthless | honest).items()
            }
    return rates


def best_columns(rng: np.random.Generator, n_eras: int, n: int, alike: float) -> Floats:
    """The best of `n` worthless series, drawn N_BEST times: float64[n_eras, N_BEST]."""
    columns = np.empty((n_eras, N_BEST))
    for k in range(N_BEST):
        common, own = overlapping(rng, n_eras, 1), overlapping(rng, n_eras, n)
        drawn = np.sqrt(alike) * common + np.sqrt(1 - alike) * own
        columns[:, k] = drawn[:, drawn.mean(axis=0).argmax()]
    return columns


def passes(drawn: Floats, level: float, n: int) -> float:
    """Share of series whose bound, as in `gate_checks.best_of_many_check`, is above zero."""
    variance, freedom = implied_variance(drawn, OVERLAP)
    statistics = drawn.mean(axis=0) / np.sqrt(variance / len(drawn))
    return round(float((stdtr(freedom, statistics) > level ** (1 / n)).mean()), 3)


def superior() -> Rates:
    """By length and gain of one of six models: share of p values below .05, beside a bootstrap."""
    by_length: Rates = {}
    for n_eras in SPA_LENGTHS:
        by_length[str(n_eras)] = {}
        for gain in SPA_GAINS:
            rng = np.random.default_rng([n_eras, int(10 * gain)])
            values = []
            for seed in range(N_TESTS):
                drawn = overlapping(rng, n_eras, 1 + SPA_MODELS)
                drawn[:, 1] += gain * np.sqrt(2)  # of the deviation of a difference
                ours, against = drawn[:, 1:], drawn[:, 0]
                tests = (superior_predictive_ability, bootstrapped)
                values.append([test(ours, against, OVERLAP, seed) for test in tests])
            shares = (np.array(values, dtype=float) < 0.05).mean(axis=0)
            names = ("largest t", "bootstrap")
            rates = {name: round(float(rate), 3) for name, rate in zip(names, shares, strict=True)}
            by_length[str(n_eras)][str(gain)] = rates
    return by_length


def bootstrapped(ours: Floats, against: Floats, overlap_eras: int, seed: int) -> float:
    """The same p value by a stationary bootstrap with blocks of three overlap spans."""
    rng = np.random.default_rng(seed)
    differences = ours - against[:, None]
    n = len(differences)
    means = differences.mean(axis=0)
    drawn = np.stack(
        [differences[stationary(rng, n, 3 * overlap_eras)].mean(axis=0) for _ in range(200)]
    )
    deviations = drawn.std(axis=0)
    tried = means / deviations > -np.sqrt(2 * np.log(np.log(n)))
    centred = (drawn - np.where(tried, means, 0.0)) / deviations
    largest = max(0.0, float((means / deviations).max()))
    return float((np.maximum(centred.max(axis=1), 0.0) >= largest).mean())


def stationary(rng: np.random.Generator, n: int, length: int) -> npt.NDArray[np.int64]:
    """Positions of one draw, in blocks of a geometric length that wrap around."""
    begins = rng.random(n) < 1 / length
    begins[0] = True
    block = np.cumsum(begins) - 1
    offset = np.arange(n) - np.flatnonzero(begins)[block]
    return (rng.integers(n, size=block[-1] + 1)[block] + offset) % n


def live(params: GateParams) -> Rates:
    """How often predictions are blocked, or the check is inconclusive, by how they were altered."""
    rng = np.random.default_rng(0)
    honest = [likeness_in(path) for path in sorted(LEAKS.with_suffix("").glob("*.parquet"))]
    rates: Rates = {
        "worlds": len(honest),
        "eras": sum(len(likeness) - FIRST_LIVE for likeness in honest),
    }
    for name, change in changes(rng, ROWS["demo"]).items():
        checks = [
            benchmark_likeness_check(change(likeness[era]), likeness[:era], params)
            for likeness in honest
            for era in range(FIRST_LIVE, len(likeness))
        ]
        rates[name] = {
            "blocked": share(checks, "live_unlike_benchmark"),
            "tells nothing": share(checks, "benchmark_tells_nothing"),
        }
    return rates


def likeness_in(path: Path) -> Floats:
    """Likeness of a world's honest model to the benchmark, era by era."""
    table = pd.read_parquet(path)
    ours = table[(table["case"] == "honest") & (table["model"] == "ours")].sort_values("era")
    return np.asarray(ours["likeness"].to_numpy(dtype=np.float64))


def changes(rng: np.random.Generator, n_rows: int) -> dict[str, Callable[[float], float]]:
    """What a rank correlation becomes when the predictions are altered."""

    def noise() -> float:
        return float(rng.normal(scale=1 / np.sqrt(n_rows)))

    return {
        "honest": lambda like: like,
        "flipped": lambda like: -like,
        "noise": lambda like: noise(),
        "rows in another order": lambda like: noise(),
        "60 % of rows in another order": lambda like: 0.4 * like + 0.8 * noise(),
    }


def share(checks: list[Check], reason: str) -> float:
    """Share of checks that are missed for this reason."""
    missed = [check.reason.name.lower() == reason and not check.passed for check in checks]
    return round(float(np.mean(missed)), 3) if missed else 0.0


def champion(params: GateParams) -> Rates:
    """How often live predictions are found unlike the champion's, by their true correlation."""
    rng = np.random.default_rng(1)
    thresholds = {
        "same configuration": params.min_refit_correlation,
        "another": params.min_champion_correlation,
    }
    rates: Rates = {}
    for data, n_rows in ROWS.items():
        for like in CORRELATIONS:
            drawn = like + (1 - like**2) * rng.normal(scale=1 / np.sqrt(n_rows), size=N_BEST)
            rates[f"{data}, {like}"] = {
                name: {
                    kind: round(
                        float(np.mean([change(correlation) < least for correlation in drawn])), 3
                    )
                    for kind, least in thresholds.items()
                }
                for name, change in changes(rng, n_rows).items()
            }
    return rates


def page(found: Rates) -> Table:
    """How often the gate blocks each kind of record, by eras, and each kind of live predictions."""
    names = list(found["records"][str(LENGTHS[0])])
    rows = [
        [name, *(f"{found['records'][str(n)][name]['blocked']:.3f}" for n in LENGTHS)]
        for name in names
    ]
    live_rows = {name: row for name, row in found["live"].items() if isinstance(row, dict)}
    rows += [[f"live: {name}", *(3 * [f"{row['blocked']:.3f}"])] for name, row in live_rows.items()]
    n_records = len(names) * len(LENGTHS) * N_RECORDS
    return {
        "title": "What the gate blocks",
        "heads": ["record, or live predictions", *(f"{n} eras" for n in LENGTHS)],
        "rows": rows,
        "said": f"Share blocked, of {n_records} simulated records whose truth is known, and of "
        f"{found['live']['eras']} eras of {found['live']['worlds']} demo tournaments.",
    }


if __name__ == "__main__":
    main()
