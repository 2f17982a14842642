"""Sufficient statistics of the panel: after one pass, no row has to be read again.

An era's tables do not change, so they are computed once and stored by the era's digests: only a new
era is read. Products of features are stored by pieces of eras. For a fold, later eras are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from numerai_kedro.cache import FoldStore, code_of
from numerai_kedro.data import EraPanel
from numerai_kedro.features.clusters import correlation_of
from numerai_kedro.features.era_tables import (
    MISSING,
    Counts,
    corr,
    era_table,
    target_levels,
)
from numerai_kedro.files import read_arrays, write_arrays
from numerai_kedro.metrics.fnc import EXACT_IN_FLOAT32
from numerai_kedro.metrics.ranks import Matrix, Vector
from numerai_kedro.metrics.scoring import MAX_LEFT_OUT, over_eras
from numerai_kedro.training.protocol import FitProgress, no_progress

PIECE = 52  # eras whose products are stored together: 51 MB at 3,555 features
LARGEST = 2  # distance of a value from the middle one


def effects_of(
    panel: EraPanel, target: str, store: FoldStore, progress: FitProgress = no_progress
) -> tuple[npt.NDArray[np.int64], Matrix]:
    """Numerai's CORR of every feature in every era that has the target; see `scores_of`."""
    eras, (effects,) = scores_of(panel, target, store, (corr,), progress)
    return eras, effects


def scores_of(
    panel: EraPanel,
    target: str,
    store: FoldStore,
    scores: Sequence[Callable[[Counts, Vector], Matrix]],
    progress: FitProgress = no_progress,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Score every feature in every era that has the target.

    Parameters
    ----------
    scores
        Functions of an era's tables and the target's levels, such as those of
        `features.era_tables`.

    Returns
    -------
    int64[n_eras], float64[n_scores, n_eras, n_features]
        The eras, and their scores: NaN where a feature is missing or constant, or more than a fifth
        of the target is missing.
    """
    eras = panel.resolved_eras(target)
    scored = np.full((len(scores), len(eras), len(panel.feature_names)), np.nan)
    sizes = dict(zip(panel.eras.tolist(), np.diff(panel.era_starts).tolist(), strict=True))

    def one(position: int) -> None:
        era = int(eras[position])
        levels, table = table_of(panel, era, target, store)
        if table[0].sum() >= (1 - MAX_LEFT_OUT) * sizes[era]:
            for number, score in enumerate(scores):
                # NaN for a missing feature, which is constant.
                scored[number, position] = score(table, levels)

    # Reading and storing wait for the disk.
    for done in over_eras(one, range(len(eras)), threads_a_core=2):
        progress(done, len(eras))
    return eras, scored


def table_of(panel: EraPanel, era: int, target: str, store: FoldStore) -> tuple[Vector, Counts]:
    """Levels of a target, float64[n_levels], and counts, int[n_features, 5, n_levels]."""
    alone = panel.select(eras=[era])

    def build(path: Path) -> None:
        values = alone.target(target).astype(np.float64)
        levels = target_levels(values, f"{target}, era {era:04d}")
        table = era_table(alone.features(era), values, levels)
        kind = np.int16 if len(values) <= np.iinfo(np.int16).max else np.int32
        write_arrays(path, levels=levels, table=table.astype(kind))

    key = {
        "era table": alone.digest(targets=[target]),
        "target": target,
        "code": code_of(table_of),
    }
    stored = read_arrays(store.file(key, build))
    return stored["levels"], stored["table"]


@dataclass(frozen=True)
class Products:
    """Sums over rows of features less their middle value, exact: whole numbers in doubles.

    A feature that is missing in an era holds the middle value there, and adds nothing.

    Parameters
    ----------
    gram : float64[n_features, n_features]
    sums : float64[n_features]
    rows : int64[n_eras]
        Of each era.
    known : bool[n_eras, n_features]
        Whether a feature is there in an era.
    """

    gram: Matrix
    sums: Vector
    rows: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]

    def __add__(self, other: Products) -> Products:
        """The products of these eras and the other's."""
        return Products(
            self.gram + other.gram,
            self.sums + other.sums,
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.known, other.known]),
        )

    def correlation(self) -> Matrix:
        """float64[n_features, n_features]; NaN for a feature that does not vary."""
        weights = self.known.astype(np.float64)
        return correlation_of(self.gram, self.sums, (weights * self.rows[:, None]).T @ weights)


def products_of(
    panel: EraPanel,
    ends: Sequence[int],
    store: FoldStore,
    progress: FitProgress = no_progress,
) -> Iterator[Products]:
    """Products of all features over all eras up to each of `ends`, which increase.

    Stored by pieces of `PIECE` eras, and for each end the incomplete last piece: complete pieces
    are never read again, so at most the eras of one piece are.
    """
    last = [int(panel.eras[panel.eras <= end][-1]) for end in ends]
    eras = panel.eras[panel.eras <= max(last)].tolist()
    total, read = _products([], len(panel.feature_names)), 0
    for _, group in itertools.groupby(eras, key=lambda era: (era - 1) // PIECE):
        piece, part = list(group), _products([], len(panel.feature_names))
        for cut in sorted({piece[-1], *(end for end in last if end in piece)}):
            part = _grown(panel, part, [era for era in piece if era <= cut], store)
            yield from [total + part] * last.count(cut)
            progress(read + len(part.rows), len(eras))
        total, read = total + part, read + len(piece)


def _grown(panel: EraPanel, begun: Products, eras: Sequence[int], store: FoldStore) -> Products:
    """Products of some eras, starting from the longest stored beginning of them."""
    view = panel.select(eras=eras)

    def build(path: Path) -> None:
        first = begun
        for n_eras in range(len(eras) - 1, len(begun.rows), -1):
            key = _key_of_products(view.select(eras=eras[:n_eras]))
            if store.has_file(key):
                first = _grown(panel, begun, eras[:n_eras], store)
                break
        new = (view.features(era) for era in eras[len(first.rows) :])
        products = first + _products(new, len(view.feature_names))
        kind = np.float32 if LARGEST**2 * view.n_rows <= EXACT_IN_FLOAT32 else np.float64
        write_arrays(path, **(vars(products) | {"gram": products.gram.astype(kind)}))

    return Products(**read_arrays(store.file(_key_of_products(view), build)))


def _key_of_products(view: EraPanel) -> dict[str, Any]:
    return {"products": view.digest(), "code": code_of(products_of)}


def _products(eras: Iterable[npt.NDArray[np.int8]], n_features: int) -> Products:
    gram, sums = np.zeros((n_features, n_features)), np.zeros(n_features)
    rows, present = [], []
    for features in eras:
        centred = features.astype(np.float32)
        centred -= MISSING
        gram += centred.T @ centred  # exact in single precision for one era
        sums += centred.sum(axis=0, dtype=np.float64)
        rows.append(len(features))
        present.append((features != MISSING).any(axis=0))
    return Products(
        gram,
        sums,
        np.array(rows, dtype=np.int64),
        np.array(present, dtype=np.bool_).reshape(len(rows), n_features),
    )
