"""The recipes by which a model's folds and live fit are made: preset, plan, tuning, strength."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numerai_kedro.errors import ConfigurationError, Failed
from numerai_kedro.incremental import FoldStore
from numerai_kedro.models import family
from numerai_kedro.panel import EraPanel
from numerai_kedro.panel.walk_forward import Fold
from numerai_kedro.pipelines.parameters import SWITCHED_OFF, ModelParams
from numerai_kedro.resilience.isolation import Executor
from numerai_kedro.training.adaptive import Rung, adapted
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.tuning.decide import recipe_at
from numerai_kedro.training.tuning.ground import TuningParams

POSTPONED = "postponed to a later run: time_budget_hours (parameters_resources.yml)"


def not_now(
    name: str,
    plan: dict[str, Any],
    schedule: dict[str, Any],
    params: ModelParams,
    what: str,
    stage: str,
) -> Failed | None:
    """Why a model's fits or trials are not made in this run; None where they are.

    Raises
    ------
    ConfigurationError
        The plan was made for other parameters.
    """
    if plan["models"][name]["asked"] != params.sampling():
        raise ConfigurationError(
            f"{name}: the plan was made for other values of {', '.join(params.sampling())}; run "
            "kedro run --pipeline=weekly or --pipeline=prepare, which plan again."
        )
    reason = plan["models"][name].get("reason")
    if reason is not None:
        return Failed(stage, reason, kind="off" if reason == SWITCHED_OFF else "resource")
    if f"{name} {what}" in schedule["postponed"]:
        return Failed(stage, POSTPONED, kind="postponed")
    return None


def asked_recipe(
    name: str, folds: dict[str, Any], plan: dict[str, Any], params: ModelParams
) -> Recipe:
    """The recipe of the preset that the user chose, as the plan lets it run."""
    decided, model_class = plan["models"][name], family(name)
    return Recipe(
        name=name,
        family=model_class,
        params=params.chosen(model_class.params_type, name),
        targets=(folds["target"], *params.more_targets),
        era_stride=decided["era_stride"],
        n_offsets=decided["n_offsets"],
        seed=params.seed,
        threads=plan["threads"],
        device=decided["device"],
        adaptive=params.adaptive,
    )


def asked_as_json(recipe: Recipe, params: ModelParams) -> dict[str, Any]:
    """What the user asked for, to tell later whether that has changed."""
    chosen = recipe.params.model_dump(mode="json")
    return {"preset": params.preset, "params": chosen, "seed": params.seed}


def judged_recipes(
    name: str, folds: dict[str, Any], plan: dict[str, Any], params: ModelParams, best_params: Any
) -> tuple[list[Fold], list[Recipe]]:
    """The judged folds, each with the recipe that serves it."""
    windows = [Fold(f["name"], tuple(f["train"]), tuple(f["test"])) for f in folds["judged"]]
    asked = asked_recipe(name, folds, plan, params)
    decisions = best_params["decisions"]
    return windows, [recipe_at(asked, decisions, window.test[0]) for window in windows]


def strengthening(
    panel: EraPanel, folds: dict[str, Any], tuning: TuningParams, store: FoldStore
) -> Callable[[Recipe, tuple[int, int], Executor], tuple[Recipe, list[Rung]]]:
    """Give recipes the strength that their own training eras ask for, where the model adapts."""

    def strengthened(
        recipe: Recipe, eras: tuple[int, int], executor: Executor
    ) -> tuple[Recipe, list[Rung]]:
        if not recipe.adaptive:
            return recipe, []
        purge = folds["purge_eras"]
        return adapted(recipe, panel, eras, purge, tuning.adaptive, store, executor)

    return strengthened
