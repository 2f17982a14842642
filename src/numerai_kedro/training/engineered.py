"""Results of feature engineering by training window, and the columns that a fit then sees.

A window is named by its newest era: only fits that learn up to exactly that era use its results.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from numerai_kedro.data import EraPanel
from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.data.verdict import Verdict
from numerai_kedro.errors import Failed, PanelError
from numerai_kedro.training.recipe import ALL_COLUMNS, Columns, Recipe
from numerai_kedro.training.transforms import (
    LATENTS,
    VerdictUse,
    derives_columns,
    verdict_use,
)

FEATURES, GNN = "feature_engineering", "gnn"  # pipelines that produce missing results
DROPPED: dict[VerdictUse, tuple[Verdict, ...]] = {
    "drop_unstable": (Verdict.UNSTABLE,),
    # A feature that could not be tested, such as a new one, stays.
    "keep_confirmed": (Verdict.UNSTABLE, Verdict.NULL),
}


def window_name(newest_era: int) -> str:
    """Name of the window that ends with an era, in catalog entries."""
    return f"{newest_era:04d}"


def record_name(transform: str, newest_era: int) -> str:
    """Name of an own transformation's result for a window, which can name a file."""
    return f"{transform.replace('.', '-')}-{window_name(newest_era)}"


@dataclass(frozen=True)
class Engineered:
    """Results of feature engineering by window; in place of any, why there are none.

    Parameters
    ----------
    reports
        Each with columns ``feature``, ``verdict`` and ``weight``.
    latents
        Panels of latents, whose rows are the history's.
    graphs
        `FeatureGraph` as JSON values.
    own_features
        Panels of the columns of own transformations, by `record_name`.
    """

    reports: Mapping[str, pd.DataFrame] | Failed = field(default_factory=dict)
    latents: Mapping[str, EraPanel] | Failed = field(default_factory=dict)
    graphs: Mapping[str, Any] | Failed = field(default_factory=dict)
    own_features: Mapping[str, EraPanel] | Failed = field(default_factory=dict)

    def applied(self, recipe: Recipe, eras: tuple[int, int], features: Sequence[str]) -> Recipe:
        """The recipe with the columns that it asks for, from the results of its training window.

        Parameters
        ----------
        features
            Names of all features that models learn.

        Raises
        ------
        PanelError
            There are no results for this window.
        """
        columns, use = ALL_COLUMNS, verdict_use(recipe.transforms)
        if use is not None:
            report = check_made(self.reports, eras[1], recipe.name, "verdicts")
            columns = _chosen(report.set_index("feature").loc[list(features)], use)
        for transform in derives_columns(recipe.transforms):
            derived = derived_by(transform, self.latents, self.own_features, eras[1], recipe.name)
            # Derived columns have no verdict; where features are weighted, their weight is 1.
            weights = columns.weights and (*columns.weights, *[1.0] * len(derived.feature_names))
            panels = (*columns.derived, derived)
            columns = dataclasses.replace(columns, derived=panels, weights=weights)
        if recipe.family.reads_graph:
            graph = check_made(self.graphs, eras[1], recipe.name, "the graph of features", GNN)
            columns = dataclasses.replace(columns, graph=FeatureGraph.from_json(graph))
        return dataclasses.replace(recipe, columns=columns)


def derived_by(
    transform: str,
    latents: Mapping[str, Any] | Failed,
    own: Mapping[str, Any] | Failed,
    newest_era: int,
    model: str,
) -> Any:
    """A transformation's result for the window that ends with an era: its columns or its deriver.

    Raises
    ------
    PanelError
        There is none; the message names the model and the transformation.
    """
    if transform == LATENTS:
        return check_made(latents, newest_era, model, LATENTS)
    if isinstance(own, Failed):
        return check_made(own, newest_era, model, transform)
    window, record = window_name(newest_era), record_name(transform, newest_era)
    of_window = {window: own[record]} if record in own else {}
    return check_made(of_window, newest_era, model, transform)


def _chosen(report: pd.DataFrame, use: VerdictUse) -> Columns:
    if use == "weigh":
        weights = tuple(map(float, report["weight"]))
        # Equal weights change nothing; if all were 0, there would be nothing to learn from.
        return Columns(weights=weights) if len(set(weights)) > 1 else ALL_COLUMNS
    features = report.index[~report["verdict"].isin([verdict.value for verdict in DROPPED[use]])]
    # A model needs features, even where none passed the tests.
    return Columns(features=tuple(features)) if len(features) else ALL_COLUMNS


def check_made(
    found: Mapping[str, Any] | Failed,
    newest_era: int,
    model: str,
    what: str,
    pipeline: str = FEATURES,
) -> Any:
    """The result for the window that ends with an era.

    Raises
    ------
    PanelError
        There is none; the message names the model and what it needs.
    """
    if isinstance(found, Failed):
        raise PanelError(f"{model} learns from {what}, and there are none: {found.symptom}")
    name = window_name(newest_era)
    if name not in found:
        raise PanelError(
            f"{model} learns from {what}, and there are none for eras up to {name}; run kedro run "
            f"--pipeline={pipeline}."
        )
    return found[name]
