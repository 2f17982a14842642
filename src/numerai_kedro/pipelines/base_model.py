"""One model, from its parameters to live predictions; instantiated once for each model.

    history_panel, folds, feature_report, latent_panel, own_feature_panel (and feature_graph)
                         ─► tune ─► best_params ─┬─► walk_forward ─► oof_predictions, recovery
                                                 ├─► importance ─► importance_by_era
                                                 └─► fit ─► model
    model, live_panel ─► predict_live ─► live_predictions
    all of these ─► outcome

Every node returns its value or a `Failed`, which later nodes pass on: a model that cannot be
trained is an outcome with its reason, and the rest of the week goes on.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
from kedro.pipeline import Node, Pipeline

from numerai_kedro.cache import FoldStore
from numerai_kedro.cache.provenance import CONFIGURATION, DATA_VERSION, OTHER_CODE, version_key
from numerai_kedro.compute.health import collapsed
from numerai_kedro.compute.isolation import Worker
from numerai_kedro.compute.recovery import noted
from numerai_kedro.compute.remedies import failed_fit, until_it_fits
from numerai_kedro.compute.worker_pool import WorkerPool
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Folds
from numerai_kedro.errors import Failed, PanelError
from numerai_kedro.models.live_fit import LiveFit
from numerai_kedro.models.registry import family
from numerai_kedro.models.with_derived import WithDerived
from numerai_kedro.numerai.schema import benchmark_of, overlap_eras
from numerai_kedro.pipelines.recipes import (
    asked_as_json,
    asked_recipe,
    configuration_of,
    fold_recipes,
    ladder,
    live_recipe,
    not_now,
    strengthening,
    worker_of,
    workers_of,
)
from numerai_kedro.pipelines.wiring import as_named
from numerai_kedro.progress import steps_bar
from numerai_kedro.runtime.parameters import ModelParams, ResourceParams
from numerai_kedro.training.engineered import Engineered, derived_by
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.importance import importance_by_fold
from numerai_kedro.training.recipe import Fit, are_of_other_code
from numerai_kedro.training.transforms import derives_columns
from numerai_kedro.training.tuning.context import Search, TuningContext, TuningParams
from numerai_kedro.training.tuning.decide import incumbent_decisions
from numerai_kedro.training.tuning.decide import tune as tune_family
from numerai_kedro.training.tuning.store import StudyStore
from numerai_kedro.training.walk_forward import (
    fit_live,
    predictions_frame,
    recoveries_of,
    walk_forward,
    with_location,
)

logger = logging.getLogger(__name__)

# Parameters of the template's functions, and the entries that they receive.
SHARED = {
    "history": "history_panel",
    "folds": "folds",
    "plan": "resource_plan",
    "schedule": "run_schedule",
    "store": "fold_store",
    "params": "params:model",
    "resources": "params:resources",
    "tuning": "params:tuning",
    "report": "feature_report",
    "latents": "latent_panel",
    "own_features": "own_feature_panel",
}
SHARED_INPUTS = {
    "history_panel",
    "live_panel",
    "learned_live_panel",
    "folds",
    "history_version",
    "resource_plan",
    "run_schedule",
    "fold_store",
    "study_store",
    "benchmark_predictions",
    "score_weights",
    "feature_report",
    "latent_panel",
    "own_feature_panel",
    "live_encoders",
    "live_transforms",
    "feature_graph",
}
SHARED_PARAMETERS = {"params:resources", "params:tuning"}
NO_GRAPHS: dict[str, Any] = {}  # of a family that reads none


def create_model_pipeline(name: str) -> Pipeline:
    """Instantiate the template as namespace `name`, with the parameters ``params:{name}``."""
    reads_graph = family(name).reads_graph
    shared = SHARED | ({"graphs": "feature_graph"} if reads_graph else {})
    return Pipeline(
        [*_fitting(name, shared), *_results(name)],
        namespace=name,
        inputs=SHARED_INPUTS if reads_graph else SHARED_INPUTS - {"feature_graph"},
        parameters={"params:model": f"params:{name}"} | {name: name for name in SHARED_PARAMETERS},
        tags=["model"],
    )


def _fitting(name: str, shared: dict[str, str]) -> list[Node]:
    """Parameters, predictions of each fold, importance and the live fit."""
    judged_by = {"benchmarks": "benchmark_predictions"}
    return [
        Node(
            _named(tune, name),
            shared | judged_by | {"study_store": "study_store", "weights": "score_weights"},
            ["best_params", "trials", "validation_predictions", "tuning_readings"],
            name="tune",
        ),
        Node(
            _named(predict_out_of_fold, name),
            shared | judged_by | as_named("best_params", "history_version"),
            ["oof_predictions", "fold_iterations", "recovery", "fold_readings"],
            name="walk_forward",
        ),
        Node(
            _named(measure_importance, name),
            shared | as_named("best_params", "recovery"),
            "importance_by_era",
            name="importance",
        ),
        Node(
            _named(fit, name),
            shared
            | {"encoders": "live_encoders", "own_transforms": "live_transforms"}
            | as_named("best_params", "recovery", "history_version"),
            ["model", "fit_report", "fit_readings"],
            name="fit",
        ),
    ]


def _results(name: str) -> list[Node]:
    """Live predictions, and the outcome of the model."""
    return [
        Node(
            _named(predict_live, name),
            ["model", "live_panel", "learned_live_panel", "params:model", "best_params"],
            "live_predictions",
            name="predict_live",
        ),
        Node(
            outcome,
            [
                *("best_params", "trials", "oof_predictions", "fold_iterations", "recovery"),
                *("model", "fit_report", "live_predictions"),
            ],
            "outcome",
            name="outcome",
        ),
    ]


def tune(
    history: EraPanel,
    folds: Folds,
    plan: dict[str, Any],
    schedule: dict[str, Any],
    store: FoldStore,
    params: ModelParams,
    resources: ResourceParams,
    tuning: TuningParams,
    report: Any,
    latents: Any,
    own_features: Any,
    study_store: StudyStore,
    benchmarks: pd.DataFrame,
    weights: dict[str, float],
    name: str,
    graphs: Any = NO_GRAPHS,
) -> tuple[Any, Any, Any, Any]:
    """Choose parameters on the validation period; an insignificant gain changes nothing."""
    off = not_now(name, plan, schedule, params, "fits", "tune")
    if off is not None:
        return off, off, off, {}
    recipe = asked_recipe(name, folds, plan, params)
    preset = params.preset_in(plan["models"][name])
    search = Search(
        recipe,
        params.all_presets(recipe.family.params_type, name, preset),
        params.space,
        params.trials(folds.size),
        params.options_at(folds.size),
    )
    context = TuningContext(
        history.select(features=folds.features),
        folds,
        benchmark_of(benchmarks, folds.paid_target),
        (weights["corr"], weights["mmc"]),
        overlap_eras(folds.paid_target),
        Engineered(report, latents, graphs, own_features),
    )
    settings = asked_as_json(params)
    postponed = not_now(name, plan, schedule, params, "trials", "tune")
    if postponed is not None:
        decisions = incumbent_decisions(search, context, tuning, study_store)
        return {"asked": settings, "decisions": decisions}, postponed, postponed, {}
    begin = time.monotonic()
    with workers_of(name, plan, resources) as worker, steps_bar(f"{name}: trials") as bar:
        try:
            decisions, trials, predictions = tune_family(
                search, context, tuning, FitRunner(store, worker, bar), study_store
            )
        except Exception as error:  # noqa: BLE001 - what is no outcome is raised again
            failed = failed_fit("tune", error)
            decisions = incumbent_decisions(search, context, tuning, study_store)
            return {"asked": settings, "decisions": decisions}, failed, failed, {}
        readings = readings_of(worker, begin)
    return {"asked": settings, "decisions": decisions}, trials, predictions, readings


def predict_out_of_fold(
    history: EraPanel,
    folds: Folds,
    plan: dict[str, Any],
    schedule: dict[str, Any],
    store: FoldStore,
    params: ModelParams,
    resources: ResourceParams,
    tuning: TuningParams,
    report: Any,
    latents: Any,
    own_features: Any,
    best_params: Any,
    benchmarks: pd.DataFrame,
    history_version: dict[str, str],
    name: str,
    graphs: Any = NO_GRAPHS,
) -> tuple[Any, Any, Any, Any]:
    """Predict every test era by a fit that ends `purge` eras before it.

    The predictions carry the digest of what made them, which the live fit carries, too.
    """
    off = not_now(name, plan, schedule, params, "fits", "walk_forward")
    if off is not None:
        return off, off, off, {}
    panel = history.select(features=folds.features)
    try:
        engineered = Engineered(report, latents, graphs, own_features)
        windows, recipes = fold_recipes(name, folds, plan, params, best_params, engineered)
    except PanelError as error:
        failed = failed_fit("walk_forward", error)
        return failed, failed, failed, {}
    strengthened = strengthening(panel, folds, tuning)
    begin = time.monotonic()
    with workers_of(name, plan, resources) as worker, steps_bar(f"{name}: folds") as bar:
        words, lighter = ladder(name, plan["models"][name], params)

        runner = FitRunner(store, worker, bar)

        def attempt(steps: int) -> tuple[Any, ...]:
            climbed = [
                strengthened(lighter(recipe, steps), window.train, runner)
                for recipe, window in zip(recipes, windows, strict=True)
            ]
            strong_recipes = [recipe for recipe, _ in climbed]
            rungs = {
                window.name: [dataclasses.asdict(rung) for rung in rungs]
                for (_, rungs), window in zip(climbed, windows, strict=True)
                if rungs
            }
            prefetch: list[Fit] = []
            if isinstance(worker, WorkerPool):
                live = (name, folds, plan, params, best_params, engineered)
                recipe, eras, updated_to = live_recipe(*live)
                prefetch = lighter(recipe, steps).fits(panel, eras, updated_to=updated_to)
            fold_inputs = (panel, windows, strong_recipes, folds.purge_eras)
            predictions, iterations = walk_forward(*fold_inputs, runner, prefetch)
            repaired = recoveries_of(panel, windows, strong_recipes, store)
            return predictions, iterations, repaired, rungs

        outcome_of_folds = until_it_fits("walk_forward", name, words, attempt)
        readings, ahead = readings_of(worker, begin), worker.taken_lines()
    if isinstance(outcome_of_folds, Failed):
        outcome_of_folds = dataclasses.replace(
            outcome_of_folds, remedies=(*ahead, *outcome_of_folds.remedies)
        )
        return outcome_of_folds, outcome_of_folds, outcome_of_folds, readings
    predictions, iterations, repaired, rungs = outcome_of_folds.value
    lines = [
        *ahead,
        *outcome_of_folds.lines(),
        *repaired,
        *copies(name, predictions, benchmarks, folds),
    ]
    lines += kept_of_other_code(name)
    recovery = {"lighter": outcome_of_folds.lighter, "lines": lines, "rungs": rungs}
    made_by = (name, folds, plan, params, tuning, best_params, history_version["data_version"])
    predictions.attrs[CONFIGURATION] = configuration_of(*made_by, outcome_of_folds.lighter)
    return predictions, iterations, recovery, readings


def kept_of_other_code(name: str) -> list[dict[str, Any]]:
    """A line if fits made by other code are reused, as the user asked; else none."""
    if not are_of_other_code(family(name)):
        return []
    remedy = "kept: incremental.keep_fits_of_other_code"
    return [noted(name, "made by other code", "", remedy).as_json()]


def copies(
    name: str, predictions: pd.DataFrame, benchmarks: pd.DataFrame, folds: Folds
) -> list[dict[str, Any]]:
    """A line if the model has come to predict what the benchmark predicts; else none."""
    benchmark = benchmark_of(benchmarks, folds.paid_target)
    both = predictions.assign(benchmark=benchmark.reindex(predictions["id"]).to_numpy())
    ranks = both.groupby("era")[["prediction", "benchmark"]].rank()
    by_era = ranks.groupby(both["era"])
    evidence = collapsed([rows.corr().iloc[0, 1] for _, rows in by_era])
    if evidence is None:
        return []
    remedy = "none: the ensemble weighs it by what it adds"
    return [noted(name, "predicts the benchmark", evidence, remedy).as_json()]


def measure_importance(
    history: EraPanel,
    folds: Folds,
    plan: dict[str, Any],
    schedule: dict[str, Any],
    store: FoldStore,
    params: ModelParams,
    resources: ResourceParams,
    tuning: TuningParams,
    report: Any,
    latents: Any,
    own_features: Any,
    best_params: Any,
    recovery: Any,
    name: str,
    graphs: Any = NO_GRAPHS,
) -> pd.DataFrame | Failed:
    """Feature importance of each fold's models, by blocks of test eras."""
    if isinstance(recovery, Failed):
        return recovery
    panel = history.select(features=folds.features)
    windows, recipes = fold_recipes(
        name, folds, plan, params, best_params, Engineered(report, latents, graphs, own_features)
    )
    strengthened = strengthening(panel, folds, tuning)
    _, lighter = ladder(name, plan["models"][name], params)
    with worker_of(name, resources) as worker, steps_bar(f"{name}: importance") as bar:
        runner = FitRunner(store, worker, bar)
        try:
            return importance_by_fold(
                panel,
                windows,
                [
                    strengthened(lighter(recipe, recovery["lighter"]), window.train, runner)[0]
                    for recipe, window in zip(recipes, windows, strict=True)
                ],
                folds.paid_target,
                overlap_eras(folds.paid_target),
                runner,
            )
        except Exception as error:  # noqa: BLE001 - what is no outcome is raised again
            return failed_fit("importance", error)


def fit(
    history: EraPanel,
    folds: Folds,
    plan: dict[str, Any],
    schedule: dict[str, Any],
    store: FoldStore,
    params: ModelParams,
    resources: ResourceParams,
    tuning: TuningParams,
    report: Any,
    latents: Any,
    own_features: Any,
    encoders: Any,
    own_transforms: Any,
    best_params: Any,
    recovery: Any,
    history_version: dict[str, str],
    name: str,
    graphs: Any = NO_GRAPHS,
) -> tuple[Any, Any, Any]:
    """Fit the model that predicts live, on all eras up to the newest point of the refit grid.

    The model carries the digest of what made it. If a refit failed, the report says why, and the
    previous model stays.
    """
    if isinstance(recovery, Failed):
        return recovery, {"failed": recovery.symptom, "lines": []}, {}
    panel = history.select(features=folds.features)
    try:
        engineered = Engineered(report, latents, graphs, own_features)
        recipe, eras, updated_to = live_recipe(name, folds, plan, params, best_params, engineered)
        derivers = [
            derived_by(transform, encoders, own_transforms, eras[1], name)
            for transform in derives_columns(recipe.transforms)
        ]
    except PanelError as error:
        failed = failed_fit("fit", error)
        return failed, {"failed": failed.symptom, "lines": []}, {}
    strengthened = strengthening(panel, folds, tuning)
    begin = time.monotonic()
    with worker_of(name, resources) as worker, steps_bar(f"{name}: live fit") as bar:
        words, lighter = ladder(name, plan["models"][name], params)

        def attempt(steps: int) -> tuple[list[Any], list[dict[str, Any]]]:
            runner = FitRunner(store, worker, bar)
            strong, _ = strengthened(lighter(recipe, steps), eras, runner)
            models = fit_live(panel, eras, strong, runner, updated_to)
            fits = strong.fits(panel, eras, updated_to=updated_to)
            return models, with_location(fits, "live fit", store)

        fitted = until_it_fits("fit", name, words, attempt, recovery["lighter"])
        readings = readings_of(worker, begin)
    if isinstance(fitted, Failed):
        return fitted, {"failed": fitted.symptom, "lines": list(fitted.remedies)}, readings
    models, repaired = fitted.value
    if derivers:
        models = [WithDerived(model, derivers) for model in models]
    version = history_version["data_version"]
    made_by = (name, folds, plan, params, tuning, best_params, version)
    configuration = configuration_of(*made_by, fitted.lighter)
    lines = [*fitted.lines(), *repaired, *kept_of_other_code(name)]
    of_other_code = are_of_other_code(family(name))
    live_fit = LiveFit(tuple(models), configuration, version, of_other_code)
    return live_fit, {"failed": None, "lines": lines}, readings


def predict_live(
    model: Any,
    live: EraPanel,
    learned_live: dict[str, EraPanel],
    params: ModelParams,
    best_params: Any,
    name: str,
) -> pd.DataFrame | Failed:
    """Predict the live stocks, by the newest fit.

    If it learned from another data version than the round's, by features of that version while
    they are available.
    """
    if isinstance(model, Failed):
        return model
    model_class = family(name)
    models = model if isinstance(model, LiveFit) else ()
    bare = [fitted.model if isinstance(fitted, WithDerived) else fitted for fitted in models]
    if not bare or not all(isinstance(fitted, model_class) for fitted in bare):
        return Failed("predict_live", f"{name}.model holds a {type(model).__name__}")
    if not isinstance(best_params, Failed) and best_params["asked"] != asked_as_json(params):
        logger.warning(
            "%s: predicts by a fit with other parameters than the incumbent; kedro run "
            "--pipeline=prepare fits it again",
            name,
        )
    own = learned_live.get(version_key(model.data_version))
    try:
        predictions = predictions_frame(model.models, live if own is None else own)
    except Exception as error:  # noqa: BLE001 - what is no outcome is raised again
        return failed_fit("predict_live", error)
    version = model.data_version
    if own is not None:
        logger.warning("%s: predicts from live data %s, which it learned from", name, version)
        predictions, version = rows_of(predictions, live), ""
    if isinstance(predictions, pd.DataFrame):
        predictions.attrs = {CONFIGURATION: model.configuration, DATA_VERSION: version}
        predictions.attrs[OTHER_CODE] = name if model.of_other_code else ""
    return predictions


def rows_of(predictions: pd.DataFrame, live: EraPanel) -> pd.DataFrame | Failed:
    """Predictions in the order of the round's own live stocks."""
    aligned = predictions.set_index("id").reindex(live.ids()).rename_axis("id").reset_index()
    if aligned["prediction"].isna().any():
        return Failed("predict_live", "live data of the version it learned hold other stocks")
    return aligned.astype(predictions.dtypes.to_dict())


def outcome(
    best_params: Any,
    trials: Any,
    oof: Any,
    iterations: Any,
    recovery: Any,
    model: Any,
    fit_report: Any,
    live: Any,
) -> dict[str, Any]:
    """Say what became of the model."""
    stages = (best_params, oof, model, live, iterations)
    failed = next((stage for stage in stages if isinstance(stage, Failed)), None)
    if failed is not None:
        return {"status": "failed", **failed.as_json()}
    newest = best_params["decisions"][-1]
    origin = next((text for fitted in model if (text := getattr(fitted, "origin", ""))), "")
    return ({"origin": origin} if origin else {}) | {
        "status": "finished",
        "source": newest["source"],
        "params": newest["params"],
        "tuning": trials.symptom if isinstance(trials, Failed) else newest.get("verdict"),
        "option": newest.get("option", {}),
        "n_trials": 0 if isinstance(trials, Failed) else int((trials["state"] != "option").sum()),
        "remedies": [*recovery["lines"], *fit_report["lines"]],
        "rungs": recovery["rungs"],
        "refit_failed": fit_report["failed"],
        "oof_rows": len(oof),
        "oof_eras": int(oof["era"].nunique()),
        "live_rows": len(live),
        "iterations": {**iterations, "live": sum(fitted.n_iterations for fitted in model)},
    }


def readings_of(worker: Worker | WorkerPool, begin: float) -> dict[str, Any]:
    """A node's costs: seconds, and the memory of fits that ran in their own process."""
    return {"seconds": round(time.monotonic() - begin, 1), "memory": worker.readings()}


def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Bind the namespace, keeping what Kedro reads: name, docstring and annotations.

    By keyword: Kedro types parameters by their place in the wrapped signature.
    """
    return functools.update_wrapper(functools.partial(function, name=name), function)
