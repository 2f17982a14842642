"""Weights of an ensemble's members from what they earned, era by era.

Four ways, each a function of what was known when the weights were used. Equal weights are the bar:
with few independent eras and members that are alike, estimated weights rarely beat them, and all
others stay near them, as long as little is known.

References
----------
DeMiguel, Garlappi and Uppal (2009), Optimal versus naive diversification, RFS 22:1915.
Caruana et al. (2004), Ensemble selection from libraries of models, ICML.
Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices,
JMVA 88:365.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from numerai_kedro.ensemble.member_scores import MemberScores, blend_scores
from numerai_kedro.ensemble.own_function import vector_of
from numerai_kedro.errors import BlendError
from numerai_kedro.metrics.intervals import (
    MIN_ERAS,
    degrees_of_freedom,
    long_run_variance,
)
from numerai_kedro.metrics.ranks import Matrix, Vector
from numerai_kedro.own_code import DOTTED, import_own
from numerai_kedro.strict import Block

Products = npt.NDArray[np.float64]
# By CORR and by what is beyond others, float64[n_eras, n_members] each: their sum is what is paid.
Earned = tuple[Matrix, Matrix]
TINY = 1e-12
Scheme = Literal["equal", "decayed", "greedy", "mean_variance"]
ALL_SCHEMES: tuple[str, ...] = get_args(Scheme)


class EnsembleParams(Block):
    """How members are weighed; see parameters_ensemble.yml."""

    scheme: Scheme | str
    # Digests of the code behind functions of the user's own.
    source: str | None = None
    neutral_source: str | None = None
    half_life_eras: float = Field(gt=0)
    sharpness: float = Field(ge=0)
    doubt: float = Field(ge=0)
    prior_eras: float = Field(ge=0)
    reweigh_eras: int = Field(gt=0)
    risk_aversion: float = Field(ge=0)
    neutralise_to: str
    proportions: tuple[float, ...]
    adopt_level: float = Field(gt=0.5, lt=1)
    bags: int = Field(gt=0)
    steps: int = Field(gt=0)
    seed: int = Field(ge=0)

    @field_validator("scheme")
    @classmethod
    def _is_known_or_dotted(cls, scheme: str) -> str:
        if scheme not in ALL_SCHEMES and not DOTTED.fullmatch(scheme):
            raise ValueError(
                f"{scheme!r} should be {', '.join(ALL_SCHEMES)}, or the dotted path of a function"
            )
        return scheme

    @model_serializer(mode="wrap")
    def _without_an_unset_source(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialise(self)
        unset = {name for name in ("source", "neutral_source") if values[name] is None}
        return {name: value for name, value in values.items() if name not in unset}

    @property
    def schemes(self) -> tuple[str, ...]:
        """All that stand side by side: those that are built in, and one's own."""
        own = () if self.scheme in ALL_SCHEMES else (self.scheme,)
        return (*ALL_SCHEMES, *own)


def own_weights(path: str, function: Callable[[Matrix], Any], payoffs: Matrix) -> Vector:
    """Weights by a function of the user's own, sum 1.

    Parameters
    ----------
    path
        Its name, for the sentence.
    function
        Gets `payoffs` and returns float[n_members], 0 or more.
    payoffs : float64[n_eras, n_members]
        What each member would have been paid in each era that was known, the newest last.

    Raises
    ------
    BlendError
        What it returns are no weights.
    """
    weights = vector_of(path, function, payoffs, size=payoffs.shape[1])
    if (weights < 0).any():
        raise BlendError(
            f"{path} returned {weights.tolist()!r:.200}; every weight should be 0 or more."
        )
    return _normalised(weights)


def decayed(
    earned: Earned, products: Products, overlap_eras: int, params: EnsembleParams
) -> Vector:
    """By mean payoff, the older the less, as far as members differ by more than noise.

    Shrunk separately for CORR and for MMC, which is paid five times as much and is noisier.
    """
    decay = 0.5 ** (np.arange(len(products))[::-1] / params.half_life_eras)
    decay /= decay.sum()
    corr, beyond = (
        shrunk_differences(score, decay, overlap_eras, params.doubt) for score in earned
    )
    common = np.add(*earned).mean(axis=1)
    n_cosines = degrees_of_freedom(len(common), overlap_eras)
    error = np.sqrt(long_run_variance(common, n_cosines) * (decay @ decay))
    # What all earn together is the measure; where that is next to nothing, its own error is.
    tilt = params.sharpness * (corr + beyond) / max(decay @ common, error, TINY)
    return _normalised(np.exp(tilt - tilt.max()))


def shrunk_differences(earned: Matrix, decay: Vector, overlap_eras: int, doubt: float) -> Vector:
    """How members' means differ from their common one, less what noise would make of it.

    Parameters
    ----------
    earned : float64[n_eras, n_members]
    decay : float64[n_eras]
        Weights of the eras; sum 1.
    doubt
        By how much more than they seem the means are taken to be noise.

    Returns
    -------
    float64[n_members]
        Sum 0: every difference times the one share that is not noise.

    References
    ----------
    Efron and Morris (1973), Stein's estimation rule and its competitors, JASA 68:117.
    """
    n_members = earned.shape[1]
    means = decay @ earned
    differences = means - means.mean()
    own = earned - earned.mean(axis=1, keepdims=True)
    n_cosines = degrees_of_freedom(len(own), overlap_eras)
    variances = [long_run_variance(series, n_cosines) for series in own.T]
    noise = doubt * sum(variances) / (n_members - 1) * (decay @ decay)
    seen = differences @ differences / (n_members - 1)
    return differences * max(0.0, 1 - noise / seen) if seen > 0 else differences


def greedy(earned: Earned, products: Products, overlap_eras: int, params: EnsembleParams) -> Vector:
    """Ensemble selection with replacement, averaged over bags of blocks of eras, and shrunk."""
    payoff = np.add(*earned)
    rng = np.random.default_rng([params.seed, len(payoff)])
    n_eras, n_members = payoff.shape
    n_blocks = n_eras // overlap_eras
    blocks = np.array_split(np.arange(n_eras), n_blocks)
    total = np.zeros(n_members)
    for _ in range(params.bags):
        drawn = np.concatenate([blocks[k] for k in rng.integers(n_blocks, size=n_blocks)])
        counts = np.zeros(n_members)
        for _ in range(params.steps):
            tried = counts + np.eye(n_members)
            values = blend_scores(tried, payoff[drawn], products[drawn]).mean(axis=-1)
            counts[int(values.argmax())] += 1
        total += counts
    return _shrunk(_normalised(total), n_eras, params)


def mean_variance(
    earned: Earned, products: Products, overlap_eras: int, params: EnsembleParams
) -> Vector:
    """Mean payoff less a multiple of its variance over blocks of eras, and shrunk."""
    from scipy.optimize import minimize

    payoff = np.add(*earned)
    n_eras, n_members = payoff.shape
    n_blocks = n_eras // overlap_eras
    blocks = np.stack([rows.mean(axis=0) for rows in np.array_split(payoff, n_blocks)])
    covariance, means = ledoit_wolf(blocks), payoff.mean(axis=0)
    scale = max(float(np.abs(means).max()), 1e-12)

    def loss(weights: Vector) -> float:
        risk = weights @ covariance @ weights
        return float((params.risk_aversion * risk / scale - means @ weights) / scale)

    solution = minimize(
        loss,
        np.full(n_members, 1 / n_members),
        method="SLSQP",
        bounds=[(0.0, 1.0)] * n_members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
    )
    return _shrunk(_normalised(np.clip(solution.x, 0.0, 1.0)), n_eras, params)


def _shrunk(weights: Vector, n_eras: int, params: EnsembleParams) -> Vector:
    """Towards equal weights, the fewer eras tell, the more."""
    trust = n_eras / (n_eras + params.prior_eras)
    return trust * weights + (1 - trust) / len(weights)


def ledoit_wolf(samples: Matrix) -> Matrix:
    """Covariance of float64[n_samples, n], shrunk towards a multiple of the identity."""
    n, size = samples.shape
    centred = samples - samples.mean(axis=0)
    covariance = centred.T @ centred / n
    target = np.trace(covariance) / size * np.eye(size)
    distance = ((covariance - target) ** 2).sum()
    spread = sum(((np.outer(row, row) - covariance) ** 2).sum() for row in centred) / n**2
    shrink = 1.0 if distance == 0 else min(1.0, spread / distance)
    return shrink * target + (1 - shrink) * covariance


SCHEMES: dict[str, Callable[[Earned, Products, int, EnsembleParams], Vector]] = {
    "decayed": decayed,
    "greedy": greedy,
    "mean_variance": mean_variance,
}


def weights_at(
    members: MemberScores,
    known_until: int,
    scheme: str,
    multipliers: tuple[float, float],
    overlap_eras: int,
    params: EnsembleParams,
) -> Vector:
    """Weights from eras up to `known_until`.

    Returns
    -------
    float64[n_members]
        Sum 1. Equal where fewer than `MIN_ERAS` eras are known: noise is underestimated by half in
        two spans of a target, and weights that trust it follow it.
    """
    # At once, so that a wrong path is said before enough is known to use it.
    own = None if scheme in ALL_SCHEMES else import_own(scheme, "ensemble.scheme")
    n_members = members.corr.shape[1]
    equal = np.full(n_members, 1 / n_members)
    resolved = members.until(known_until)
    corr, beyond = resolved.earned(*multipliers, overlap_eras)
    whole = ~np.isnan(corr + beyond).any(axis=1)
    if scheme == "equal" or whole.sum() < MIN_ERAS or n_members == 1:
        return equal
    earned = corr[whole], beyond[whole]
    if own is not None:
        return own_weights(scheme, own, np.add(*earned))
    return SCHEMES[scheme](earned, resolved.products[whole], overlap_eras, params)


def walk_weights(
    members: MemberScores,
    eras: npt.NDArray[np.integer],
    delay: int,
    scheme: str,
    multipliers: tuple[float, float],
    overlap_eras: int,
    params: EnsembleParams,
) -> Matrix:
    """Weights for each of some eras, from scores that had resolved by then: float64[n_eras, n].

    Parameters
    ----------
    eras
        In time order; weights are found anew at every `reweigh_eras`-th after the first of
        `members`.
    delay
        Eras after which a score is known.
    """
    first, by_grid_era = int(members.eras[0]), {}
    rows = []
    for era in map(int, eras):
        grid = era - (era - first) % params.reweigh_eras
        if grid not in by_grid_era:
            by_grid_era[grid] = weights_at(
                members, grid - delay, scheme, multipliers, overlap_eras, params
            )
        rows.append(by_grid_era[grid])
    return np.stack(rows)


def _normalised(weights: Vector) -> Vector:
    """Sum 1; equal where all are 0."""
    total = weights.sum()
    return weights / total if total > 0 else np.full(len(weights), 1 / len(weights))
