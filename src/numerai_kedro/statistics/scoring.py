"""Numerai's scores, many columns at a time, era by era, on all cores.

numerai-tools is the definition, and the tests hold us to it within 1e-10: rows without a target,
a prediction or a reference are left out, up to a fifth of an era; beyond that there is no score.
All scores that hang on the ranks of the predictions share one sort of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.linalg.lapack import dpocon, spocon

from numerai_kedro.errors import PredictionError
from numerai_kedro.statistics.ranks import (
    TAIL_POWER,
    Matrix,
    Ranked,
    Vector,
    gaussian_rank,
    percentile_rank,
    rank_columns,
    signed_power,
    tables,
)

IntVector = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]

# numerai-tools brings a target in [0, 1] to [0, 4] before the MMC covariance.
TARGET_SCALE = 4.0
# It refuses to score where more of an era's rows cannot be matched.
MAX_LEFT_OUT = 0.2
# Below it a Gram matrix is solved by its eigenvectors, without those whose share of the largest
# eigenvalue is smaller than the square of numerai-tools' cut of singular values.
SMALLEST_CONDITION = {"d": 1e-10, "f": 1e-5}
EIGENVALUE_CUT = 1e-12
EXACT_IN_FLOAT32 = 2**24  # sums of integers up to here


def corr_of_era(predictions: Matrix, target: Vector) -> Vector:
    """Numerai's CORR of each column with the target, inside one era; rows are complete."""
    target = target.astype(np.float64, copy=False)
    return _corr(rank_columns(predictions), target - target.mean())


def contribution_of_era(predictions: Matrix, reference: Vector, target: Vector) -> Vector:
    """MMC (reference: the meta model) or BMC (reference: the benchmark) inside one era.

    The covariance of the target with what each prediction has beyond the reference.
    """
    target = target.astype(np.float64, copy=False)
    return _contribution(rank_columns(predictions), reference, target)


def _corr(ranked: Ranked, centred: Vector) -> Vector:
    against = signed_power(centred, TAIL_POWER)
    against -= against.mean()
    table = tables(ranked.n_rows).tails
    (products,) = ranked.dot(table, against)
    sums, squares = ranked.moments(table)
    variances = squares - sums**2 / ranked.n_rows
    with np.errstate(invalid="ignore", divide="ignore"):
        found = products / np.sqrt(variances * (against @ against))
    # A constant column has no variance but rounding.
    return np.where(variances > 1e-9, found, np.nan)


def _contribution(ranked: Ranked, reference: Vector, target: Vector) -> Vector:
    against = gaussian_rank(reference[:, None])[:, 0]
    centred = TARGET_SCALE * (target - target.mean())
    with_target, with_reference = ranked.dot(tables(ranked.n_rows).gaussian, centred, against)
    norm = against @ against
    if norm < 1e-9:
        return np.full(len(with_target), np.nan)
    return (with_target - (centred @ against) / norm * with_reference) / ranked.n_rows


def rank_scores(
    era_starts: IntVector,
    predictions: Matrix,
    target: Vector,
    references: Sequence[Vector] = (),
) -> npt.NDArray[np.float64]:
    """CORR of every column in every era, and its contribution beyond each reference.

    Parameters
    ----------
    era_starts : int64[n_eras + 1]
        Era `e` is rows ``era_starts[e]:era_starts[e + 1]``.
    predictions : float[n_rows, n_models]
        Any scale: only ranks inside an era count. Rows where one is NaN are left out of its score.
    target : float[n_rows]
        NaN where unresolved.
    references : sequence of float[n_rows]
        Meta model, benchmark; NaN where they have no prediction.

    Returns
    -------
    float64[1 + n_references, n_eras, n_models]
        NaN where an era is not resolved, or where a reference lacks more than a fifth of its rows.

    Raises
    ------
    PredictionError
        A column is infinite somewhere, or lacks more than a fifth of an era; a resolved era has one
        row only.
    """
    # In float32 the mean of a target is off by 1e-8, and with it every score.
    target = target.astype(np.float64, copy=False)
    scores = np.full((1 + len(references), len(era_starts) - 1, predictions.shape[1]), np.nan)

    def one(era: int) -> None:
        rows = slice(int(era_starts[era]), int(era_starts[era + 1]))
        known = ~np.isnan(target[rows])
        if not _enough(known):
            return
        if known.sum() == 1:
            raise PredictionError(
                f"era number {era} of those scored has one row: no rank, no score."
            )
        block, label = predictions[rows][known], target[rows][known]
        centre = label.mean()  # of the whole era, whatever rows a column lacks
        beside = [reference[rows][known] for reference in references]
        for columns, kept in _complete(block, len(known), era):
            there = slice(None) if kept.all() else kept
            parts = (block[there][:, columns], label[there], centre, [one[there] for one in beside])
            scores[:, era, columns] = _scores_of_rows(*parts)

    for _ in over_eras(one, range(len(era_starts) - 1)):
        pass
    return scores


def _scores_of_rows(
    predictions: Matrix, target: Vector, centre: float, references: Sequence[Vector]
) -> npt.NDArray[np.float64]:
    """float64[1 + n_references, n_models]; predictions and target are complete."""
    ranked = rank_columns(predictions)
    scores = np.full((1 + len(references), predictions.shape[1]), np.nan)
    scores[0] = _corr(ranked, target - centre)
    for number, reference in enumerate(references, start=1):
        known = ~np.isnan(reference)
        if known.all():
            scores[number] = _contribution(ranked, reference, target)
        elif _enough(known):
            parts = (predictions[known], reference[known], target[known])
            scores[number] = contribution_of_era(*parts)
    return scores


def _complete(block: Matrix, n_rows: int, era: int) -> Iterable[tuple[npt.NDArray[np.intp], Mask]]:
    """Columns that have the same of an era's `n_rows` rows, with those rows.

    Raises
    ------
    PredictionError
        See `rank_scores`.
    """
    if np.isfinite(block).all():
        return [(np.arange(block.shape[1]), np.ones(len(block), dtype=bool))]
    missing = np.isnan(block)
    wrong = ~missing & ~np.isfinite(block)
    if wrong.any():
        column = int(np.argwhere(wrong)[0][1])
        raise PredictionError(
            f"prediction column {column} is infinite in era number {era} of those scored; fix the "
            "model that made it."
        )
    lacking = missing.sum(axis=0)
    if len(block) - lacking.max() < (1 - MAX_LEFT_OUT) * n_rows:
        raise PredictionError(
            f"prediction column {lacking.argmax()} lacks {lacking.max()} of {len(block)} rows in "
            f"era number {era} of those scored, at most {MAX_LEFT_OUT:.0%} may be missing; fix "
            "the model that made it."
        )
    whole = np.flatnonzero(~missing.any(axis=0))
    groups = [(whole, np.ones(len(block), dtype=bool))] if len(whole) else []
    torn = np.flatnonzero(missing.any(axis=0))
    return [*groups, *((np.array([column]), ~missing[:, column]) for column in torn)]


def _enough(known: Mask) -> bool:
    return bool(known.any()) and known.mean() >= 1 - MAX_LEFT_OUT


def over_eras(
    task: Callable[[int], Any], eras: Sequence[int], threads_a_core: int = 1
) -> Iterator[int]:
    """Do a task for every era, on all cores, and yield how many are done; BLAS inside gets one.

    Parameters
    ----------
    threads_a_core
        More than one for tasks that wait for the disk.
    """
    from threadpoolctl import threadpool_limits

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(threads_a_core * (allowed or 1)) as pool,
    ):
        for done, _ in enumerate(pool.map(task, eras), start=1):
            yield done


class Neutraliser:
    """One era's features, ready to remove from columns what is linear in them.

    Parameters
    ----------
    features : [n_rows, n_features]
        Constant and repeated features do no harm: they fall back on eigenvectors.
    precision
        In which the Gram matrix is made and solved.
    """

    def __init__(
        self,
        features: npt.NDArray[np.generic],
        precision: type[np.floating] = np.float64,
    ) -> None:
        self._features = features.astype(precision)
        self._sums = self._features.sum(axis=0)
        gram = _gram(features, self._features)
        gram -= np.outer(self._sums, self._sums) / len(features)
        self.norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
        self._moving = self.norms > 1e-6 * np.sqrt(len(features))
        gram[~self._moving] = 0.0
        gram[:, ~self._moving] = 0.0
        gram[np.diag_indices_from(gram)] += ~self._moving
        self._solve = _solver(gram)

    def residuals(self, columns: Matrix) -> Matrix:
        """Columns without what is linear in the features and a constant; mean zero."""
        centred = columns - columns.mean(axis=0)
        slopes = self._solve(self._with_features(centred))
        fitted = self._features @ slopes
        return centred - (fitted - (self._sums / len(centred)) @ slopes)

    def max_exposure(self, columns: Matrix) -> Vector:
        """Largest absolute Pearson correlation of each column with any one feature."""
        centred = columns - columns.mean(axis=0)
        products = self._with_features(centred)[self._moving]
        norms = np.sqrt((centred**2).sum(axis=0))
        with np.errstate(invalid="ignore", divide="ignore"):
            correlations = products / norms / self.norms[self._moving, None]
        return np.abs(correlations).max(axis=0, initial=0.0)

    def _with_features(self, centred: Matrix) -> Matrix:
        products = self._features.T @ centred.astype(self._features.dtype, copy=False)
        products[~self._moving] = 0.0
        return products


def _gram(features: npt.NDArray[np.generic], floats: Matrix) -> Matrix:
    """Products of all features with one another, exact for small integers in half of the time."""
    if np.issubdtype(features.dtype, np.integer) and len(features):
        largest = max(abs(int(features.min())), abs(int(features.max())))
        if len(features) * largest**2 <= EXACT_IN_FLOAT32:
            singles = features.astype(np.float32)
            return (singles.T @ singles).astype(floats.dtype)
    return floats.T @ floats


def _solver(gram: Matrix) -> Callable[[Matrix], Matrix]:
    """Solve for a symmetric matrix: by Cholesky, by eigenvectors where it is singular."""
    norm = np.abs(gram).sum(axis=0).max()
    try:
        factor = cho_factor(gram, check_finite=False)
    except np.linalg.LinAlgError:
        condition = 0.0
    else:
        estimate = dpocon if gram.dtype == np.float64 else spocon
        condition = float(estimate(factor[0], norm, uplo="L" if factor[1] else "U")[0])
    if condition > SMALLEST_CONDITION[gram.dtype.char]:
        return lambda right: cho_solve(factor, right, check_finite=False)
    values, vectors = eigh(gram, check_finite=False)
    kept = values > max(EIGENVALUE_CUT, np.finfo(gram.dtype).eps * len(gram)) * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    return lambda right: vectors @ ((vectors.T @ right) / values[:, None])


def max_exposure_of_era(predictions: Matrix, features: npt.NDArray[np.generic]) -> Vector:
    """Largest absolute Pearson correlation of each ranked column with any one feature."""
    return Neutraliser(features).max_exposure(percentile_rank(predictions))


def leaves_nothing(n_rows: int, n_features: int) -> bool:
    """Whether features and a constant fit any column: what is left of it is rounding."""
    return n_features + 1 >= n_rows


def feature_scores(
    era_starts: IntVector,
    predictions: Matrix,
    target: Vector,
    features_of: Callable[[int], npt.NDArray[np.generic]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """FNC and largest exposure of every column in every era, some eras' features at a time.

    Parameters
    ----------
    features_of
        Gets an era's number among those scored; returns its [n_rows, n_features].
    progress
        Gets eras so far, and eras in all.

    Returns
    -------
    float64[n_eras, n_models], float64[n_eras, n_models]
        FNC is NaN where an era is not resolved, or where neutralising `leaves_nothing` of it.
    """
    n_eras = len(era_starts) - 1
    fnc = np.full((n_eras, predictions.shape[1]), np.nan)
    exposure = np.full_like(fnc, np.nan)

    def one(era: int) -> None:
        rows = slice(int(era_starts[era]), int(era_starts[era + 1]))
        columns, label, features = predictions[rows], target[rows], features_of(era)
        neutraliser = Neutraliser(features)
        exposure[era] = neutraliser.max_exposure(percentile_rank(columns))
        known = ~np.isnan(label)
        if _enough(known) and not leaves_nothing(*features.shape):
            neutral = neutraliser.residuals(gaussian_rank(columns))
            fnc[era] = corr_of_era(neutral[known], label[known])

    for done in over_eras(one, range(n_eras)):
        progress(done, n_eras)
    return fnc, exposure
