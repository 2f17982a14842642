"""Ranks of many columns of one era from one sort; functions of a rank are looked up.

Tie-kept ranks are multiples of one half, so that the Gaussian score of each is one of 2n values.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from numerai_kedro.errors import PredictionError

Matrix = npt.NDArray[np.floating]
Vector = npt.NDArray[np.floating]

# Numerai's CORR weights the tails: both sides are raised to this power, keeping their sign.
TAIL_POWER = 1.5


def signed_power(values: Matrix, power: float) -> Matrix:
    """Raise to a power and keep the sign."""
    return np.sign(values) * np.abs(values) ** power


@dataclass(frozen=True)
class Tables:
    """Functions of a rank, indexed by twice the tie-kept rank, 0 to 2n."""

    percentile: Vector
    gaussian: Vector
    tails: Vector


@functools.lru_cache(maxsize=256)
def tables(n_rows: int) -> Tables:
    """Percentile (rank - 1/2) / n, its Gaussian score, and that to Numerai's power."""
    percentile = (np.arange(2 * n_rows + 1) - 1) / (2 * n_rows)
    percentile[:2] = np.nan  # ranks begin with 1
    gaussian = ndtri(percentile)
    return Tables(percentile, gaussian, signed_power(gaussian, TAIL_POWER))


@dataclass(frozen=True)
class Ranked:
    """Columns in the order of their values.

    Parameters
    ----------
    order : int64[n_columns, n_rows]
        Row numbers, from the smallest value to the largest.
    doubled : int64[n_columns or 1, n_rows]
        Twice the tie-kept rank in that order; one row where no column has ties.
    """

    order: npt.NDArray[np.intp]
    doubled: npt.NDArray[np.intp]

    @property
    def n_rows(self) -> int:
        """Rows of the era."""
        return self.order.shape[1]

    def dot(self, table: Vector, *vectors: Vector) -> list[Vector]:
        """Sum over rows of a table's value of the rank, times a vector, for each column."""
        values = table[self.doubled]
        if len(values) == 1:
            return [vector.take(self.order) @ values[0] for vector in vectors]
        return [np.einsum("kn,kn->k", vector.take(self.order), values) for vector in vectors]

    def moments(self, table: Vector) -> tuple[Vector, Vector]:
        """Sum and sum of squares over rows of a table's values, for each column."""
        values = table[self.doubled]
        shape = (len(self.order),)
        sums, squares = values.sum(axis=1), np.einsum("kn,kn->k", values, values)
        return np.broadcast_to(sums, shape), np.broadcast_to(squares, shape)

    def columns(self, table: Vector) -> Matrix:
        """A table's value of each rank, in the order of the rows: float64[n_rows, n_columns]."""
        values = np.empty(self.order.shape)
        for column, order in enumerate(self.order):
            values[column, order] = table[self.doubled[column % len(self.doubled)]]
        return values.T


def rank_columns(columns: Matrix) -> Ranked:
    """Rank each column of float[n_rows, n_columns], without checking for NaN."""
    values = np.ascontiguousarray(columns.T)
    order = values.argsort(axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    doubled = 2 * np.arange(1, values.shape[1] + 1)[None]
    tied = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
    if len(tied):
        doubled = np.repeat(doubled, len(values), axis=0)
        for column in tied:
            doubled[column] = _doubled_with_ties(ordered[column])
    return Ranked(order, doubled)


def _doubled_with_ties(ordered: Vector) -> npt.NDArray[np.intp]:
    """Twice the mean rank of each group of equal values, repeated for each row."""
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], len(ordered)]
    return np.repeat(starts + ends + 1, ends - starts)


def percentile_rank(columns: Matrix) -> Matrix:
    """Tie-kept ranks of each column, in (0, 1): (mean rank - 1/2) / n.

    Raises
    ------
    PredictionError
        A value is not finite: NaN would sort as the best of all.
    """
    _check_finite(columns)
    return rank_columns(columns).columns(tables(len(columns)).percentile)


def gaussian_rank(columns: Matrix) -> Matrix:
    """Gaussian scores of each column's tie-kept ranks; errors as `percentile_rank`."""
    _check_finite(columns)
    return rank_columns(columns).columns(tables(len(columns)).gaussian)


def _check_finite(columns: Matrix) -> None:
    wrong = ~np.isfinite(columns)
    if wrong.any():
        column = int(np.argwhere(wrong)[0][1])
        raise PredictionError(
            f"prediction column {column} holds {int(wrong[:, column].sum())} values that are not "
            f"finite, of {len(columns)}; fix the model that made them."
        )
