"""Simulated scores of overlapping targets, for tests and evidence: their truth is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from numerai_kedro.ensemble.member_scores import MemberScores

OVERLAP = 12  # weekly eras that a 60-day target spans
# Means and deviations an era, about those of live models.
CORR, BMC = (0.02, 0.0147), (0.003, 0.0139)
PRODUCT = 0.6  # mean product of two members' predictions


def overlapping(
    rng: np.random.Generator, n_eras: int, n_series: int, overlap: int = OVERLAP
) -> npt.NDArray[np.float64]:
    """Moving sums of so many shocks, mean 0, variance 1: float64[n_eras, n_series]."""
    shocks = rng.normal(size=(n_eras + overlap - 1, n_series))
    total = np.cumsum(np.vstack([np.zeros(n_series), shocks]), axis=0)
    return (total[overlap:] - total[:-overlap]) / np.sqrt(overlap)


def member_history(
    seed: int,
    n_members: int = 4,
    n_eras: int = 400,
    noise_from: int | None = None,
    alike: float = 0.7,
) -> MemberScores:
    """Scores of honest members; from `noise_from` on the first is noise of the same spread.

    Parameters
    ----------
    alike
        Share of the variance of a score that members have in common.
    """
    rng = np.random.default_rng(seed)

    def series(mean: float, deviation: float) -> npt.NDArray[np.float64]:
        common = np.sqrt(alike) * overlapping(rng, n_eras, 1)
        own = np.sqrt(1 - alike) * overlapping(rng, n_eras, n_members)
        values = mean + deviation * (common + own)
        if noise_from is not None:
            values[noise_from:, 0] = rng.normal(scale=deviation, size=n_eras - noise_from)
        return values

    products = np.full((n_eras, n_members, n_members), PRODUCT)
    products[:, range(n_members), range(n_members)] = 1.0
    if noise_from is not None:
        products[noise_from:, 0, 1:] = products[noise_from:, 1:, 0] = 0.0
    corr, bmc = series(*CORR), series(*BMC)
    return MemberScores(np.arange(1, n_eras + 1), corr, np.full_like(bmc, np.nan), bmc, products)
