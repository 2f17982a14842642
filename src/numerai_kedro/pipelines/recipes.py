"""Recipes of a model's folds and live fit, from preset, plan, tuning and strength."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numerai_kedro.compute.isolation import Worker
from numerai_kedro.compute.plan import LARGEST_STRIDE, lighter_presets
from numerai_kedro.compute.worker_pool import WorkerPool
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Fold, Folds, live_window
from numerai_kedro.errors import ConfigurationError, Failed
from numerai_kedro.files import digest_json
from numerai_kedro.models.registry import family
from numerai_kedro.numerai.schema import check_horizons
from numerai_kedro.runtime.parameters import BY_MACHINE, SWITCHED_OFF, ModelParams, ResourceParams
from numerai_kedro.training.adaptive import Rung, adapted
from numerai_kedro.training.engineered import Engineered
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.protocol import Model
from numerai_kedro.training.recipe import Recipe, code_of_fits
from numerai_kedro.training.tuning.context import TuningParams
from numerai_kedro.training.tuning.decide import recipe_at

POSTPONED = "postponed to a later run: time_budget_hours (parameters_resources.yml)"


def not_now(
    name: str,
    plan: dict[str, Any],
    schedule: dict[str, Any],
    params: ModelParams,
    what: str,
    stage: str,
) -> Failed | None:
    """Why this run makes no fits or trials of a model; None if it does.

    Raises
    ------
    ConfigurationError
        The plan was made for other parameters, or by an older version.
    """
    decided = decided_for(name, plan)
    settings = params.sampling()
    if decided["asked"] != settings:
        changed = ", ".join(key for key in settings if decided["asked"].get(key) != settings[key])
        raise ConfigurationError(
            f"{name}: the plan was made for another {changed}; run kedro run --pipeline=weekly or "
            "--pipeline=prepare with the same parameters, which plan again."
        )
    reason = decided.get("reason")
    if reason is not None:
        return Failed(stage, reason, kind="off" if reason == SWITCHED_OFF else "resource")
    if f"{name} {what}" in schedule["postponed"]:
        return Failed(stage, POSTPONED, kind="postponed")
    return None


def decided_for(name: str, plan: dict[str, Any]) -> dict[str, Any]:
    """What the plan decided for a model.

    Raises
    ------
    ConfigurationError
        The plan is of an older version, which had another form or no such model.
    """
    decided: dict[str, Any] = plan["models"].get(name, {})
    if not {"reason", "at_once"} & decided.keys():
        raise ConfigurationError(
            f"resource_plan.json: it knows no {name} as this version plans it; run "
            "kedro run --pipeline=ingestion, which plans again."
        )
    return decided


def asked_recipe(name: str, folds: Folds, plan: dict[str, Any], params: ModelParams) -> Recipe:
    """The recipe of the preset that the user chose, with the plan's decisions."""
    return planned_recipe(name, folds, plan["models"][name], plan["threads"], params)


def planned_recipe(
    name: str, folds: Folds, decided: dict[str, Any], threads: int, params: ModelParams
) -> Recipe:
    """The recipe that follows from a plan's decisions.

    Raises
    ------
    ConfigurationError
        The parameters ask for what the family cannot do.
    LeakError
        A target looks ahead as far as the purge reaches.
    """
    kind = family(name)
    check_abilities(name, kind, params)
    check_horizons(params.all_targets(), folds.purge_eras)
    return Recipe(
        name=name,
        family=kind,
        params=params.chosen(kind.params_type, name, params.preset_in(decided)),
        targets=(folds.target, *params.more_targets),
        era_stride=decided["era_stride"],
        n_offsets=decided["n_offsets"],
        seed=params.seed,
        threads=threads,
        device=decided["device"],
        adaptive=params.adaptive,
        valid_eras=folds.valid_eras if kind.stops_early else 0,
        purge_eras=folds.purge_eras,
        groups=tuple(map(tuple, folds.groups)) if kind.reads_groups else (),
        update=params.update,
        update_every=folds.refit_eras,
        transforms=params.features,
        engineered_by=decided.get("engineered_by", ""),
    )


def worker_of(name: str, resources: ResourceParams) -> Worker:
    """The worker in which fits of a model run, one after another."""
    return Worker(name, resources.isolate_gb, 60 * resources.stall_minutes)


def workers_of(name: str, plan: dict[str, Any], resources: ResourceParams) -> Worker | WorkerPool:
    """The workers that fit folds of a model: one, or as many at once as planned."""
    at_once = plan["models"][name]["at_once"]
    if at_once == 1:
        return worker_of(name, resources)
    return WorkerPool(at_once, name, 60 * resources.stall_minutes)


def without_stopping(folds: Folds) -> Folds:
    """Folds for a fit that holds no eras back: an autoencoder learns without a target."""
    return folds.model_copy(update={"valid_eras": 0})


def check_abilities(name: str, kind: type[Model], params: ModelParams) -> None:
    """Refuse parameters that ask for what the family cannot do.

    Raises
    ------
    ConfigurationError
        Names the parameter.
    """
    options = params.options.values()
    adapts = params.adaptive or any(option.adaptive for option in options)
    if adapts and "strength" not in kind.params_type.model_fields:
        raise ConfigurationError(f"{name}.adaptive: {name} has no strength that could adapt.")
    updates = params.update == "lora" or any(option.update == "lora" for option in options)
    if updates and not hasattr(kind, "updated"):
        raise ConfigurationError(f"{name}.update: {name} cannot be updated, only fitted again.")


def ladder(
    name: str, decided: dict[str, Any], params: ModelParams
) -> tuple[list[str], Callable[[Recipe, int], Recipe]]:
    """What makes a model lighter, step by step, in words; and a function that lightens a recipe.

    Fits of trees, whose memory is the panel's, learn fewer eras; networks, whose memory is the
    model's, take a smaller preset.
    """
    kind = family(name)
    if kind.stops_early:
        presets = lighter_presets(params.preset_in(decided))
        smaller = [params.chosen(kind.params_type, name, preset) for preset in presets]
        words = [f"fitted again by the preset {preset}" for preset in presets]
        return words, lambda recipe, k: recipe.with_params(smaller[k - 1]) if k else recipe
    strides = [stride for stride in (2, LARGEST_STRIDE) if stride > decided["era_stride"]]
    words = [f"fitted again on every {_nth(stride)} era" for stride in strides]
    return words, lambda recipe, k: recipe.thinned(strides[k - 1]) if k else recipe


def _nth(stride: int) -> str:
    return {2: "second", 4: "fourth"}[stride]


def asked_as_json(params: ModelParams) -> dict[str, Any]:
    """What the user asked for, to tell later whether that has changed."""
    presets = params.model_dump(mode="json")["presets"]
    chosen = presets if params.preset == BY_MACHINE else {params.preset: presets[params.preset]}
    return {"preset": params.preset, "presets": chosen, "seed": params.seed}


def configuration_of(
    name: str,
    folds: Folds,
    plan: dict[str, Any],
    params: ModelParams,
    tuning: TuningParams,
    best_params: dict[str, Any],
    data_version: str,
    lighter: int,
) -> str:
    """Digest of what decides a model's folds and its live fit, except their eras.

    A refit on newer eras has the same one; another parameter, decision, plan, target or data
    version has another. Live predictions are submitted beside the record of the same digest only.

    Parameters
    ----------
    lighter
        Steps taken down the ladder for lack of memory: a smaller model is another configuration.
    """
    decided = plan["models"][name]
    # The preset's parameters are among the decisions; the others decide no fit.
    elsewhere = {"enabled", "device", "preset", "presets", "source"}
    searched = {"n_trials", "try_options", "options", "space"}
    learned = {"target", "features", "purge_eras", "valid_eras", "refit_eras", "groups"}
    adapts = params.adaptive or any(
        (decision.get("option") or {}).get("adaptive") for decision in best_params["decisions"]
    )
    return digest_json(
        {
            "model": [name, code_of_fits(family(name))],
            "asked": params.model_dump(mode="json", exclude=elsewhere | searched),
            "planned": [decided.get(key) for key in ("preset", "era_stride", "n_offsets")],
            "engineered_by": decided.get("engineered_by", ""),
            "adaptive": tuning.adaptive.model_dump(mode="json") if adapts else None,
            "decisions": [
                {key: decision.get(key) for key in ("first_era", "params", "option")}
                for decision in best_params["decisions"]
            ],
            "lighter": [lighter, params.model_dump(mode="json")["presets"]] if lighter else 0,
            "learned": folds.model_dump(mode="json", include=learned),
            "data_version": data_version,
        }
    )


def fold_recipes(
    name: str,
    folds: Folds,
    plan: dict[str, Any],
    params: ModelParams,
    best_params: Any,
    engineered: Engineered,
) -> tuple[list[Fold], list[Recipe]]:
    """The test folds, each with the recipe that is effective there.

    Raises
    ------
    PanelError
        A fold learns from verdicts, latents or a graph that was not made.
    """
    preset_recipe = asked_recipe(name, folds, plan, params)
    decisions = best_params["decisions"]
    return folds.test, [
        engineered.applied(
            recipe_at(preset_recipe, decisions, window.test[0]), window.train, folds.features
        )
        for window in folds.test
    ]


def live_recipe(
    name: str,
    folds: Folds,
    plan: dict[str, Any],
    params: ModelParams,
    best_params: Any,
    engineered: Engineered,
) -> tuple[Recipe, tuple[int, int], int | None]:
    """The recipe of the live fit, the eras that it learns, and the era it is updated to.

    Without updates it is a fold that begins at the newest point of the refit grid; with them, the
    newest fold that began, updated as that fold would be by now.

    Raises
    ------
    PanelError
        It learns from verdicts, latents or a graph that was not made.
    """
    preset_recipe, decisions = asked_recipe(name, folds, plan, params), best_params["decisions"]
    first, last = folds.live_fit
    recipe = recipe_at(preset_recipe, decisions, last + folds.purge_eras + 1)
    if recipe.update == "none":
        return engineered.applied(recipe, (first, last), folds.features), (first, last), None
    eras, updated_to = live_window(folds, recipe.update_every)
    recipe = recipe_at(preset_recipe, decisions, eras[1] + folds.purge_eras + 1)
    return engineered.applied(recipe, eras, folds.features), eras, updated_to


def strengthening(
    panel: EraPanel, folds: Folds, tuning: TuningParams
) -> Callable[[Recipe, tuple[int, int], FitRunner], tuple[Recipe, list[Rung]]]:
    """A function that gives adaptive recipes the strength that suits their training eras."""

    def strengthened(
        recipe: Recipe, eras: tuple[int, int], runner: FitRunner
    ) -> tuple[Recipe, list[Rung]]:
        if not recipe.adaptive:
            return recipe, []
        purge = folds.purge_eras
        return adapted(recipe, panel, eras, purge, tuning.adaptive, runner.quiet())

    return strengthened
