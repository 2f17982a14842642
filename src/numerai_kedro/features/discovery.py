"""Verdicts on features: stable over regimes, unstable, without a visible effect, or untestable.

Clusters are tested. An effect is stable where the marginal one has one sign in most regimes, and
the partial one that sign over all eras: a partial effect alone may come from a suppressor, a
marginal one from a neighbour. (That the partial one replicates, too, would cost half of the power:
what near-duplicates share is taken out of it, and its noise grows.) An effect whose regimes differ
significantly and have both signs is unstable, however significant two of them are. Members have
their cluster's verdict.
A feature called null may still be of use to a model that sees interactions, or too weak to show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from numerai_kedro.data.verdict import Verdict
from numerai_kedro.features.clusters import (
    NO_CLUSTER,
    Clusters,
    clusters_of,
    partial_effects,
)
from numerai_kedro.features.invariance import (
    MIN_TARGETS,
    Regimes,
    flips,
    heterogeneity,
    mean_test,
    partial_conjunction,
    q_values,
    regime_test,
)
from numerai_kedro.metrics.ranks import Matrix


@dataclass(frozen=True)
class DiscoveryRule:
    """The criteria of an effect.

    Parameters
    ----------
    q
        False discovery rate that is accepted.
    n_regimes, least
        Long blocks of eras, at most, and how many of them must have an effect of the same sign.
    gap
        Eras left out between blocks, so that they share no target.
    overlap_eras
        How many weekly eras one target spans.
    alike
        |correlation| from which features are one cluster.
    ridge
        Ridge of partial effects.
    """

    q: float
    n_regimes: int
    least: int
    gap: int
    overlap_eras: int
    alike: float
    ridge: float

    def regimes(self, n_eras: int) -> Regimes:
        """As many blocks as possible that are each long enough for a test, but at least `least`."""
        for n_regimes in range(self.n_regimes, self.least, -1):
            regimes = Regimes.of(n_eras, n_regimes, self.gap)
            if (
                min(regime.stop - regime.start for regime in regimes)
                >= MIN_TARGETS * self.overlap_eras
            ):
                return regimes
        return Regimes.of(n_eras, self.least, self.gap)

    @property
    def eras_needed(self) -> int:
        """With fewer eras, everything is untestable."""
        return self.least * (MIN_TARGETS * self.overlap_eras + self.gap)


def discover(
    names: list[str], effects: Matrix, correlation: Matrix, rule: DiscoveryRule
) -> pd.DataFrame:
    """Give every feature a verdict, with its test statistics.

    Parameters
    ----------
    names
    effects : float64[n_eras, n_features]
        Correlation with the target era by era, in time order; NaN where a feature is not known.
    correlation : float64[n_features, n_features]
        Of the features, pooled over eras; NaN for one that never varies.

    Returns
    -------
    pandas.DataFrame
        One row a feature: ``feature``, ``cluster``, ``representative``, ``verdict``, ``n_eras``,
        ``effect`` (its own mean) and, of its cluster, ``t``, ``p``, ``naive_p``, ``q`` (mean over
        all eras), ``replicated_p``, ``replicated_q``, ``replicated_q_any_dependence`` (same sign in
        `least` regimes, and of the partial effect), ``partial_effect``, ``partial_p``,
        ``heterogeneity_q``, ``flips``, ``half_delta`` and ``by_regime``, a list of means. Values of
        a cluster are given the feature's sign.
    """
    own = mean_test(effects, rule.overlap_eras)
    clusters = clusters_of(correlation, rule.alike, own.n_eras)
    tested = _tested(effects, correlation, clusters, rule)
    tested["representative"] = [names[column] for column in clusters.representatives]
    of_feature = clusters.number
    rows = tested.reindex(of_feature)
    rows.index = pd.RangeIndex(len(names))
    for column in ("t", "partial_effect", "half_delta"):
        rows[column] *= clusters.sign
    rows["by_regime"] = [
        None if number == NO_CLUSTER else [float(sign * mean) for mean in rows["by_regime"][row]]
        for row, (number, sign) in enumerate(zip(of_feature, clusters.sign, strict=True))
    ]
    front = {
        "feature": names,
        "cluster": of_feature,
        "representative": rows.pop("representative"),
        "verdict": rows.pop("verdict").fillna(Verdict.UNTESTABLE.value),
        "n_eras": own.n_eras,
        "effect": own.mean,
    }
    rows["flips"] = rows["flips"].eq(True)
    return pd.concat([pd.DataFrame(front), rows], axis=1)


def _tested(
    effects: Matrix, correlation: Matrix, clusters: Clusters, rule: DiscoveryRule
) -> pd.DataFrame:
    """One row a cluster."""
    chosen = clusters.representatives
    marginal = effects[:, chosen]
    partial = partial_effects(marginal, correlation[np.ix_(chosen, chosen)], rule.ridge)
    regimes = rule.regimes(len(effects))
    mean = mean_test(marginal, rule.overlap_eras)
    own = mean_test(partial, rule.overlap_eras)
    by_regime = regime_test(marginal, regimes, rule.overlap_eras)
    testable = ~np.isnan(mean.p) & (by_regime.known >= rule.least)
    p, naive_p, replicated, differs = (
        np.where(testable, p_value, np.nan)
        for p_value in (
            mean.p,
            mean.naive_p,
            partial_conjunction(rule.least, by_regime, own),
            heterogeneity(by_regime),
        )
    )
    half = len(effects) // 2
    tested = pd.DataFrame(
        {
            "t": mean.t,
            "p": p,
            "naive_p": naive_p,
            "q": q_values(p),
            "replicated_p": replicated,
            "replicated_q": q_values(replicated),
            "replicated_q_any_dependence": q_values(replicated, any_dependence=True),
            "partial_effect": own.mean,
            "partial_p": own.p,
            "heterogeneity_q": q_values(differs),
            "flips": flips(by_regime),
            "half_delta": _means(marginal[half:]) - _means(marginal[:half]),
            "by_regime": list(by_regime.means.T),
        }
    )
    unstable = (tested["heterogeneity_q"] <= rule.q) & tested["flips"]
    tested["verdict"] = np.select(
        [~testable, unstable, tested["replicated_q"] <= rule.q],
        [Verdict.UNTESTABLE.value, Verdict.UNSTABLE.value, Verdict.STABLE.value],
        Verdict.NULL.value,
    )
    return tested


def _means(series: Matrix) -> Matrix:
    """Mean of the known values of each series; NaN if there are none."""
    is_known = ~np.isnan(series)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(is_known, series, 0).sum(axis=0) / is_known.sum(axis=0))
