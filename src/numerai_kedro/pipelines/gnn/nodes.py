"""The graph of every window, and what it is worth to the networks that learn on it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute.isolation import Executor
from numerai_kedro.compute.remedies import failed_fit
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Fold, Folds
from numerai_kedro.errors import Failed
from numerai_kedro.features.window_graphs import change_since, changes_of, graphs_of
from numerai_kedro.metrics.intervals import Interval, mean_interval
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.models.registry import GRAPHS
from numerai_kedro.numerai.schema import overlap_eras
from numerai_kedro.pipelines.recipes import (
    POSTPONED,
    decided_for,
    fold_recipes,
    ladder,
    not_now,
    workers_of,
)
from numerai_kedro.progress import steps_bar
from numerai_kedro.runtime.parameters import GraphParams, ModelParams, ResourceParams
from numerai_kedro.training.engineered import Engineered
from numerai_kedro.training.fit_runner import FitRunner, sub_progress
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.walk_forward import walk_forward
from numerai_kedro.training.windows import windows_of

logger = logging.getLogger(__name__)

# Edges that replace the real ones, and their names in a sentence.
CONTROLS = {"random": "a random graph", "none": "no graph"}
BEATS, TOO_FEW = "beats it", "too few eras"
ON_DEMOS = (
    "on demo tournaments the real graph is not told from a random one, nor from none, nor an "
    "ensemble with graph networks from one without"
)
NOT_ASKED = f"not asked for here (feature_graph.control_folds); {ON_DEMOS}"


def build_graphs(
    history: EraPanel,
    folds: Folds,
    block_gram: FoldStore,
    plan: dict[str, Any],
    params: GraphParams,
) -> tuple[Any, Any]:
    """Build the graph of the features for every window, from that window's eras alone."""
    reasons = [decided_for(name, plan).get("reason") for name in GRAPHS]
    if all(reasons):
        off = Failed("build_graphs", f"no network learns on it: {reasons[0]}", kind="off")
        return off, off
    panel = history.select(features=folds.features)
    windows = {name: window.train for name, window in windows_of(folds).items()}
    try:
        with steps_bar("graph: products of eras") as bar:
            graphs = graphs_of(panel, windows, params.neighbours, block_gram, bar)
    except Exception as error:  # noqa: BLE001 - what is no outcome is raised again
        failed = failed_fit("build_graphs", error)
        return failed, failed
    changes = changes_of(graphs)
    for row in changes:
        if row.get("moved"):
            logger.warning(
                "graph, eras up to %s: %d features are in other nodes than before, as the data "
                "moved; networks are fitted again",
                row["window"],
                len(row["moved"]),
            )
    newest = changes[-1]
    logger.info(
        "graph, eras up to %s: %d features in %d nodes, %d edges, %d nodes alone",
        *(newest[name] for name in ("window", "features", "nodes", "edges", "alone")),
    )
    newest_window = newest["window"]
    since = change_since(graphs[newest_window], newest_window, block_gram)
    if since and (since["moved"] or since["came"] or since["left"]):
        logger.warning(
            "graph, compared with that of eras up to %s: %d features are in other nodes, "
            "%d came, %d left, as the data moved",
            since["window"],
            *(len(since[name]) for name in ("moved", "came", "left")),
        )
    by_window = {name: graph.as_json() for name, graph in graphs.items()}
    return by_window, {"windows": changes, "since": since}


def judge_graph(
    history: EraPanel,
    folds: Folds,
    plan: dict[str, Any],
    schedule: dict[str, Any],
    store: FoldStore,
    graph_params: GraphParams,
    resources: ResourceParams,
    report: Any,
    latents: Any,
    own_features: Any,
    graphs: Any,
    **of_models: Any,
) -> dict[str, Any] | Failed:
    """Compare the real graph with a random one of the same degrees, and with none."""
    if not graph_params.control_folds:
        return {"models": [], "text": NOT_ASKED}
    if schedule["postponed"]:
        return Failed("judge_graph", POSTPONED, kind="postponed")
    panel = history.select(features=folds.features)
    engineered = Engineered(report, latents, graphs, own_features)
    rows: list[dict[str, Any]] = []
    for name in GRAPHS:
        params: ModelParams = of_models[name]
        best, oof, recovery = (
            of_models[f"{name}__{entry}"] for entry in ("best", "oof", "recovery")
        )
        off = not_now(name, plan, schedule, params, "fits", "judge_graph")
        failed = [stage for stage in (off, best, oof, recovery) if isinstance(stage, Failed)]
        if failed:
            rows.append({"model": name, "failed": failed[0].symptom})
            continue
        windows, recipes = fold_recipes(name, folds, plan, params, best, engineered)
        _, lighter = ladder(name, plan["models"][name], params)
        newest = list(zip(windows, recipes, strict=True))[-graph_params.control_folds :]
        fold_recipe_pairs = [
            (window, lighter(recipe, recovery["lighter"])) for window, recipe in newest
        ]
        edges = {recipe.params.edges for _, recipe in fold_recipe_pairs}
        if edges != {"real"}:
            rows.append({"model": name, "failed": f"edges: {', '.join(sorted(edges))} used"})
            continue
        try:
            with workers_of(name, plan, resources) as workers:
                rows += list(_controls(name, panel, folds, fold_recipe_pairs, oof, store, workers))
                for line in workers.taken_lines():
                    logger.warning("%s, controls: %s: %s", name, line["symptom"], line["remedy"])
        except Exception as error:  # noqa: BLE001 - what is no outcome is raised again
            return failed_fit("judge_graph", error)
    return {"models": rows, "text": said(rows)}


def _controls(
    name: str,
    panel: EraPanel,
    folds: Folds,
    fold_recipe_pairs: list[tuple[Fold, Recipe]],
    oof: pd.DataFrame,
    store: FoldStore,
    workers: Executor,
) -> Iterator[dict[str, Any]]:
    """CORR by the real graph less that by each control, over the eras of the newest folds."""
    target, windows = folds.paid_target, [window for window, _ in fold_recipe_pairs]
    real = oof[oof["era"] >= windows[0].test[0]]
    with steps_bar(f"{name}: controls") as bar:
        for number, edges in enumerate(CONTROLS):
            within = sub_progress(bar, number, len(CONTROLS))
            logger.info("%s, controls: folds on %s", name, CONTROLS[edges])
            control_recipes = [
                recipe.with_params(recipe.params.model_copy(update={"edges": edges}))
                for _, recipe in fold_recipe_pairs
            ]
            runner = FitRunner(store, workers, within)
            control, _ = walk_forward(panel, windows, control_recipes, folds.purge_eras, runner)
            differences = _corr(panel, real, target) - _corr(panel, control, target)
            gain = mean_interval(differences.to_numpy(), overlap_eras(target))
            comparison = (name, CONTROLS[edges], gain, _verdict(gain))
            logger.info("%s, controls: CORR of the real graph less that on %s: %s, %s", *comparison)
            yield {
                "model": name,
                "control": edges,
                "eras": [int(differences.index[0]), int(differences.index[-1])],
                "gain": str(gain),
                "verdict": _verdict(gain),
            }


def _verdict(gain: Interval) -> str:
    if gain.low is None or gain.high is None:
        return TOO_FEW
    if gain.low > 0:
        return BEATS
    return "loses to it" if gain.high < 0 else "not distinguishable"


def _corr(panel: EraPanel, predictions: pd.DataFrame, target: str) -> pd.Series:
    """CORR of every resolved era."""
    tested = panel.select(eras=predictions["era"].unique())
    column = predictions["prediction"].to_numpy(dtype=np.float64)[:, None]
    labels = tested.target(target).astype(np.float64)
    return pd.Series(rank_scores(tested.era_starts, column, labels)[0][:, 0], tested.eras).dropna()


def said(rows: list[dict[str, Any]]) -> str:
    """Say whether the real graph earned anything, control by control."""
    parts = [
        f"{row['model']}: {row['failed']}"
        if "failed" in row
        else f"{row['model']}, the real graph against {CONTROLS[row['control']]}: {row['verdict']}"
        for row in rows
    ]
    verdicts = [row["verdict"] for row in rows if row.get("verdict", TOO_FEW) != TOO_FEW]
    if verdicts and BEATS not in verdicts:
        parts.append("nothing here says that the graph itself earns")
    if BEATS in verdicts:
        parts.append(f"one of {len(verdicts)} comparisons at 95 % each may do so by chance")
    if verdicts:
        parts.append(ON_DEMOS)
    return "; ".join(parts)
