"""Training batches: rows of one era each, int8 until they are on the device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from numerai_kedro.data import EraPanel
from numerai_kedro.metrics.ranks import TAIL_POWER, gaussian_rank, signed_power


@dataclass(frozen=True)
class Batch:
    """Some rows of one era.

    Parameters
    ----------
    era
    rows : int64[n]
        Positions inside the era, in training order.
    """

    era: int
    rows: npt.NDArray[np.int64]


class TrainingEras:
    """Training eras, in an order that depends on seed and epoch alone.

    Features stay memory-mapped, or are all on the device where they fit. Labels are computed once:
    4 bytes a row and target.

    Parameters
    ----------
    panel
    targets
        The first one is predicted; rows without it are not used.
    batch_rows
        Maximum rows of a batch: an era is cut into as few parts as possible, of nearly equal size.
    """

    def __init__(self, panel: EraPanel, targets: Sequence[str], batch_rows: int) -> None:
        self.n_features, self.batch_rows = len(panel.feature_names), batch_rows
        self._panel = panel
        self._resident: dict[int, Tensor] = {}
        self._moves_eras = True
        self.labels: dict[int, Tensor] = {}
        self._known: dict[int, npt.NDArray[np.int64]] = {}
        values = [panel.target(target) for target in targets]
        starts = panel.era_starts
        for era, start, stop in zip(panel.eras, starts, starts[1:], strict=False):
            columns = np.column_stack([value[start:stop] for value in values])
            labelled = np.flatnonzero(~np.isnan(columns[:, 0]))
            if len(labelled) > 1:
                self._known[int(era)] = labelled
                self.labels[int(era)] = torch.from_numpy(labels_of(columns))

    @property
    def n_rows(self) -> int:
        """Rows that an epoch sees."""
        return sum(len(rows) for rows in self._known.values())

    def some(self, n_eras: int) -> EraPanel:
        """A panel of `n_eras` of the eras, spread over all of them."""
        eras = list(self._known)
        return self._panel.select(eras=eras[:: max(1, len(eras) // n_eras)][:n_eras])

    def let_go(self) -> None:
        """Free the features on the device, and from now on move only the rows of a batch."""
        self._resident.clear()
        self._moves_eras = False

    def keep_on(self, device: torch.device, budget_bytes: float) -> bool:
        """Move all features to the device if they take at most `budget_bytes`; returns whether."""
        if self._panel.n_rows * self.n_features > budget_bytes:
            return False
        for era in self._known:
            self._resident[era] = _columns(self._panel.features(era)).to(device)
            self.labels[era] = self.labels[era].to(device)
        return True

    def epoch(self, number: int, seed: int) -> list[Batch]:
        """All batches of an epoch, in order; order and parts differ from epoch to epoch."""
        rng = np.random.default_rng([seed, number])
        batches = []
        for era, labelled in self._known.items():
            n_parts = -(-len(labelled) // self.batch_rows)
            parts = np.array_split(rng.permutation(labelled), n_parts)
            batches += [Batch(era, rows) for rows in parts]
        return [batches[k] for k in rng.permutation(len(batches))]

    def load(self, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        """Features int8[n, n_features] and labels float32[n, 1 + n_targets], on the device.

        Features are a transposed view: stored by columns, as in the panel.
        """
        rows = torch.from_numpy(batch.rows)
        labels = self.labels[batch.era].to(device).index_select(0, rows.to(device))
        columns = self._resident.get(batch.era)
        if columns is None:
            columns = _columns(self._panel.features(batch.era))
            if not self._moves_eras:
                return columns.index_select(1, rows).to(device).T, labels
            # Move the whole era and pick its rows on the device: copying one block is ten times as
            # fast as picking rows from thousands of columns on one core.
            columns = columns.to(device, non_blocking=True)
        return columns.index_select(1, rows.to(device)).T, labels


def eras_in_parts(panel: EraPanel, max_rows: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows to predict, in order: (rows, int8[n, n_features]) of at most `max_rows`."""
    for era, start in zip(panel.eras, panel.era_starts, strict=False):
        columns = _columns(panel.features(int(era)))
        for begin in range(0, columns.shape[1], max_rows):
            part = columns[:, begin : begin + max_rows]
            yield slice(int(start) + begin, int(start) + begin + part.shape[1]), part.T


def _columns(matrix: npt.NDArray[np.int8]) -> Tensor:
    """int8[n_features, n_rows], without a copy if the panel is stored by columns."""
    with warnings.catch_warnings():
        # The panel's memory map is read-only; torch warns that writing to it would be undefined.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(matrix.T)


def labels_of(targets: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Labels of one era: float32[n_rows, 1 + n_targets].

    The first column is the first target as CORR uses it, to the power of `TAIL_POWER`; then
    Gaussian ranks of every target, tie-kept, variance 1. NaN where a target is missing.
    """
    labels = np.full((len(targets), 1 + targets.shape[1]), np.nan, dtype=np.float32)
    first = ~np.isnan(targets[:, 0])
    if first.any():
        centred = targets[first, 0].astype(np.float64)
        labels[first, 0] = signed_power(centred - centred.mean(), TAIL_POWER)
    for column in range(targets.shape[1]):
        labelled = ~np.isnan(targets[:, column])
        if labelled.sum() > 1:
            ranks = gaussian_rank(targets[labelled, column : column + 1].astype(np.float64))[:, 0]
            deviation = ranks.std()
            labels[labelled, 1 + column] = ranks / deviation if deviation > 0 else 0.0
    return labels
