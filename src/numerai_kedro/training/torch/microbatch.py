"""How many rows a device holds at once, extrapolated from two small batches.

On a GPU the allocator reports memory. Elsewhere the tensors that autograd saves are counted, which
are most of it: a simulated device of any size, for tests and drills.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from numerai_kedro.errors import ResourceError
from numerai_kedro.training.network_params import LEAST_ROWS

logger = logging.getLogger(__name__)

PROBED = (64, 128)  # rows
MARGIN = 0.9  # share of the memory that is used: the allocator fragments
MIB = 2**20
INF = float("inf")


class Memory(Protocol):
    """A device's memory, and the peak that a piece of work takes of it."""

    budget: float

    def watch(self) -> AbstractContextManager[Callable[[], float]]:
        """Yield a function that returns the peak in bytes since the block began."""


class CudaMemory:
    """The allocator's own count.

    Parameters
    ----------
    budget
        Bytes; by default what is free plus what this process has reserved.
    """

    def __init__(self, device: torch.device, budget: float | None = None) -> None:
        self.device = device
        if budget is None:
            free, _ = torch.cuda.mem_get_info(device)
            budget = free + torch.cuda.memory_reserved(device)
        self.budget = budget

    @contextmanager
    def watch(self) -> Iterator[Callable[[], float]]:
        """See `Memory`."""
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        yield lambda: float(torch.cuda.max_memory_allocated(self.device))


class CountedMemory:
    """Parameters, gradients, optimiser and what autograd saves, counted: a simulated device.

    Parameters
    ----------
    network
    budget
        Bytes; beyond them `torch.OutOfMemoryError` is raised, as on a GPU.
    """

    def __init__(self, network: nn.Module, budget: float) -> None:
        self.budget = budget
        tensors = [*network.parameters(), *network.buffers()]
        self._own = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        trained = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
        # Weights, gradients, two moments, the running average.
        self.fixed = sum(t.numel() * t.element_size() for t in tensors) + 4 * trained
        self._held: dict[int, tuple[int, int]] = {}
        self._peak = self.fixed

    @contextmanager
    def watch(self) -> Iterator[Callable[[], float]]:
        """See `Memory`."""
        self._held, self._peak = {}, self.fixed
        with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda saved: saved.tensor):
            yield lambda: float(self._peak)

    def _pack(self, tensor: Tensor) -> _Held:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place in self._own:
            return _Held(tensor, {}, place)
        users, _ = self._held.get(place, (0, 0))
        self._held[place] = (users + 1, size)
        packed = _Held(tensor, self._held, place)
        now = self.fixed + sum(size for _, size in self._held.values())
        self._peak = max(self._peak, now)
        if now > self.budget:
            raise torch.OutOfMemoryError(
                f"out of memory: {now / MIB:.1f} MiB wanted, this device has "
                f"{self.budget / MIB:.1f} MiB"
            )
        return packed


class _Held:
    """A tensor that autograd keeps; its bytes are no longer counted once autograd frees it."""

    def __init__(self, tensor: Tensor, storages: dict[int, tuple[int, int]], place: int) -> None:
        self.tensor, self._held, self._place = tensor, storages, place

    def __del__(self) -> None:
        users, size = self._held.get(self._place, (0, 0))
        if users > 1:
            self._held[self._place] = (users - 1, size)
        elif users:
            del self._held[self._place]


@dataclass(frozen=True)
class MicroBatch:
    """Rows that are held at once, and the peak memory of a step with them, in bytes."""

    rows: int
    peak: float


def rows_that_fit(
    memory: Memory, step: Callable[[int], None], most: int, later: float = 0.0
) -> MicroBatch:
    """Choose the rows of a micro-batch, at most `most`.

    Two small batches give the bytes per row. The resulting size is then tried: the peak of a
    thousand rows often has another cause than that of a hundred.

    Parameters
    ----------
    step
        Forward and backward of so many rows; leaves no gradient behind.
    later
        Bytes that the first real step takes in addition: the optimiser's.

    Raises
    ------
    ResourceError
        Not even the smallest micro-batch fits.
    """
    usable = MARGIN * memory.budget - later
    few, more = (_peak(memory, step, rows) for rows in PROBED)
    slope = max((more - few) / (PROBED[1] - PROBED[0]), 1.0)
    guess = (usable - few) / slope + PROBED[0] if math.isfinite(more) else LEAST_ROWS
    rows = int(max(LEAST_ROWS, min(guess, most)))
    while True:
        peak = _peak(memory, step, rows)
        if peak <= usable:
            logger.info(
                "micro-batch: %d rows take %.0f of %.0f MiB",
                *(rows, (peak + later) / MIB, memory.budget / MIB),
            )
            return MicroBatch(rows, peak + later)
        if rows <= LEAST_ROWS:
            raise ResourceError(
                f"not enough memory: {LEAST_ROWS} rows do not fit into "
                f"{memory.budget / MIB:.0f} MiB; choose a smaller preset."
            )
        # Of a step that did not fit, nothing is known but that.
        share = 0.5 if peak == INF else min(0.9 * usable / peak, 0.95)
        rows = max(LEAST_ROWS, int(rows * share))


def _peak(memory: Memory, step: Callable[[int], None], rows: int) -> float:
    """Peak bytes of a step; infinite if it does not fit."""
    try:
        with memory.watch() as peak:
            step(rows)
            return peak()
    except torch.OutOfMemoryError:
        return INF
