"""How nodes are wired to entries of the catalog."""

from __future__ import annotations

from numerai_kedro.models.registry import model_names


def as_named(*entries: str) -> dict[str, str]:
    """Inputs whose parameters have the names of their entries."""
    return {entry: entry for entry in entries}


def of_models(entry: str, suffix: str = "") -> dict[str, str]:
    """An entry of every model's namespace, by the model's name and a suffix."""
    return {f"{model}{suffix}": f"{model}.{entry}" for model in model_names()}


def parameters_of_models() -> dict[str, str]:
    """The block of parameters of every model, by its name."""
    return {model: f"params:{model}" for model in model_names()}
