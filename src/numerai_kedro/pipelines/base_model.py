"""One model, from its parameters to live predictions; instantiated once for each model.

    params ─► tune ─► best_params ─┬─► walk_forward ─► oof_predictions, fold_iterations
    history_panel, folds ──────────┤
                                   └─► fit ─► model
    model, live_panel ─► predict_live ─► live_predictions
    all of these ─► outcome

Every node returns its value or a `Failed`, which later nodes pass on: a model that cannot be
trained is an outcome with its reason, and the rest of the week goes on.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pandas as pd
from kedro.pipeline import Node, Pipeline

from numerai_kedro.errors import Failed, NumeraiKedroError
from numerai_kedro.incremental import FoldStore
from numerai_kedro.models import family
from numerai_kedro.panel import EraPanel
from numerai_kedro.panel.walk_forward import Fold
from numerai_kedro.pipelines.parameters import ModelParams
from numerai_kedro.progress import steps_bar
from numerai_kedro.training.walk_forward import Recipe, fit_live, predictions_frame, walk_forward

logger = logging.getLogger(__name__)

SHARED_INPUTS = {"history_panel", "live_panel", "folds", "resource_plan", "fold_store"}


def create_model_pipeline(name: str) -> Pipeline:
    """Instantiate the template as namespace `name`, with the parameters ``params:{name}``."""
    shared = ["history_panel", "folds", "resource_plan", "fold_store", "params:model"]
    outputs = ["best_params", "oof_predictions", "model", "live_predictions"]
    template = [
        Node(_named(tune, name), ["folds", "params:model"], "best_params", name="tune"),
        Node(
            _named(predict_out_of_fold, name),
            [*shared, "best_params"],
            ["oof_predictions", "fold_iterations"],
            name="walk_forward",
        ),
        Node(_named(fit, name), [*shared, "best_params"], "model", name="fit"),
        Node(
            _named(predict_live, name),
            ["model", "live_panel", "params:model"],
            "live_predictions",
            name="predict_live",
        ),
        Node(outcome, [*outputs, "fold_iterations"], "outcome", name="outcome"),
    ]
    return Pipeline(
        template,
        namespace=name,
        inputs=SHARED_INPUTS,
        parameters={"params:model": f"params:{name}"},
        tags=["model"],
    )


def tune(folds: dict[str, Any], params: ModelParams, name: str) -> list[dict[str, Any]]:
    """Return the preset, in force from the first fold on."""
    chosen = params.chosen(family(name).params_type, name)
    first_fold = folds["judged"][0]["name"]
    return [{"first_fold": first_fold, "preset": params.preset, "params": chosen.model_dump()}]


def predict_out_of_fold(
    history: EraPanel,
    folds: dict[str, Any],
    plan: dict[str, Any],
    store: FoldStore,
    params: ModelParams,
    best_params: list[dict[str, Any]],
    name: str,
) -> tuple[pd.DataFrame | Failed, dict[str, int] | Failed]:
    """Predict every judged era by a fit that ends `purge` eras before it."""
    try:
        recipe = _recipe(name, folds, plan, params, best_params)
        panel = history.select(features=folds["features"])
        windows = [Fold(f["name"], tuple(f["train"]), tuple(f["test"])) for f in folds["judged"]]
        with steps_bar(f"{name}: folds") as bar:
            return walk_forward(panel, windows, recipe, store, folds["purge_eras"], progress=bar)
    except Exception as error:  # noqa: BLE001 - what is no outcome is raised again
        failed = _failed("walk_forward", error)
        return failed, failed


def fit(
    history: EraPanel,
    folds: dict[str, Any],
    plan: dict[str, Any],
    store: FoldStore,
    params: ModelParams,
    best_params: list[dict[str, Any]],
    name: str,
) -> Any:
    """Fit the model that predicts live, on all eras up to the newest point of the refit grid."""
    try:
        recipe = _recipe(name, folds, plan, params, best_params)
        panel = history.select(features=folds["features"])
        with steps_bar(f"{name}: live fit") as bar:
            return fit_live(panel, tuple(folds["live_fit"]), recipe, store, progress=bar)
    except Exception as error:  # noqa: BLE001 - what is no outcome is raised again
        return _failed("fit", error)


def predict_live(
    model: Any, live: EraPanel, params: ModelParams, name: str
) -> pd.DataFrame | Failed:
    """Predict the live stocks, by the newest fit that there is."""
    if isinstance(model, Failed):
        return model
    if not isinstance(model, family(name)):
        return Failed("predict_live", f"{name}.model holds a {type(model).__name__}")
    asked = params.chosen(family(name).params_type, name)
    if (model.params, model.seed) != (asked, params.seed):
        logger.warning(
            "%s: predicts by a fit with other parameters than those in force; kedro run "
            "--pipeline=prepare fits it again",
            name,
        )
    return predictions_frame(model, live)


def outcome(best_params: Any, oof: Any, model: Any, live: Any, iterations: Any) -> dict[str, Any]:
    """Say what became of the model."""
    stages = (best_params, oof, model, live, iterations)
    failed = next((stage for stage in stages if isinstance(stage, Failed)), None)
    if failed is not None:
        return {"status": "failed", **failed.as_json()}
    return {
        "status": "finished",
        "preset": best_params[-1]["preset"],
        "params": best_params[-1]["params"],
        "oof_rows": len(oof),
        "oof_eras": int(oof["era"].nunique()),
        "live_rows": len(live),
        "iterations": {**iterations, "live": model.n_iterations},
    }


# What a library raises when a fit does not fit: a bug of ours is none of these, and stays a crash.
_FIT_ERRORS = (MemoryError, ImportError, NumeraiKedroError)
# Libraries name an error of their own where C++ had no memory.
OUT_OF_MEMORY = ("bad_alloc", "out of memory", "Cannot allocate")


def _failed(stage: str, error: Exception) -> Failed:
    """The outcome of a fit that did not fit; whatever else it is, is a bug and goes on up."""
    text = str(error) or type(error).__name__
    if isinstance(error, _FIT_ERRORS):
        return Failed(stage, text)
    if any(words in text for words in OUT_OF_MEMORY):
        return Failed(stage, f"no memory left ({text})", kind="resource")
    raise error


def _recipe(
    name: str,
    folds: dict[str, Any],
    plan: dict[str, Any],
    params: ModelParams,
    best_params: list[dict[str, Any]],
) -> Recipe:
    model_class = family(name)
    return Recipe(
        name=name,
        family=model_class,
        params=model_class.params_type.model_validate(best_params[-1]["params"]),
        target=folds["target"],
        era_stride=plan["era_stride"],
        seed=params.seed,
        threads=plan["threads"],
    )


def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Bind the namespace, keeping what Kedro reads: name, docstring and annotations.

    By keyword, and last: Kedro types parameters by their place in the wrapped signature.
    """
    return functools.update_wrapper(functools.partial(function, name=name), function)
