"""All state of a training run, written atomically and restored exactly.

network, average, optimiser, random .safetensors     tensors; no pickle
state.json                                           where the run stands, and the scaler
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from numerai_kedro.errors import StoreError
from numerai_kedro.files import atomic_folder

Tensors = dict[str, Tensor]


def save(
    folder: Path,
    network: nn.Module,
    average: Tensors,
    optimiser: torch.optim.Optimizer,
    state: dict[str, Any],
) -> None:
    """Replace `folder`; after a kill, the previous checkpoint is still there."""
    with atomic_folder(folder) as partial:
        _write(partial / "network.safetensors", network.state_dict())
        _write(partial / "average.safetensors", average)
        _write(partial / "optimiser.safetensors", _flat(optimiser))
        _write(partial / "random.safetensors", random_state())
        (partial / "state.json").write_text(json.dumps(state))


def load(
    folder: Path, network: nn.Module, average: Tensors, optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """Restore everything in place; returns the `state` that was saved.

    Raises
    ------
    StoreError
        The checkpoint is torn, or from another network.
    """
    device = str(next(network.parameters()).device)
    try:
        # Everything is read before anything is restored: a torn checkpoint changes nothing.
        parts = {
            name: load_file(folder / f"{name}.safetensors", device=device)
            for name in ("network", "average", "optimiser")
        }
        drawn = load_file(folder / "random.safetensors")
        state: dict[str, Any] = json.loads((folder / "state.json").read_text())
        if parts["average"].keys() != average.keys():
            raise KeyError("other weights")
        network.load_state_dict(parts["network"])
        for name, value in parts["average"].items():
            average[name].copy_(value)
        _restore(optimiser, parts["optimiser"])
        set_random_state(drawn)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise StoreError(
            f"{folder}: no checkpoint of this network ({error}); delete it to begin anew."
        ) from None
    return state


def random_state() -> Tensors:
    """State of every generator that a step draws from."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_state(states: Tensors) -> None:
    """Restore the generators to a `random_state`."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _write(path: Path, tensors: Tensors) -> None:
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)


def _flat(optimiser: torch.optim.Optimizer) -> Tensors:
    state = optimiser.state_dict()["state"]
    return {
        f"{name}.{number}": v for number, tensors in state.items() for name, v in tensors.items()
    }


def _restore(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    content = optimiser.state_dict()
    content["state"] = {}
    for key, value in tensors.items():
        name, _, number = key.rpartition(".")
        content["state"].setdefault(int(number), {})[name] = value
    optimiser.load_state_dict(content)
