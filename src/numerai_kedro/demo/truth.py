"""What is true in a demo tournament: which features act on returns, how, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from numerai_kedro.demo.names import GROUPS, feature_names, feature_sets
from numerai_kedro.demo.sizes import DemoSize

ROLES = ("causal", "drifting", "interaction", "collapsed", "null")
# Shares of all features; the rest is null, yet correlated with the others by shared factors.
CAUSAL, DRIFTING, INTERACTION, COLLAPSED = 0.09, 0.15, 0.033, 0.02
# Targets are neutral to the factors, so only a feature's own part earns. Effects are divided by its
# size: no single feature stands out because it loads little on its factor.
EFFECTS, LOADINGS, OWN_SHARE = (0.7, 1.2), (0.6, 0.95), 0.6
VARIANTS = 0.6
VARIANT_CORRELATIONS = (0.8, 0.9, 0.97)
GROUPED = 0.86
EARLY_MISSING = 0.1
HORIZON_ERAS = 4_000  # regimes are drawn so far ahead, so that no end of history moves them
COLLAPSE_AT = 0.7
FACTORS_PER_GROUP = 6
STATIC_STYLES = 10


@dataclass(frozen=True)
class Truth:
    """Loadings and roles; arrays are indexed by feature in the order of `names`.

    Parameters
    ----------
    group : int[n_features]
        -1 for none.
    factor : int[n_features]
        The factor that a feature (or its base) loads on.
    loading : float32[n_features]
    base : int[n_features]
        The feature that a variant varies; itself for a base.
    bases, variants : int
        Numbers of the features of either kind; together all.
    variant_correlation : float32[n_features]
        1 for a base.
    role : str[n_features]
    effect : float32[n_features]
        Signed size of causal and collapsed effects.
    regimes : float32[n_drifting, HORIZON_ERAS]
        Effect of each drifting feature by era.
    pairs : int[n_pairs, 2]
        Features that act only together.
    missing_until : int[n_features]
        Up to this era a feature is the constant 2.
    """

    names: list[str]
    sets: dict[str, list[str]]
    group: npt.NDArray[np.intp]
    factor: npt.NDArray[np.intp]
    loading: npt.NDArray[np.float32]
    base: npt.NDArray[np.intp]
    bases: npt.NDArray[np.intp]
    variants: npt.NDArray[np.intp]
    variant_correlation: npt.NDArray[np.float32]
    role: npt.NDArray[np.str_]
    effect: npt.NDArray[np.float32]
    regimes: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.intp]
    pair_effect: npt.NDArray[np.float32]
    missing_until: npt.NDArray[np.int64]
    collapse_era: int
    n_factors: int
    n_static: int

    def with_role(self, role: str) -> npt.NDArray[np.intp]:
        """Numbers of the features with this role."""
        return np.flatnonzero(self.role == role)

    def as_json(self) -> dict[str, Any]:
        """What tests and readers want to know."""
        return {
            "roles": {r: [self.names[k] for k in self.with_role(r)] for r in ROLES},
            "effect": {
                self.names[k]: round(float(self.effect[k]), 4) for k in np.flatnonzero(self.effect)
            },
            "interactions": [[self.names[a], self.names[b]] for a, b in self.pairs],
            "collapse_era": self.collapse_era,
            "regime_starts": {
                self.names[k]: _regime_starts(regime)
                for k, regime in zip(self.with_role("drifting"), self.regimes, strict=True)
            },
            "loading": {
                name: round(float(x), 4) for name, x in zip(self.names, self.loading, strict=True)
            },
            "factor": dict(zip(self.names, self.factor.tolist(), strict=True)),
            "missing_until": {
                self.names[k]: int(self.missing_until[k])
                for k in np.flatnonzero(self.missing_until)
            },
            "variant_of": {
                name: self.names[self.base[k]]
                for k, name in enumerate(self.names)
                if self.base[k] != k
            },
        }


def draw_truth(size: DemoSize, seed: int) -> Truth:
    """Draw roles and loadings for one tournament."""
    rng = np.random.default_rng([seed, 0])
    n = size.n_features
    names = feature_names(n, rng)
    # A small cross-section carries few styles: each costs a degree of freedom when the target is
    # made neutral to them.
    n_styles = min(len(GROUPS) * FACTORS_PER_GROUP + STATIC_STYLES, max(size.n_stocks // 10, 2))
    n_static = min(STATIC_STYLES, n_styles // 5)
    n_factors = n_styles - n_static
    group = _draw_groups(n, rng)
    factor = _draw_factors(group, n_factors, rng)
    base = np.arange(n)
    correlation = np.ones(n, dtype=np.float32)
    variants = rng.permutation(n)[: int(VARIANTS * n)]
    bases = np.setdiff1d(np.arange(n), variants)
    for feature in variants:
        same = bases[group[bases] == group[feature]]
        if len(same):
            base[feature] = rng.choice(same)
            correlation[feature] = rng.choice(VARIANT_CORRELATIONS)
    loading = rng.uniform(*LOADINGS, n).astype(np.float32)
    role = _draw_roles(bases, n, rng)
    effect = np.zeros(n, dtype=np.float32)
    for name in ("causal", "collapsed"):
        acting = np.flatnonzero(role == name)
        size_of = rng.uniform(*EFFECTS, len(acting)) / np.sqrt(1 - loading[acting] ** 2)
        effect[acting] = OWN_SHARE * size_of * rng.choice([-1, 1], len(acting))
    drifting = np.flatnonzero(role == "drifting")
    pairs = np.flatnonzero(role == "interaction").reshape(-1, 2)
    early = rng.permutation(n)[: max(1, int(EARLY_MISSING * n))]
    missing_until = np.zeros(n, dtype=np.int64)
    missing_until[early] = rng.integers(1, max(2, int(0.15 * size.n_eras)), len(early))
    return Truth(
        names=names,
        sets=feature_sets(names, group, rng),
        group=group,
        factor=factor[base],
        loading=loading,
        base=base,
        bases=np.flatnonzero(base == np.arange(n)),
        variants=np.flatnonzero(base != np.arange(n)),
        variant_correlation=correlation,
        role=role,
        effect=effect,
        regimes=np.stack([_draw_regime(rng) for _ in drifting]),
        pairs=pairs,
        pair_effect=rng.choice([-1.0, 1.0], len(pairs)).astype(np.float32),
        missing_until=missing_until,
        collapse_era=int(COLLAPSE_AT * size.n_eras),
        n_factors=n_factors,
        n_static=n_static,
    )


def _draw_groups(n: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Every group has a feature, sizes in proportion, the rest belongs to none."""
    shares = np.array(list(GROUPS.values()), dtype=float)
    n_grouped = int(GROUPED * n)
    sizes = np.maximum(1, np.floor(n_grouped * shares / shares.sum()).astype(int))
    group = np.full(n, -1)
    group[: sizes.sum()] = np.repeat(np.arange(len(GROUPS)), sizes)
    return rng.permutation(group)


def _draw_factors(
    group: npt.NDArray[np.intp], n_factors: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """A feature loads on one of its group's own factors; one of no group on any."""
    by_group = np.array_split(np.arange(n_factors), len(GROUPS))
    return np.array(
        [
            rng.choice(by_group[g]) if g >= 0 and len(by_group[g]) else rng.integers(n_factors)
            for g in group
        ]
    )


def _draw_roles(
    bases: npt.NDArray[np.intp], n: int, rng: np.random.Generator
) -> npt.NDArray[np.str_]:
    """Roles are the bases' own: a variant of a causal feature is null, given its base."""
    order = rng.permutation(bases)
    role = np.full(n, "null", dtype="<U11")
    counts = {
        "causal": max(2, round(CAUSAL * n)),
        "drifting": max(2, round(DRIFTING * n)),
        "interaction": 2 * max(1, round(INTERACTION * n / 2)),
        "collapsed": max(1, round(COLLAPSED * n)),
    }
    begin = 0
    for name, count in counts.items():
        role[order[begin : begin + count]] = name
        begin += count
    return role


def _regime_starts(regime: npt.NDArray[np.float32]) -> dict[str, float]:
    """Effect from an era on, where it changes."""
    starts = [0, *(np.flatnonzero(np.diff(regime)) + 1).tolist()]
    return {str(era): round(float(regime[era]), 4) for era in starts}


def _draw_regime(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Piecewise constant: stays 30 to 80 eras, then most often changes its sign."""
    regime = np.empty(HORIZON_ERAS, dtype=np.float32)
    era, sign = 0, rng.choice([-1.0, 1.0])
    while era < HORIZON_ERAS:
        stay = int(rng.integers(30, 81))
        regime[era : era + stay] = sign * rng.uniform(0.5, 1.5)
        sign = -sign if rng.random() < 0.8 else sign
        era += stay
    return regime
