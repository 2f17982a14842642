"""Stability selection: what is selected on most halves of the data, and how many by chance.

References
----------
Shah and Samworth (2013), Variable selection with error control: another look at stability
selection, JRSS-B 75:55.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from numerai_kedro.metrics.ranks import Matrix, Vector

Positions = npt.NDArray[np.int64]


def complementary_halves(
    n_eras: int, block_eras: int, n_pairs: int, rng: np.random.Generator
) -> Iterator[tuple[Positions, Positions]]:
    """Random pairs of complementary halves of blocks of eras: positions of eras, in time order.

    Whole blocks, because neighbouring eras share targets. Of an odd number of blocks one is in
    neither half.
    """
    blocks = np.arange(n_eras) // block_eras
    n_blocks = int(blocks[-1]) + 1
    for _ in range(n_pairs):
        order = rng.permutation(n_blocks)
        half = n_blocks // 2
        halves = (order[:half], order[half : 2 * half])
        first, second = (np.flatnonzero(np.isin(blocks, chosen)) for chosen in halves)
        yield first, second


def selection_share(importances: Matrix, n_selected: int) -> Vector:
    """How often each candidate is among the `n_selected` most important.

    Parameters
    ----------
    importances : float64[n_halves, n_candidates]
        Candidates with importance 0 are never selected.
    """
    ranked = np.argsort(-importances, axis=1, kind="stable")[:, :n_selected]
    chosen = np.zeros(importances.shape, dtype=bool)
    np.put_along_axis(chosen, ranked, True, axis=1)
    return np.asarray((chosen & (importances > 0)).mean(axis=0))


def expected_by_chance(threshold: float, n_pairs: int, n_selected: int, n_candidates: int) -> float:
    """Bound on the expected number of candidates that pass `threshold` by chance.

    The paper's bound for unimodal shares (its equation 8); valid where a half selects less than
    1 / sqrt(3) of the candidates.
    """
    if threshold <= 0.75:
        factor = 1 / (2 * (2 * threshold - 1 - 1 / (2 * n_pairs)))
    else:
        factor = 4 * (1 - threshold + 1 / (2 * n_pairs)) / (1 + 1 / n_pairs)
    return factor * n_selected**2 / n_candidates


def largest_selection(by_chance: float, threshold: float, n_pairs: int, n_candidates: int) -> int:
    """How many a half may select, so that at most `by_chance` are expected to pass by chance.

    At most 1 / sqrt(3) of the candidates, where the bound holds; it may be 0.
    """
    of_one = expected_by_chance(threshold, n_pairs, 1, n_candidates)
    return min(int(math.sqrt(by_chance / of_one)), int(n_candidates / math.sqrt(3)))
