"""One pass over the panel, after which no row has to be read again.

An era's tables and the products of its features do not change, so each is made once and kept by
the era's digests: a new era reads itself. What a fold may know follows by leaving later eras out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from numerai_kedro.incremental import FoldStore
from numerai_kedro.panel import EraPanel
from numerai_kedro.statistics.era_tables import (
    Counts,
    corr,
    era_table,
    is_missing,
    target_levels,
)
from numerai_kedro.statistics.feature_clusters import correlation_of
from numerai_kedro.statistics.ranks import Matrix, Vector
from numerai_kedro.statistics.scoring import over_eras
from numerai_kedro.training.protocol import FitProgress, no_progress

VERSION = 1  # of what is kept: another one makes all of it again


def effects_of(
    panel: EraPanel, target: str, store: FoldStore, progress: FitProgress = no_progress
) -> tuple[npt.NDArray[np.int64], Matrix]:
    """Numerai's CORR of every feature in every era that has the target.

    Returns
    -------
    int64[n_eras], float64[n_eras, n_features]
        The eras, and their scores: NaN where a feature is missing or constant, or the target is.
    """
    eras = panel.resolved_eras(target)
    made = np.full((len(eras), len(panel.feature_names)), np.nan)

    def one(position: int) -> None:
        levels, table = table_of(panel, int(eras[position]), target, store)
        made[position] = np.where(is_missing(table), np.nan, corr(table, levels))

    for done in over_eras(one, range(len(eras))):
        progress(done, len(eras))
    return eras, made


def table_of(panel: EraPanel, era: int, target: str, store: FoldStore) -> tuple[Vector, Counts]:
    """Levels of a target, float64[n_levels], and counts, int[n_features, 5, n_levels]."""
    alone = panel.select(eras=[era])

    def build(path: Path) -> None:
        values = alone.target(target).astype(np.float64)
        levels = target_levels(values)
        table = era_table(alone.features(era), values, levels)
        kind = np.int16 if len(values) <= np.iinfo(np.int16).max else np.int32
        with path.open("wb") as handle:
            np.savez(handle, levels=levels, table=table.astype(kind))

    key = {"era table": VERSION, "target": target, "of": alone.digest(targets=[target])}
    with np.load(store.file(key, build), allow_pickle=False) as kept:
        return kept["levels"], kept["table"]


@dataclass(frozen=True)
class Products:
    """Sums over rows, exact: whole numbers in doubles.

    Parameters
    ----------
    gram : float64[n_features, n_features]
    sums : float64[n_features]
    n_rows
    """

    gram: Matrix
    sums: Vector
    n_rows: int

    def correlation(self) -> Matrix:
        """float64[n_features, n_features]; NaN for a feature that does not vary."""
        return correlation_of(self.gram, self.sums, self.n_rows)


def products_of(
    panel: EraPanel,
    windows: Sequence[Sequence[int]],
    store: FoldStore,
    progress: FitProgress = no_progress,
) -> Iterator[Products]:
    """Products of all features over the eras of each window.

    Windows that begin with the one before go on from it, as walk-forward folds do: every era is
    read once, and none of a window that is kept.
    """
    so_far: list[int] = []
    total = _nothing(len(panel.feature_names))
    n_eras = len({era for window in windows for era in window})
    done: set[int] = set()

    def read(eras: Sequence[int]) -> Iterator[npt.NDArray[np.int8]]:
        for era in eras:
            yield panel.features(era)
            done.add(era)
            progress(len(done), n_eras)

    for window in windows:
        eras = [int(era) for era in window]
        if eras[: len(so_far)] != so_far:
            so_far, total = [], _nothing(len(panel.feature_names))
        before, begun = len(so_far), total

        def build(path: Path, new: list[int] = eras[before:], begun: Products = begun) -> None:
            made = _with_eras(begun, read(new))
            with path.open("wb") as handle:
                np.savez(handle, gram=made.gram, sums=made.sums, n_rows=made.n_rows)

        key = {"products": VERSION, "of": panel.select(eras=eras).digest()}
        with np.load(store.file(key, build), allow_pickle=False) as kept:
            total = Products(kept["gram"], kept["sums"], int(kept["n_rows"]))
        so_far = eras
        done.update(eras)
        yield total


def _nothing(n_features: int) -> Products:
    return Products(np.zeros((n_features, n_features)), np.zeros(n_features), 0)


def _with_eras(before: Products, eras: Iterable[npt.NDArray[np.int8]]) -> Products:
    """Add eras' products, each exact in single precision up to a million rows."""
    gram, sums, n_rows = before.gram.copy(), before.sums.copy(), before.n_rows
    for features in eras:
        singles = features.astype(np.float32)
        gram += singles.T @ singles
        sums += features.sum(axis=0, dtype=np.int64)
        n_rows += len(features)
    return Products(gram, sums, n_rows)
