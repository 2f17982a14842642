"""Which effects persist over eras, and which have one sign in most long regimes.

A series of effects has one value an era: the correlation of a feature with the target inside that
era, or its share in a regression on all features. Nothing here proves causation: data are
observational and anonymised. An effect that passes is a replicable predictor.

References
----------
Lazarus, Lewis, Stock and Watson (2018), HAR Inference, JBES 36:541 (tests of means).
Benjamini and Heller (2008), Screening for Partial Conjunction Hypotheses, Biometrics 64:1215.
Benjamini and Hochberg (1995), JRSS-B 57:289; Benjamini and Yekutieli (2001), AoS 29:1165.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, fdtrc, stdtr  # importing scipy.stats takes half a second

from numerai_kedro.metrics.intervals import MIN_ERAS, cosine_powers, degrees_of_freedom
from numerai_kedro.metrics.ranks import Matrix, Vector

Columns = npt.NDArray[np.int64]
CONSTANT = 1e-24  # a variance of a mean below it is rounding error

# Regimes shorter than this many target spans are not tested.
MIN_TARGETS = 4


def n_cosines(n_eras: int, overlap_eras: int) -> int:
    """Degrees of freedom of a test on `n_eras` eras of overlapping targets.

    The paper's own rule, .4 T^(2/3), but without cosines whose half-wave is shorter than three
    target spans: those miss most of the variance, and for targets of 12 eras the rule has many of
    them.
    """
    return min(int(0.4 * n_eras ** (2 / 3)), degrees_of_freedom(n_eras, overlap_eras))


@dataclass(frozen=True)
class MeanTest:
    """Whether effects differ from zero on average; all arrays are of length n_series.

    Parameters
    ----------
    n_eras
        Eras in which the effect is known.
    mean, t, p
        NaN where there are too few eras or the series is constant. Two-sided.
    naive_p
        As if eras were independent: for comparison, never for a verdict.
    """

    n_eras: npt.NDArray[np.int64]
    mean: Vector
    t: Vector
    p: Vector
    naive_p: Vector

    def p_of(self, sign: int) -> Vector:
        """One-sided p of a mean of this sign; 1 if there is no test."""
        with np.errstate(invalid="ignore"):
            one_sided = np.where(sign * self.t > 0, self.p / 2, 1 - self.p / 2)
        return np.nan_to_num(one_sided, nan=1.0)


def mean_test(effects: Matrix, overlap_eras: int) -> MeanTest:
    """Test each series' mean, robust to overlap and drift.

    Parameters
    ----------
    effects : float64[n_eras, n_series]
        In time order; NaN where an effect is not known.
    overlap_eras
        How many weekly eras one target spans: 4 for 20 days, 12 for 60.
    """
    n_series = effects.shape[1]
    mean, t, p, naive_p = np.full((4, n_series), np.nan)
    n_eras = (~np.isnan(effects)).sum(axis=0)
    for eras, columns in by_known_eras(effects):
        n = len(eras)
        series = effects[np.ix_(eras, columns)]
        mean[columns] = series.mean(axis=0) if n else np.nan
        if n < MIN_ERAS:
            continue
        dof = n_cosines(n, overlap_eras)
        variance = cosine_powers(series, dof).mean(axis=0)
        t[columns] = _ratio(series.mean(axis=0), variance / n)
        naive = _ratio(series.mean(axis=0), series.var(axis=0, ddof=1) / n)
        p[columns] = 2 * stdtr(dof, -np.abs(t[columns]))
        naive_p[columns] = 2 * stdtr(n - 1, -np.abs(naive))
    return MeanTest(n_eras, mean, t, p, naive_p)


@dataclass(frozen=True)
class Regimes:
    """Long contiguous blocks of eras, by position: ``starts[r]`` to ``stops[r]`` (exclusive)."""

    starts: tuple[int, ...]
    stops: tuple[int, ...]

    @classmethod
    def of(cls, n_eras: int, n_regimes: int, gap: int) -> Regimes:
        """Cut eras into nearly equal blocks; each but the first loses its first `gap` eras.

        With a gap as long as the purge, blocks share no target.
        """
        borders = np.linspace(0, n_eras, n_regimes + 1).round().astype(int).tolist()
        starts = [border + (gap if number else 0) for number, border in enumerate(borders[:-1])]
        return cls(tuple(starts), tuple(borders[1:]))

    def __iter__(self) -> Iterator[slice]:
        return (slice(*pair) for pair in zip(self.starts, self.stops, strict=True))


@dataclass(frozen=True)
class RegimeTest:
    """Test of each series in each regime.

    Parameters
    ----------
    means, variances : float64[n_regimes, n_series]
        Means and their variances; NaN where a regime is too short for the series.
    dof : int64[n_series]
        Degrees of freedom of every t: the long-run variance is pooled over the regimes.
    """

    means: Matrix
    variances: Matrix
    dof: npt.NDArray[np.int64]

    @property
    def t(self) -> Matrix:
        """float64[n_regimes, n_series]; NaN where a regime has no test."""
        return _ratio(self.means, self.variances)

    def p(self, sign: int) -> Matrix:
        """One-sided p of an effect of this sign; 1 where a regime has no test."""
        return np.nan_to_num(stdtr(np.maximum(self.dof, 1), -sign * self.t), nan=1.0)

    @property
    def known(self) -> npt.NDArray[np.int64]:
        """Number of regimes with a test, int64[n_series]."""
        return (~np.isnan(self.t)).sum(axis=0)


def regime_test(effects: Matrix, regimes: Regimes, overlap_eras: int) -> RegimeTest:
    """Test each series' mean in every regime, with one long-run variance for all of them.

    Notes
    -----
    Pooled, because one regime has a handful of independent values: with its own variance, no test
    would have power. Where regimes differ in noise, quiet ones are tested too strictly and noisy
    ones too leniently: with one regime 1.5, 2 or 3 times as noisy, the simulated size of a
    conjunction of two of three at .01 is .013, .020 and .032.
    """
    n_series, parts = effects.shape[1], list(regimes)
    means, sizes = np.full((2, len(parts), n_series), np.nan)
    powers, dof = np.zeros(n_series), np.zeros(n_series, dtype=np.int64)
    for number, part in enumerate(parts):
        for eras, columns in by_known_eras(effects[part]):
            if len(eras) < MIN_TARGETS * overlap_eras:
                continue
            series = effects[part][np.ix_(eras, columns)]
            means[number, columns], sizes[number, columns] = series.mean(axis=0), len(eras)
            n_powers = n_cosines(len(eras), overlap_eras)
            powers[columns] += cosine_powers(series, n_powers).sum(axis=0)
            dof[columns] += n_powers
    return RegimeTest(means, powers / np.maximum(dof, 1) / sizes, dof)


def partial_conjunction(least: int, tested: RegimeTest, *also: MeanTest) -> Vector:
    """Two-sided p of the null that fewer than `least` regimes have an effect of the same sign.

    Fisher's combination of all but the `least` - 1 smallest p-values; regimes are independent.
    The means in `also` must differ from zero with that sign too: the largest p of tests that must
    all pass is valid under any dependence.
    """
    by_sign = [
        np.max([_at_least(tested, least, sign), *(test.p_of(sign) for test in also)], axis=0)
        for sign in (1, -1)
    ]
    return np.minimum(1.0, 2 * np.minimum(*by_sign))


def _at_least(tested: RegimeTest, least: int, sign: int) -> Vector:
    p_values = np.sort(tested.p(sign), axis=0)[least - 1 :]
    statistic = -2 * np.log(np.maximum(p_values, np.finfo(float).tiny)).sum(axis=0)
    return chdtrc(2 * len(p_values), statistic)


def heterogeneity(tested: RegimeTest) -> Vector:
    """Test that all regimes have one mean: p by F, whose denominator is the pooled variance's.

    NaN where fewer than two regimes are known.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(tested.variances > CONSTANT, 1 / tested.variances, np.nan)
        centre = np.nansum(weights * tested.means, axis=0) / np.nansum(weights, axis=0)
        q = np.nansum(weights * (tested.means - centre) ** 2, axis=0)
    free = tested.known - 1
    p = fdtrc(np.maximum(free, 1), np.maximum(tested.dof, 1), q / np.maximum(free, 1))
    return np.where(free >= 1, p, np.nan)


def flips(tested: RegimeTest) -> npt.NDArray[np.bool_]:
    """Whether two regimes have means of different sign."""
    return np.logical_and((tested.means > 0).any(axis=0), (tested.means < 0).any(axis=0))


def q_values(p: Vector, any_dependence: bool = False) -> Vector:
    """False discovery rate at which each would be significant; NaN is ignored and stays NaN.

    Parameters
    ----------
    any_dependence
        By Benjamini and Yekutieli, valid under any dependence at the cost of a factor of log n;
        otherwise by Benjamini and Hochberg.
    """
    from scipy.stats import false_discovery_control

    q, is_known = np.full(len(p), np.nan), ~np.isnan(p)
    if is_known.any():
        method = "by" if any_dependence else "bh"
        q[is_known] = false_discovery_control(p[is_known], method=method)
    return q


def by_known_eras(effects: Matrix) -> Iterator[tuple[Columns, Columns]]:
    """Groups of series that are known in the same eras: (positions of eras, columns)."""
    is_known = ~np.isnan(effects)
    patterns, which = np.unique(np.packbits(is_known, axis=0), axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        columns = np.flatnonzero(which == number)
        yield np.flatnonzero(is_known[:, columns[0]]), columns


def _ratio(means: Matrix, variances: Matrix) -> Matrix:
    """Means over their standard errors; NaN for constant series."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variances > CONSTANT, means / np.sqrt(variances), np.nan)
