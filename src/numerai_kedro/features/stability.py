"""Features that trees select on most halves of the eras, without an effect alone: interactions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from numerai_kedro.data import EraPanel
from numerai_kedro.data.verdict import Verdict
from numerai_kedro.features.clusters import NO_CLUSTER
from numerai_kedro.features.stability_selection import (
    complementary_halves,
    largest_selection,
    selection_share,
)
from numerai_kedro.metrics.ranks import Vector
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.importance import gain_of
from numerai_kedro.training.recipe import Fit, Recipe


@dataclass(frozen=True)
class StabilityRule:
    """The criteria by which a cluster counts as selected by trees.

    Parameters
    ----------
    n_pairs
        Number of pairs of complementary halves, with two fits each.
    by_chance
        Maximum expected number of clusters that pass by chance: decides how many a half selects.
    threshold
        Minimum share of the halves that select it.
    block_eras
        Eras that stay together.
    seed
        Seed of the halves.
    """

    n_pairs: int
    by_chance: float
    threshold: float
    block_eras: int
    seed: int


def with_interactions(
    report: pd.DataFrame,
    panel: EraPanel,
    window: tuple[int, int],
    recipe: Recipe,
    rule: StabilityRule,
    runner: FitRunner,
) -> pd.DataFrame:
    """Give a null feature that trees select on most halves the verdict interaction.

    Returns
    -------
    pandas.DataFrame
        The report with a column ``stability``, the share of halves that select the cluster; NaN
        where there are too few eras for two halves.
    """
    target = recipe.targets[0]
    resolved = panel.resolved_eras(target)
    eras = resolved[(resolved >= window[0]) & (resolved <= window[1])][:: recipe.era_stride]
    rng = np.random.default_rng(rule.seed)
    block = max(1, rule.block_eras // recipe.era_stride)
    if len(eras) <= block:  # no two halves
        return report.assign(stability=np.nan)
    pairs = complementary_halves(len(eras), block, rule.n_pairs, rng)
    numbers = report["cluster"].to_numpy()
    gains = []
    for number, half in enumerate(half for pair in pairs for half in pair):
        fit = Fit(recipe, target, panel.select(eras=eras[half]), keep=False, shares_bins=False)
        gains.append(_by_cluster(gain_of(fit, runner.store, runner.executor), numbers))
        runner.progress(number + 1, 2 * rule.n_pairs)
    n_clusters = int(numbers.max()) + 1
    n_selected = largest_selection(rule.by_chance, rule.threshold, rule.n_pairs, n_clusters)
    share = selection_share(np.stack(gains), n_selected)
    of_feature = np.where(numbers == NO_CLUSTER, np.nan, share[numbers])
    significant = (report["verdict"] == Verdict.NULL) & (of_feature >= rule.threshold)
    verdicts = report["verdict"].mask(significant, Verdict.INTERACTION.value)
    return report.assign(stability=of_feature, verdict=verdicts)


def _by_cluster(gains: Vector, numbers: np.ndarray) -> Vector:
    """Total gain of each cluster's members."""
    clustered = numbers != NO_CLUSTER
    n_clusters = int(numbers.max()) + 1
    sums = np.bincount(numbers[clustered], weights=gains[clustered], minlength=n_clusters)
    return sums.astype(np.float64, copy=False)
