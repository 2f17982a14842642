"""The hidden market: persistent stocks, factors, features, and the weekly returns they cause.

    factors, styles, own parts (autoregressions) ─► feature values ─► five bins an era
    bins ─► signal by role ─┬─► next week's return
    styles, noise ──────────┘

Every week draws from generators of its own, seeded by (seed, stream, week), and goes on from the
state of the week before: the market up to an era does not depend on how far it is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from numerai_kedro.demo.binning import quintiles
from numerai_kedro.demo.names import TARGET_NAMES
from numerai_kedro.demo.sizes import DemoSize
from numerai_kedro.demo.truth import Truth

FloatMatrix = npt.NDArray[np.float32]

STREAM_STATE, STREAM_RETURNS, STREAM_TARGETS, STREAM_ORDER = 1, 2, 3, 8
# Own parts at .7: at .85, as in the recipe, 60-day scores of one feature overlap so much that
# the best of 240 reaches a Sharpe ratio of .8 over 260 eras.
FACTOR_PERSISTENCE, OWN_PERSISTENCE = np.float32(0.97), np.float32(0.7)
CROSS_GROUP = np.float32(0.1)  # correlation of any two factors
# Weekly returns: standard deviations, relative to an idiosyncratic part of 1.
CAUSAL_SCALE, DRIFTING_SCALE, INTERACTION_SCALE, STYLE_SCALE = 0.0120, 0.0075, 0.018, 0.02
# Counts at which those scales were measured to look like the real data.
CAUSAL_COUNT, DRIFTING_COUNT, PAIR_COUNT = 24, 36, 4
TURNOVER = 0.002  # share of stocks that leave, and of those that come, each week
HORIZON_WEEKS = 12
BLOCK_FEATURES = 128  # scores of so many features are in memory at a time


@dataclass(frozen=True)
class MarketWeek:
    """One week of the market, for the stocks listed in it, in an order of this week only.

    Parameters
    ----------
    identities : int64[n]
        Persistent over eras; never published.
    slots : int[n]
        Places of the listed stocks in `returns` and `target_noise`.
    features : int8[n, n_features]
        0..4, a fifth each; 2 where missing.
    styles : float32[n, n_styles]
        What targets are made neutral to.
    signal : float32[n, 2]
        Expected return of next week: from what is stable, and from what drifts.
    returns : float32[n_slots]
        Next week's return of every slot, also of stocks no longer listed.
    target_noise : float32[n_targets, n_slots]
        Next week's own part of each auxiliary target.
    """

    era: int
    identities: npt.NDArray[np.int64]
    slots: npt.NDArray[np.intp]
    features: npt.NDArray[np.int8]
    styles: FloatMatrix
    signal: FloatMatrix
    returns: FloatMatrix
    target_noise: FloatMatrix


@dataclass
class MarketState:
    """All that a week passes on to the next; saved, it is a checkpoint.

    Parameters
    ----------
    factors : float32[1 + n_factors, n_slots]
        The first is common to all.
    static : float32[n_static, n_slots]
    own : float32[n_features, n_slots]
    """

    era: int
    factors: FloatMatrix
    static: FloatMatrix
    own: FloatMatrix


class Market:
    """Simulates week after week.

    Parameters
    ----------
    signal_scale
        Multiplies every effect of features on returns: how predictable this market is.
    """

    def __init__(self, size: DemoSize, seed: int, truth: Truth, signal_scale: float) -> None:
        self.size, self.seed, self.truth = size, seed, truth
        self.signal_scale = np.float32(signal_scale)
        self.weekly_turnover = max(1, round(TURNOVER * size.n_stocks))
        self.spread = 0 if size.name == "tiny" else size.n_stocks // 10
        # Slots for every listed stock, and for those that left within a 60-day target.
        spare = (HORIZON_WEEKS + 2) * self.weekly_turnover
        self.n_slots = size.n_stocks + self.spread + spare

    def first_state(self) -> MarketState:
        """Era 1, in the stationary distribution."""
        rng = np.random.default_rng([self.seed, STREAM_STATE, 1])
        shapes = (1 + self.truth.n_factors, self.truth.n_static, self.size.n_features)
        parts = [rng.standard_normal((k, self.n_slots), dtype=np.float32) for k in shapes]
        return MarketState(1, *parts)

    def step_(self, state: MarketState) -> None:
        """Bring the state to the next week, in place."""
        state.era += 1
        rng = np.random.default_rng([self.seed, STREAM_STATE, state.era])
        _autoregress_(state.factors, FACTOR_PERSISTENCE, rng)
        _autoregress_(state.own, OWN_PERSISTENCE, rng)
        # Stocks that may be listed from now on take the slots of those that left longest ago.
        end = self.weekly_turnover * state.era + self.size.n_stocks + self.spread
        coming = np.arange(end - self.weekly_turnover, end) % self.n_slots
        for part in (state.factors, state.static, state.own):
            part[:, coming] = rng.standard_normal((len(part), len(coming)), dtype=np.float32)

    def week(self, state: MarketState) -> MarketWeek:
        """What is seen in the week of a state, and what it causes in the next."""
        era = state.era
        identities = self._listed(era)
        slots = identities % self.n_slots
        exposures = self._exposures(state)
        bins = self._bins(exposures[:, slots], state.own, slots)
        signal = self._signal(era, bins)
        rng = np.random.default_rng([self.seed, STREAM_RETURNS, era])
        styles = np.vstack([exposures, state.static])
        style_returns = np.float32(STYLE_SCALE) * rng.standard_normal(len(styles), np.float32)
        noise = rng.standard_t(4, size=self.n_slots).astype(np.float32) / np.float32(np.sqrt(2))
        # einsum, not BLAS: its sums do not depend on the number of threads.
        returns = noise + np.einsum("k,ks->s", style_returns, styles)
        returns[slots] += signal.sum(axis=1)
        rng = np.random.default_rng([self.seed, STREAM_TARGETS, era])
        target_noise = rng.standard_normal((len(TARGET_NAMES), self.n_slots), np.float32)
        bins[self.truth.missing_until >= era] = 2
        return MarketWeek(
            era=era,
            identities=identities,
            slots=slots,
            features=np.ascontiguousarray(bins.T),
            styles=np.ascontiguousarray(styles[:, slots].T),
            signal=signal,
            returns=returns,
            target_noise=target_noise,
        )

    def _listed(self, era: int) -> npt.NDArray[np.int64]:
        """Stocks of an era: the oldest leave, new ones come, and their number wanders.

        Shuffled every era: the place of a row would tell its stock.
        """
        first = self.weekly_turnover * era
        swing = np.sin(era / 17.0) + np.sin(era / 41.0)
        count = self.size.n_stocks + round(self.spread * 0.45 * swing)
        rng = np.random.default_rng([self.seed, STREAM_ORDER, era])
        return first + rng.permutation(count)

    def _exposures(self, state: MarketState) -> FloatMatrix:
        """Factors of unit variance that share a common part, [n_factors, n_slots]."""
        common, special = state.factors[:1], state.factors[1:]
        exposures: FloatMatrix = np.sqrt(1 - CROSS_GROUP) * special + np.sqrt(CROSS_GROUP) * common
        return exposures

    def _bins(
        self, exposures: FloatMatrix, own: FloatMatrix, slots: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.int8]:
        """Features in five bins, [n_features, n], a block of features at a time."""
        truth = self.truth
        bins = np.empty((len(own), len(slots)), dtype=np.int8)
        of_base = np.empty((len(truth.bases), len(slots)), dtype=np.float32)
        for block in _blocks(truth.bases):
            loading = truth.loading[truth.bases[block], None]
            scores = loading * exposures[truth.factor[truth.bases[block]]]
            scores += np.sqrt(1 - loading**2) * own[truth.bases[block]][:, slots]
            of_base[block] = scores
            bins[truth.bases[block]] = quintiles(scores)
        place = np.empty(len(own), dtype=np.intp)
        place[truth.bases] = np.arange(len(truth.bases))
        for block in _blocks(truth.variants):
            variants = truth.variants[block]
            rho = truth.variant_correlation[variants, None]
            scores = rho * of_base[place[truth.base[variants]]]
            scores += np.sqrt(1 - rho**2) * own[variants][:, slots]
            bins[variants] = quintiles(scores)
        return bins

    def _signal(self, era: int, bins: npt.NDArray[np.int8]) -> FloatMatrix:
        """Expected return of next week by stock, [n, 2]: stable, drifting."""
        truth = self.truth
        causal = truth.with_role("causal")
        effect = truth.effect[causal] * _unit(CAUSAL_SCALE, len(causal), CAUSAL_COUNT)
        stable = _weighted(effect, _standard(bins[causal]))
        if era < truth.collapse_era:
            collapsed = truth.with_role("collapsed")
            effect = truth.effect[collapsed] * _unit(CAUSAL_SCALE, len(causal), CAUSAL_COUNT)
            stable += _weighted(effect, _standard(bins[collapsed]))
        left, right = (_standard(bins[side]) for side in truth.pairs.T)
        effect = truth.pair_effect * _unit(INTERACTION_SCALE, len(truth.pairs), PAIR_COUNT)
        stable += _weighted(effect, left * right)
        drifting = truth.with_role("drifting")
        regime = truth.regimes[:, era] * _unit(DRIFTING_SCALE, len(drifting), DRIFTING_COUNT)
        changing = _weighted(regime, _standard(bins[drifting]))
        return self.signal_scale * np.column_stack([stable, changing])


def _autoregress_(state: FloatMatrix, persistence: np.float32, rng: np.random.Generator) -> None:
    """One week of an autoregression with unit variance, in place.

    Uniform shocks: ten times cheaper than normal ones, and their sum over weeks is all but normal;
    only ranks count.
    """
    width = np.float32(np.sqrt(12 * (1 - persistence**2)))
    shock = rng.random(state.shape, dtype=np.float32)
    shock -= np.float32(0.5)
    shock *= width
    state *= persistence
    state += shock


def _blocks(features: npt.NDArray[np.intp]) -> list[slice]:
    return [slice(k, k + BLOCK_FEATURES) for k in range(0, len(features), BLOCK_FEATURES)]


def _standard(bins: npt.NDArray[np.int8]) -> FloatMatrix:
    """Bins 0..4 with mean 0 and variance 1."""
    return (bins.astype(np.float32) - 2) / np.float32(np.sqrt(2))


def _unit(scale: float, count: int, measured_count: int) -> np.float32:
    """Scale of one effect, so that their sum does not grow with their number."""
    return np.float32(scale * np.sqrt(measured_count / count))


def _weighted(weights: FloatMatrix, columns: FloatMatrix) -> FloatMatrix:
    total: FloatMatrix = np.einsum("k,kn->n", weights, columns)
    return total
