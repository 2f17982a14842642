"""Exact tables of feature levels by target levels, and the scores that follow from them.

Features and targets have few values, so one small table per era and feature is sufficient for any
marginal statistic. Levels are packed as bits, 64 rows a word, and cells are counts of the bits in
common with a target level: no floats, no products.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from numerai_kedro.errors import PanelError
from numerai_kedro.metrics.ranks import TAIL_POWER, Matrix, Vector, signed_power

Counts = npt.NDArray[np.integer]

N_LEVELS = 5  # of a feature: 0 to 4
MISSING = 2  # value of a file where a feature is not known
MAX_CLASSES = 16  # a target with more values is not ranked into bins
WORD = 64  # rows
AT_ONCE = 128  # features: packed, they fit the processor's cache


def target_levels(target: Vector, named: str) -> Vector:
    """Values that a target takes, in order; empty if all of it is missing.

    Raises
    ------
    PanelError
        There are more values than a table can have.
    """
    levels = np.unique(target[~np.isnan(target)])
    if len(levels) > MAX_CLASSES:
        raise PanelError(
            f"{named}: {len(levels)} values where {MAX_CLASSES} can be tabled, so it is not ranked "
            "into bins; choose another target."
        )
    return levels


def era_table(features: npt.NDArray[np.int8], target: Vector, levels: Vector) -> Counts:
    """Count rows by feature, feature level and target level.

    Parameters
    ----------
    features : int8[n_rows, n_features]
        Of one era, 0 to 4; fastest if columns are contiguous.
    target : float[n_rows]
        Rows where it is NaN are not counted.
    levels : float[n_levels]
        Its values (`target_levels`).

    Returns
    -------
    int32[n_features, 5, n_levels]
    """
    columns = features.T
    n_features, n_rows = columns.shape
    n_words = -(-n_rows // WORD)
    masks = np.zeros((len(levels), n_words, 1), np.uint64)
    for number, level in enumerate(levels):
        masks[number] = _words((target == level)[None], n_words)
    totals = np.bitwise_count(masks).sum(axis=(1, 2), dtype=np.int64)
    table = np.empty((n_features, N_LEVELS, len(levels)), np.int32)
    # Bit planes: value is not 0, is 1 or 3, is 2 or 3, is 3; and their overlap with the target.
    buffers = np.empty((2, 4, n_words, AT_ONCE), np.uint64)
    counts = np.empty((4, n_words, AT_ONCE), np.uint8)
    values = np.empty((AT_ONCE, n_rows), np.int8)
    for begin in range(0, n_features, AT_ONCE):
        block = columns[begin : begin + AT_ONCE]
        planes, common = buffers[..., : len(block)]
        for plane, bits in zip(planes, (7, 1, 2), strict=False):
            plane[:] = _words(np.bitwise_and(block, bits, out=values[: len(block)]), n_words)
        np.bitwise_and(planes[1], planes[2], out=planes[3])
        cells = table[begin : begin + len(block)]
        for number, mask in enumerate(masks):
            np.bitwise_and(planes, mask, out=common)
            in_words = np.bitwise_count(common, out=counts[..., : len(block)])
            some, odd, twos, threes = in_words.sum(axis=1, dtype=np.int32)
            cells[:, 0, number] = totals[number] - some
            cells[:, 1, number] = odd - threes
            cells[:, 2, number] = twos - threes
            cells[:, 3, number] = threes
            cells[:, 4, number] = some - odd - twos + threes
    return table


def corr(tables: Counts, levels: Vector) -> Matrix:
    """Numerai's CORR of features with the target, exactly.

    Parameters
    ----------
    tables : int[..., 5, n_levels]
        As `era_table` makes them.

    Returns
    -------
    float64[...]
        NaN where a feature or the target is constant.
    """
    by_feature, by_target = _margins(tables)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = signed_power(ndtri(_percentiles(by_feature)), TAIL_POWER)
    against = signed_power(levels - _mean(by_target, levels), TAIL_POWER)
    return _pearson(tables, scores, against)


def spearman(tables: Counts, levels: Vector) -> Matrix:
    """Rank correlation of features with the target; ties have their mean rank: float64[...]."""
    return _pearson(tables, *(_percentiles(margin) for margin in _margins(tables)))


def mutual_information(tables: Counts) -> Matrix:
    """Mutual information of feature and target levels, in nats: float64[...].

    For independent variables its expectation is about 16 / (2 n).
    """
    by_feature, by_target = _margins(tables)
    total = by_feature.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = by_feature[..., :, None] * by_target[..., None, :] / total[..., None, None]
        nats = np.where(tables > 0, tables * np.log(tables / expected), 0.0)
        return np.asarray(nats.sum(axis=(-2, -1)) / total)


def information_beyond_chance(tables: Counts, levels: Vector) -> Matrix:
    """Mutual information less its expectation for independent variables: float64[...]."""
    by_feature, by_target = _margins(tables)
    free = ((by_feature > 0).sum(axis=-1) - 1) * ((by_target > 0).sum(axis=-1) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        chance = free / (2 * by_feature.sum(axis=-1))
        return np.where(free > 0, mutual_information(tables) - chance, np.nan)


def _words(
    rows: npt.NDArray[np.bool_] | npt.NDArray[np.int8], n_words: int
) -> npt.NDArray[np.uint64]:
    """uint64[n_words, n]: where rows [n, n_rows] are not 0, a bit each."""
    packed = np.packbits(rows, axis=1)
    padded = np.zeros((len(rows), n_words * WORD // 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return np.ascontiguousarray(padded.view(np.uint64).T)


def _margins(tables: Counts) -> tuple[Matrix, Matrix]:
    """Rows by feature level float64[..., 5], and by target level float64[..., n_levels]."""
    counts = tables.astype(np.float64)
    return np.einsum("...vt->...v", counts), np.einsum("...vt->...t", counts)


def _percentiles(counts: Matrix) -> Matrix:
    """(rank - 1/2) / n of each level's rows, whose ranks are tied."""
    total = counts.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.cumsum(counts, axis=-1) - counts / 2) / total


def _mean(counts: Matrix, values: Matrix) -> Matrix:
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.einsum("...v,...v->...", counts, values) / np.einsum("...v->...", counts)
        return np.asarray(sums)[..., None]


def _pearson(tables: Counts, of_feature: Matrix, of_target: Matrix) -> Matrix:
    """Correlation of a number for each feature level with one for each target level."""
    by_feature, by_target = _margins(tables)
    # A level without rows is ignored, whatever number it has.
    of_feature = np.where(by_feature > 0, of_feature, 0.0)
    x = of_feature - _mean(by_feature, of_feature)
    y = of_target - _mean(by_target, of_target)
    products = np.einsum("...v,...v->...", x, np.einsum("...vt,...t->...v", tables, y))
    squares = [
        np.einsum("...v,...v,...v->...", n, z, z) for n, z in ((by_feature, x), (by_target, y))
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = products / np.sqrt(squares[0] * squares[1])
    least = 1e-9
    return np.where((squares[0] > least) & (squares[1] > least), correlation, np.nan)
