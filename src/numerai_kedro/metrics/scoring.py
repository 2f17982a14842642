"""CORR and contributions of many columns at a time, era by era, on all cores.

numerai-tools is the definition; tests check equality within 1e-10. Rows without a target, a
prediction or a reference are left out, up to a fifth of an era; beyond that there is no score. All
scores that depend on the ranks of the predictions share one sort.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from numerai_kedro.errors import PredictionError
from numerai_kedro.metrics.corr import corr_of_ranked
from numerai_kedro.metrics.mmc import contribution_of_era, contribution_of_ranked
from numerai_kedro.metrics.ranks import (
    Matrix,
    Vector,
    rank_columns,
)

IntVector = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]

# numerai-tools refuses to score an era if more of its rows are missing.
MAX_LEFT_OUT = 0.2


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
        Any scale: only ranks inside an era matter. NaN rows are left out of a column's score.
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
    # In float32 the mean of a target, and so every score, would be off by 1e-8.
    target = target.astype(np.float64, copy=False)
    scores = np.full((1 + len(references), len(era_starts) - 1, predictions.shape[1]), np.nan)

    def one(era: int) -> None:
        rows = slice(int(era_starts[era]), int(era_starts[era + 1]))
        resolved = ~np.isnan(target[rows])
        if not enough_rows(resolved):
            return
        if resolved.sum() == 1:
            raise PredictionError(
                f"era number {era} of those scored has one row: no rank, no score."
            )
        block, label = predictions[rows][resolved], target[rows][resolved]
        centre = label.mean()  # of the whole era, whatever rows a column lacks
        beside = [reference[rows][resolved] for reference in references]
        for columns, complete in _complete(block, len(resolved), era):
            there = slice(None) if complete.all() else complete
            parts = (
                block[there][:, columns],
                label[there],
                centre,
                [values[there] for values in beside],
            )
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
    scores[0] = corr_of_ranked(ranked, target - centre)
    for number, reference in enumerate(references, start=1):
        matched = ~np.isnan(reference)
        if matched.all():
            scores[number] = contribution_of_ranked(ranked, reference, target)
        elif enough_rows(matched):
            parts = (predictions[matched], reference[matched], target[matched])
            scores[number] = contribution_of_era(*parts)
    return scores


def _complete(block: Matrix, n_rows: int, era: int) -> Iterable[tuple[npt.NDArray[np.intp], Mask]]:
    """Groups of columns that have the same rows of an era's `n_rows`, with a mask of the rows.

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


def enough_rows(known: Mask) -> bool:
    """Whether at most a fifth of the rows are missing."""
    return bool(known.any()) and known.mean() >= 1 - MAX_LEFT_OUT


def over_eras(
    task: Callable[[int], Any], eras: Sequence[int], threads_a_core: int = 1
) -> Iterator[int]:
    """Run a task for every era on all cores and yield how many are done; BLAS uses one thread.

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
