"""Claim: the burn forecast's interval covers the payoff of twelve live weeks at its level.

    make evidence NAME=burn        resumable seed by seed; docs/evidence/burn.json

Claim seeds 1200-1399: the tiny demo, grown until the record has as many eras as the real meta model
had, paid by the 60-day target. The benchmark model stands for a participant. Its payoffs up to the
frontier forecast the twelve weeks from the live era on, which are scored on the hidden truth: their
mean should lie in the 95 % interval in 95 of 100 worlds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from claim_seeds import parser, run_seeds
from evidence_ensemble import MULTIPLIERS, TARGET
from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.demo.world import World
from numerai_kedro.metrics.payout import FORECAST_WEEKS, PayoutRule, forecast_burn
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.numerai.schema import overlap_eras

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "burn.json"
SEEDS = range(1200, 1400)
RECORD_ERAS = 160
UNRESOLVED_ERAS = 14  # how far the frontier of a 60-day target lies behind the live era
COLUMN = 1  # of the benchmarks: the model of the 60-day target


def main() -> None:
    """Run what is missing, then count."""
    options = parser(__doc__, "tiny", SEEDS, RESULT).parse_args()
    run_seeds(
        options,
        lambda folder, seed: one_seed(folder, options.size, seed),
        lambda seeds: {"summary": summary(seeds)},
    )


def one_seed(folder: Path, size: str, seed: int) -> dict[str, float]:
    """The forecast, and the payoff that followed."""
    demo = SIZES[size]
    frontier = demo.first_benchmark_era + RECORD_ERAS - 1
    live = frontier + UNRESOLVED_ERAS
    world = World.open(folder, demo, seed, last_era=live + FORECAST_WEEKS - 1)
    column = list(world.target_names).index(TARGET)
    # No clip, as with today's: a hundred stocks score more than five thousand, and a clip that
    # binds would make the mean of any weeks the same.
    rule = PayoutRule(*MULTIPLIERS, clip=np.inf)

    def paid(first: int, last: int) -> np.ndarray:
        rows = []
        for era in range(first, last + 1):
            truth = world.targets(era)[:, column].astype(float)
            ours = world.benchmark(era)[:, [COLUMN]].astype(float)
            starts, crowd = np.array([0, len(truth)]), world.meta_model(era).astype(float)
            rows.append(rank_scores(starts, ours, truth, [crowd])[:, 0, 0])
        corr, mmc = np.transpose(rows)
        return rule.returns(corr, mmc)

    forecast = forecast_burn(paid(demo.first_benchmark_era, frontier), overlap_eras(TARGET))
    assert forecast is not None
    low, high = forecast.interval()
    came = float(paid(live, live + FORECAST_WEEKS - 1).mean())
    return {"low": low, "mean": forecast.mean, "high": high, "came": came}


def summary(seeds: dict[str, Any]) -> dict[str, float]:
    """Shares of worlds whose weeks lie inside, below and above the interval."""
    low, high, came = (
        np.array([world[name] for world in seeds.values()]) for name in ("low", "high", "came")
    )
    covered = float(((low <= came) & (came <= high)).mean())
    return {
        "worlds": len(came),
        "held": covered,
        "standard_error": float(np.sqrt(covered * (1 - covered) / len(came))),
        "below": float((came < low).mean()),
        "above": float((came > high).mean()),
    }


if __name__ == "__main__":
    main()
