"""Injected faults in a network's process; without an order of a drill, nothing happens."""

from __future__ import annotations

import torch

from numerai_kedro.compute import fault_injection as drill

FACTORS = {"nan": float("nan"), "overflow": float("inf")}


def happen(fault: str) -> float:
    """Raise the error of a device, or return the factor of the predictions."""
    if fault == "oom":
        raise torch.OutOfMemoryError("CUDA out of memory: a drill.")
    if fault == "gpu-lost":
        raise RuntimeError("CUDA error: the device is gone: a drill.")
    return FACTORS[fault]


def in_evaluation() -> float:
    """The factor of predictions in evaluation; raises if an error was ordered there."""
    return _elsewhere("evaluation")


def in_loading() -> None:
    """Raise if an error was ordered where a batch is loaded; int8 has no NaN."""
    _elsewhere("loading")


def _elsewhere(place: str) -> float:
    fault = drill.due(place)
    return 1.0 if fault is None else happen(fault)
