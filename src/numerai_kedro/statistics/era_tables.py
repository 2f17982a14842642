"""Exact tables of feature levels by target levels, and the scores that follow from them.

Features have five values and targets as few, so that one small table an era and feature holds all
that any marginal statistic can know. Levels are compared and packed into bits, 64 rows a word, and
a cell is the number of bits that a level and a target level have in common: no floats, no products.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from numerai_kedro.errors import PanelError
from numerai_kedro.statistics.ranks import TAIL_POWER, Matrix, Vector, signed_power

Counts = npt.NDArray[np.integer]

N_LEVELS = 5  # of a feature: 0 to 4
MISSING = 2  # what a file says where a feature is not known
MAX_CLASSES = 16  # a target with more values is no ranking into bins
WORD = 64  # rows
AT_ONCE = 256  # features: what is packed stays in the processor's cache


def target_levels(target: Vector, named: str) -> Vector:
    """Values that a target takes, in order; none where all of it is missing.

    Raises
    ------
    PanelError
        They are more than a table can have.
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
        Of one era, 0 to 4; quickest where columns are contiguous.
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
    n_bytes = -(-n_rows // WORD) * WORD // 8
    masks = np.zeros((len(levels), n_bytes // 8), np.uint64)
    for number, level in enumerate(levels):
        masks[number] = _packed(target == level, n_bytes)
    totals = np.bitwise_count(masks).sum(axis=1, dtype=np.int64)
    made = np.empty((n_features, N_LEVELS, len(levels)), np.int32)
    planes = np.zeros((AT_ONCE, n_bytes), np.uint8)
    for begin in range(0, n_features, AT_ONCE):
        block = columns[begin : begin + AT_ONCE]
        part = slice(begin, begin + len(block))
        for value in range(N_LEVELS - 1):
            packed = np.packbits(block == value, axis=1)
            planes[: len(block), : packed.shape[1]] = packed
            words = planes[: len(block)].view(np.uint64)
            for number, mask in enumerate(masks):
                common = np.bitwise_count(words & mask)
                made[part, value, number] = common.sum(axis=1, dtype=np.uint32)
        made[part, N_LEVELS - 1] = totals - made[part, : N_LEVELS - 1].sum(axis=1)
    return made


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
    """What a feature tells of the target's level, in nats: float64[...].

    Of independent variables it is about 16 / (2 n) by chance alone.
    """
    by_feature, by_target = _margins(tables)
    total = by_feature.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = by_feature[..., :, None] * by_target[..., None, :] / total[..., None, None]
        nats = np.where(tables > 0, tables * np.log(tables / expected), 0.0)
        return np.asarray(nats.sum(axis=(-2, -1)) / total)


def information_beyond_chance(tables: Counts, levels: Vector) -> Matrix:
    """Mutual information less what independent variables have by chance: float64[...]."""
    by_feature, by_target = _margins(tables)
    free = ((by_feature > 0).sum(axis=-1) - 1) * ((by_target > 0).sum(axis=-1) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        chance = free / (2 * by_feature.sum(axis=-1))
        return np.where(free > 0, mutual_information(tables) - chance, np.nan)


def _packed(rows: npt.NDArray[np.bool_], n_bytes: int) -> npt.NDArray[np.uint64]:
    made = np.zeros(n_bytes, np.uint8)
    packed = np.packbits(rows)
    made[: len(packed)] = packed
    return made.view(np.uint64)


def _margins(tables: Counts) -> tuple[Matrix, Matrix]:
    """Rows by feature level float64[..., 5], and by target level float64[..., n_levels]."""
    return tables.sum(axis=-1).astype(np.float64), tables.sum(axis=-2).astype(np.float64)


def _percentiles(counts: Matrix) -> Matrix:
    """(rank - 1/2) / n of each level's rows, whose ranks are tied."""
    total = counts.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.cumsum(counts, axis=-1) - counts / 2) / total


def _mean(counts: Matrix, values: Matrix) -> Matrix:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (counts * values).sum(axis=-1, keepdims=True) / counts.sum(axis=-1, keepdims=True)


def _pearson(tables: Counts, of_feature: Matrix, of_target: Matrix) -> Matrix:
    """Correlation of a number for each feature level with one for each target level."""
    by_feature, by_target = _margins(tables)
    # A level without rows counts for nothing, whatever number it has.
    of_feature = np.where(by_feature > 0, of_feature, 0.0)
    x = of_feature - _mean(by_feature, of_feature)
    y = of_target - _mean(by_target, of_target)
    products = np.einsum("...vt,...v,...t->...", tables, x, np.broadcast_to(y, by_target.shape))
    squares = (by_feature * x**2).sum(axis=-1), (by_target * y**2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = products / np.sqrt(squares[0] * squares[1])
    least = 1e-9
    return np.where((squares[0] > least) & (squares[1] > least), found, np.nan)
