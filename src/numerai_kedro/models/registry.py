"""Models of the week, one entry per family. Each is a namespace, an instance of `base_model`.

The user's own models come from the configuration (``ridge: {type: my_models.Ridge, ...}``). They
are stored in the environment, so that child processes know them too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.files.trusted_pickle import trust
from numerai_kedro.own_code import DOTTED, import_own

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
# Encoders that produce latents for other models; not members of an ensemble.
ENCODERS = {"vae": FAMILIES["vae_head"]}
BOOSTED = ("lightgbm", "catboost", "xgboost")
TABULAR = ("tabm", "transformer", "vae_head")
GRAPHS = ("gatv2", "gin")
NETWORKS = (*TABULAR, *GRAPHS)
BUILT_IN = (*BOOSTED, *NETWORKS)
ENCODER = "vae"

OWN_MODELS = "NUMERAI_KEDRO_OWN_MODELS"
OWN_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def model_names() -> tuple[str, ...]:
    """Names of all models of the week, the user's own last."""
    return (*BUILT_IN, *own_models())


def own_models() -> dict[str, str]:
    """Dotted paths of the classes of the user's own models, by name."""
    paths: dict[str, str] = json.loads(os.environ.get(OWN_MODELS, "{}"))
    return paths


def register_own_models(blocks: Mapping[str, Any], reserved: tuple[str, ...] = ()) -> None:
    """Register a model for each parameter block with a ``type``, replacing those before.

    Parameters
    ----------
    blocks
        All parameters, by top-level name.
    reserved
        Further names that are taken, in addition to those of the built-in models.

    Raises
    ------
    ConfigurationError
        A name cannot name a model or is taken; a type is no dotted path.
    """
    paths = {
        name: block["type"]
        for name, block in blocks.items()
        if isinstance(block, Mapping) and "type" in block
    }
    for name, path in paths.items():
        if name in (*FAMILIES, *ENCODERS, *reserved):
            raise ConfigurationError(
                f"parameters: {name}: type: this name is taken; give your model another one."
            )
        if not OWN_NAME.fullmatch(name):
            raise ConfigurationError(
                f'parameters: "{name[:40]}": type: a model is named by small letters, digits and '
                'single "_", such as my_ridge.'
            )
        if not isinstance(path, str) or not DOTTED.fullmatch(path):
            raise ConfigurationError(
                f"parameters: {name}.type: {path!r} is no dotted path of a class, such as "
                "my_models.Ridge."
            )
    os.environ[OWN_MODELS] = json.dumps(paths)
    for name, path in paths.items():
        trust(path.rpartition(".")[0])
        # Regressors of other packages: saved models may be read before their parameters.
        for preset in blocks[name].get("presets", {}).values():
            if "regressor" in preset:
                trust(f"{str(preset['regressor']).partition('.')[0]}.")


def family(name: str) -> type[Model]:
    """Return the model class of a namespace, importing its library now.

    Raises
    ------
    ConfigurationError
        The class of the user's own model cannot be imported, or lacks attributes of `Model`.
    """
    if name in own_models():
        return _own_family(name, own_models()[name])
    module, class_name = (FAMILIES | ENCODERS)[name]
    model_class: type[Model] = getattr(import_module(module), class_name)
    return model_class


def _own_family(name: str, path: str) -> type[Model]:
    from numerai_kedro.training.protocol import Model

    model_class = import_own(path, f"{name}.type")
    of_classes = {n for n, kind in Model.__annotations__.items() if "ClassVar" in str(kind)}
    required = of_classes | {n for n in vars(Model) if not n.startswith("_")}
    missing = sorted(n for n in required if not hasattr(model_class, n))
    if not isinstance(model_class, type) or missing:
        raise ConfigurationError(
            f"parameters: {name}.type: {path} is no model: it lacks {', '.join(missing)}; derive "
            "it from numerai_kedro.models.simple.SimpleModel, or take "
            "numerai_kedro.models.regressor.Regressor for a regressor with fit and predict."
        )
    own: type[Model] = model_class
    return own
