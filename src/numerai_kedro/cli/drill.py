"""Let something go wrong in a fit on purpose, and show what was done about it.

One fold of one network is fitted twice in a temporary folder, undisturbed and with the fault, in a
child process and with the pipeline's remedies. The files of the real runs stay as they are.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from rich.console import Console
from rich.table import Table

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute.fault_injection import Order, variable
from numerai_kedro.compute.isolation import Worker
from numerai_kedro.compute.machine import SIMULATED_GPU
from numerai_kedro.compute.remedies import until_it_fits
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Fold
from numerai_kedro.errors import ConfigurationError, Failed
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.models.registry import NETWORKS
from numerai_kedro.pipelines.recipes import asked_recipe, ladder
from numerai_kedro.progress import steps_bar
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.walk_forward import predict_fold, with_location

LOST_GPU_GB = 12.0  # of the simulated card that a drill loses


@dataclass(frozen=True)
class Setting:
    """What a drill runs on: a network, and a fold of the demo."""

    recipe: Recipe
    words: list[str]
    lighter: Callable[[Recipe, int], Recipe]
    history: EraPanel
    fold: Fold
    purge_eras: int
    target: str


@dataclass(frozen=True)
class Drilled:
    """The result of a drill.

    Parameters
    ----------
    lines
        Faults and remedies, as in `compute.recovery`.
    failed
        Why all remedies failed; None if there is a model.
    correlation
        Of the predictions with those of the undisturbed fit; 1 if they are equal bit by bit.
    corr, undisturbed_corr
        Mean CORR on the fold.
    came
        Whether the fault occurred at all.
    """

    lines: list[dict[str, Any]]
    failed: str | None
    correlation: float
    same: bool
    corr: float
    undisturbed_corr: float
    came: bool


def setting_of(project_path: Path, model: str) -> Setting:
    """Read what the weekly pipeline would fit.

    Raises
    ------
    ConfigurationError
        There is no data yet, the model is no network, or the plan leaves it out.
    """
    if model not in NETWORKS:
        raise ConfigurationError(f"--model {model}: a drill needs one of {', '.join(NETWORKS)}.")
    bootstrap_project(project_path)
    with KedroSession.create(project_path) as session:
        catalog = cast("KedroSession", session).load_context().catalog
        if not (catalog.exists("folds") and catalog.exists("resource_plan")):
            raise ConfigurationError(
                "drill: there is no data yet; type kedro run --pipeline=ingestion first."
            )
        folds, plan = catalog.load("folds"), catalog.load("resource_plan")
        history = catalog.load("history_panel").select(features=folds.features)
        params = catalog.load(f"params:{model}")
    reason = plan["models"].get(model, {}).get("reason")
    if reason is not None:
        raise ConfigurationError(f"drill: {model} does not run: {reason}.")
    recipe = asked_recipe(model, folds, plan, params)
    words, lighter = ladder(model, plan["models"][model], params)
    return Setting(
        recipe, words, lighter, history, folds.test[0], folds.purge_eras, folds.paid_target
    )


def undisturbed(setting: Setting) -> npt.NDArray[np.float32]:
    """Predictions of the fold without any fault, float32[n_rows].

    Raises
    ------
    ConfigurationError
        Even this fit failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        calm, _, failed = _fitted(setting, Path(folder), "undisturbed")
    if calm is None:
        raise ConfigurationError(f"drill: the undisturbed fit failed already: {failed}")
    return calm


def drill(
    setting: Setting, calm: npt.NDArray[np.float32], inject: str, at: str, times: int = 1
) -> Drilled:
    """Fit with a fault, and compare with the undisturbed fit."""
    with tempfile.TemporaryDirectory() as folder:
        order = Order(inject, at, times, str(Path(folder) / "count"))
        disturbed = setting
        card: AbstractContextManager[None] = nullcontext()
        if inject == "gpu-lost":  # a simulated card, so that machines without one can drill this
            recipe = dataclasses.replace(setting.recipe, device="cuda")
            disturbed = dataclasses.replace(setting, recipe=recipe)
            card = variable(SIMULATED_GPU, str(LOST_GPU_GB))
        with card, order.given():
            predictions, lines, failed = _fitted(disturbed, Path(folder) / "disturbed", inject)
        came = Path(order.count).exists()
    corr = _mean_corr(setting, calm)
    if predictions is None:
        return Drilled(lines, failed, float("nan"), False, float("nan"), corr, came)
    same = bool(np.array_equal(predictions, calm))
    correlation = 1.0 if same else float(np.corrcoef(predictions, calm)[0, 1])
    return Drilled(lines, None, correlation, same, _mean_corr(setting, predictions), corr, came)


def show(drilled: Drilled) -> None:
    """Print one row per fault, then how the fit ended."""
    table = Table("where", "seen", "evidence", "done", "what came of it")
    for line in drilled.lines:
        keys = ("place", "symptom", "evidence", "remedy", "result")
        table.add_row(*(line[key] for key in keys))
    console = Console()
    console.print(table)
    if not drilled.came:
        console.print("the fault never came: the fit has no such step")
        return
    if drilled.failed is not None:
        console.print(f"ended as an outcome, the week would go on without: {drilled.failed}")
        return
    alike = "are equal bit by bit" if drilled.same else f"correlate {drilled.correlation:.4f}"
    console.print(
        f"succeeded: predictions with the fault and without {alike}; CORR {drilled.corr:.4f} "
        f"and {drilled.undisturbed_corr:.4f}"
    )


def _fitted(
    setting: Setting, folder: Path, label: str
) -> tuple[npt.NDArray[np.float32] | None, list[dict[str, Any]], str | None]:
    """Predictions of the fold (None if the fit failed), recovery lines, and why it failed."""
    store = FoldStore(folder)
    with Worker(setting.recipe.name) as worker, steps_bar(f"{setting.recipe.name}, {label}") as bar:

        def attempt(steps: int) -> tuple[npt.NDArray[np.float32], list[dict[str, Any]]]:
            recipe = setting.lighter(setting.recipe, steps)
            inputs = (recipe, setting.history, setting.fold, setting.purge_eras)
            parts = list(predict_fold(*inputs, FitRunner(store, worker, bar)))
            lines = [
                line for p in parts for line in with_location(p.fits, setting.fold.name, store)
            ]
            return np.concatenate([part.predictions for part in parts]), lines

        outcome = until_it_fits("drill", setting.recipe.name, setting.words, attempt)
    if isinstance(outcome, Failed):
        return None, list(outcome.remedies), outcome.symptom
    predictions, lines = outcome.value
    return predictions, [*outcome.lines(), *lines], None


def _mean_corr(setting: Setting, predictions: npt.NDArray[np.float32]) -> float:
    test = setting.history.select(eras=np.arange(setting.fold.test[0], setting.fold.test[1] + 1))
    target = test.target(setting.target).astype(np.float64)
    columns = predictions[:, None].astype(np.float64)
    return float(np.nanmean(rank_scores(test.era_starts, columns, target)[0]))
