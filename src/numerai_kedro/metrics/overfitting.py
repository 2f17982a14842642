"""How much of a good record is luck: deflated Sharpe, probability of overfitting, SPA.

Per-era scores of overlapping targets are not independent; methods that assume independence get the
number of independent eras.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from numerai_kedro.metrics.intervals import (
    degrees_of_freedom,
    implied_variance,
    long_run_variance,
)
from numerai_kedro.metrics.ranks import Matrix, Vector

EULER_GAMMA = 0.5772156649015329
MAX_BLOCKS, MIN_BLOCKS = 16, 4
MEAN_DECIMALS = 12  # of scores below 1: smaller differences count as ties
SPA_DRAWS, SPA_SPANS = 2_000, 6


def overlap_sharpe(scores: Vector, overlap_eras: int) -> float:
    """Mean over the root of the long-run variance: a Sharpe ratio corrected for overlap.

    Per era, like `performance.sharpe`, and smaller: with a 60-day target by about a third to a
    half of it. NaN below two spans of the target.
    """
    resolved = scores[~np.isnan(scores)]
    if len(resolved) < 2 * overlap_eras:
        return float("nan")
    variance = long_run_variance(resolved, degrees_of_freedom(len(resolved), overlap_eras))
    return float(resolved.mean() / math.sqrt(variance)) if variance > 0 else float("nan")


def expected_max_sharpe(variance: float, n_trials: int) -> float:
    """Expected Sharpe of the best of `n_trials` procedures without skill.

    Parameters
    ----------
    variance
        Of the Sharpes of the procedures.

    References
    ----------
    Bailey and Lopez de Prado (2014), The deflated Sharpe ratio, JPM 40:94, equation 1.
    """
    if n_trials < 2:
        return 0.0
    first = ndtri(1 - 1 / n_trials)
    second = ndtri(1 - 1 / (n_trials * math.e))
    return float(math.sqrt(variance) * ((1 - EULER_GAMMA) * first + EULER_GAMMA * second))


def probabilistic_sharpe(
    sharpe: float, against: float, n_independent: float, skewness: float, kurtosis: float
) -> float:
    """Probability that the true Sharpe is above `against`; kurtosis of a normal is 3."""
    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return float(ndtr((sharpe - against) * math.sqrt(n_independent - 1) / math.sqrt(spread)))


def deflated_sharpe(scores: Vector, n_procedures: int, overlap_eras: int) -> float:
    """Probability that a record's Sharpe exceeds that of the best of `n_procedures` by luck.

    Parameters
    ----------
    scores : float64[n_eras]
        Per era, in time order; NaN is left out.
    n_procedures
        All that were ever tried on these eras, including this one. The variance of their Sharpes is
        taken as that without skill, one over the number of independent eras.

    Returns
    -------
    float
        NaN with fewer than three independent eras.
    """
    resolved = scores[~np.isnan(scores)]
    n_independent = len(resolved) / overlap_eras
    deviation = resolved.std(ddof=1) if len(resolved) > 1 else 0.0
    if n_independent < 3 or deviation == 0:
        return float("nan")
    centred = (resolved - resolved.mean()) / resolved.std()
    sharpe = float(resolved.mean() / deviation)
    luck = expected_max_sharpe(1 / (n_independent - 1), n_procedures)
    skewness, kurtosis = float((centred**3).mean()), float((centred**4).mean())
    return probabilistic_sharpe(sharpe, luck, n_independent, skewness, kurtosis)


def minimum_detectable(differences: Vector, overlap_eras: int, level: float = 0.9) -> float:
    """Mean difference that a one-sided test at `level` detects with power .8; else NaN."""
    from scipy.special import stdtrit

    resolved = differences[~np.isnan(differences)]
    if len(resolved) < 2 * overlap_eras:
        return float("nan")
    n_cosines = degrees_of_freedom(len(resolved), overlap_eras)
    error = math.sqrt(long_run_variance(resolved, n_cosines) / len(resolved))
    return float((stdtrit(n_cosines, level) + stdtrit(n_cosines, 0.8)) * error)


def probability_of_overfitting(scores: Matrix, overlap_eras: int) -> float | None:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation, purged.

    The share of splits in which the best configuration of one half of the blocks is below the
    median in the other. A block is at least as long as a target; if its predecessor is in the other
    half, its first eras, whose targets overlap both, are dropped. Without the purge, configurations
    without skill get .34 instead of .5 with 78 eras of 60-day targets.

    Parameters
    ----------
    scores : float64[n_eras, n_configurations]
        In time order; eras where one is NaN are left out.

    Returns
    -------
    float or None
        None with fewer than two configurations or fewer than four spans of the target.

    References
    ----------
    Bailey, Borwein, Lopez de Prado and Zhu (2017), The probability of backtest overfitting, JCF
    20:39.
    """
    whole = scores[~np.isnan(scores).any(axis=1)]
    n_blocks = blocks_for(len(whole), overlap_eras)
    n_configurations = scores.shape[1]
    if n_configurations < 2 or n_blocks < MIN_BLOCKS:
        return None
    blocks = np.array_split(whole, n_blocks)
    sums = np.stack([block.sum(axis=0) for block in blocks])
    counts = np.array([len(block) for block in blocks], dtype=float)
    purge = overlap_eras - 1
    edges = np.stack([block[:purge].sum(axis=0) for block in blocks])
    inside = _halves(n_blocks)
    cut = np.zeros_like(inside)
    cut[:, 1:] = inside[:, 1:] != inside[:, :-1]

    def means_of(half: Matrix) -> Matrix:
        purged = half * cut
        n_eras = half @ counts - purge * purged.sum(axis=1)
        # Rounded: a matrix product may sum equal columns in different orders.
        return np.round((half @ sums - purged @ edges) / n_eras[:, None], MEAN_DECIMALS)

    means, held_out = means_of(inside), means_of(1 - inside)
    best = means.argmax(axis=1)
    of_best = held_out[np.arange(len(held_out)), best][:, None]
    # Ties count half: identical configurations must not look overfitted, nor well chosen.
    ranks = (held_out < of_best).sum(axis=1) + ((held_out == of_best).sum(axis=1) + 1) / 2
    relative = ranks / (n_configurations + 1)
    logits = np.log(relative / (1 - relative))
    return float((logits < 0).mean() + (logits == 0).mean() / 2)


def blocks_for(n_eras: int, overlap_eras: int) -> int:
    """Number of blocks for `n_eras`: even, each at least one target span long."""
    return min(MAX_BLOCKS, n_eras // overlap_eras // 2 * 2)


def _halves(n_blocks: int) -> npt.NDArray[np.float64]:
    """One row per way to choose half of the blocks: 1 where chosen."""
    chosen = list(itertools.combinations(range(n_blocks), n_blocks // 2))
    inside = np.zeros((len(chosen), n_blocks))
    np.put_along_axis(inside, np.array(chosen), 1.0, axis=1)
    return inside


def superior_predictive_ability(
    ours: Matrix, against: Vector, overlap_eras: int, seed: int
) -> float | None:
    """P value of "none of ours is better than `against`": Hansen's test by the largest t.

    With overlapping targets, the usual bootstrap rejects too often (arch: .2 instead of .05 at 72
    eras, .1 at 400). Here each mean is tested with the variance that full overlap implies, and the
    largest t is compared with the largest of as many t values drawn with the models' correlation:
    .040, .055 and .010 at 72, 120 and 400 eras, less where neighbours are less correlated
    (docs/evidence/gate_rates.json).

    Parameters
    ----------
    ours : float64[n_eras, n_models]
    against : float64[n_eras]
        Scores, more is better; eras where one is NaN are left out.

    Returns
    -------
    float or None
        None with fewer than six spans of a target.

    References
    ----------
    Hansen (2005), A test for superior predictive ability, JBES 23:365; the consistent version:
    models far worse than `against` are not counted.
    """
    complete = ~(np.isnan(ours).any(axis=1) | np.isnan(against))
    if complete.sum() < SPA_SPANS * overlap_eras:
        return None
    differences = ours[complete] - against[complete, None]
    # A constant difference has no variance to test with.
    differences = differences[:, differences.std(axis=0) > 1e-12]
    if not differences.shape[1]:
        return None
    n = len(differences)
    variance, freedom = implied_variance(differences, overlap_eras)
    statistics = differences.mean(axis=0) / np.sqrt(variance / n)
    tried = statistics > -math.sqrt(2 * math.log(math.log(n)))
    if not tried.any():
        return 1.0
    correlation = np.atleast_2d(np.corrcoef(differences[:, tried].T))
    drawn = largest_t(correlation, round(freedom), np.random.default_rng(seed))
    return float((1 + (drawn >= statistics.max()).sum()) / (1 + len(drawn)))


def largest_t(correlation: Matrix, degrees_of_freedom: int, rng: np.random.Generator) -> Vector:
    """Draws of the largest of several correlated t values: float64[n_draws].

    Their variances are estimated from draws of the same correlation, so that they are as correlated
    as those of the models.
    """
    size = (SPA_DRAWS, 1 + degrees_of_freedom)
    drawn = rng.multivariate_normal(np.zeros(len(correlation)), correlation, size, method="eigh")
    values = drawn[:, 0] / np.sqrt((drawn[:, 1:] ** 2).mean(axis=1))
    return np.asarray(values.max(axis=1))
