"""What a drill's fault does in a network's process; nothing without an order."""

from __future__ import annotations

import torch

from numerai_kedro.compute import fault_injection as drill

FACTORS = {"nan": float("nan"), "overflow": float("inf")}


def happen(fault: str) -> float:
    """Raise what a device raises, or return what predictions are multiplied by."""
    if fault == "oom":
        raise torch.OutOfMemoryError("CUDA out of memory: a drill.")
    if fault == "gpu-lost":
        raise RuntimeError("CUDA error: the device is gone: a drill.")
    return FACTORS[fault]


def in_evaluation() -> float:
    """Where eras are predicted; what predictions are multiplied by."""
    return _elsewhere("evaluation")


def in_loading() -> None:
    """Where a batch is brought to the device; int8 holds no NaN."""
    _elsewhere("loading")


def _elsewhere(place: str) -> float:
    fault = drill.due(place)
    return 1.0 if fault is None else happen(fault)
