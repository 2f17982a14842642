"""Models of the week: one row a family. Each is a namespace, an instance of `base_model`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numerai_kedro.training import Model

# Name of the namespace -> module and class; imported when used, so that the command line stays
# quick and a missing library fails one model, not all.
FAMILIES = {
    "lightgbm": ("numerai_kedro.models.lightgbm", "LightGBM"),
    "catboost": ("numerai_kedro.models.catboost", "CatBoost"),
    "xgboost": ("numerai_kedro.models.xgboost", "XGBoost"),
    "tabm": ("numerai_kedro.models.tabm", "TabM"),
    "transformer": ("numerai_kedro.models.transformer", "Transformer"),
    "vae_head": ("numerai_kedro.models.vae_head", "VaeHead"),
    "gatv2": ("numerai_kedro.models.graph", "GATv2"),
    "gin": ("numerai_kedro.models.graph", "GIN"),
}
# What makes the latents that models may learn from: no member of an ensemble.
ENCODERS = {"vae": FAMILIES["vae_head"]}
BOOSTED = ("lightgbm", "catboost", "xgboost")
TABULAR = ("tabm", "transformer", "vae_head")
GRAPHS = ("gatv2", "gin")
NETWORKS = (*TABULAR, *GRAPHS)
MODELS = (*BOOSTED, *NETWORKS)
# What makes the latents that models may learn from; no member of the ensemble.
ENCODER = "vae"


def family(name: str) -> type[Model]:
    """Return the model class of a namespace, importing its library now."""
    module, class_name = (FAMILIES | ENCODERS)[name]
    found: type[Model] = getattr(import_module(module), class_name)
    return found
