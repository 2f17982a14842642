"""The hidden market: persistent stocks, factors, features, and the weekly returns they cause.

Every era draws from generators of its own, seeded by (seed, stream, era): the market up to an era
does not depend on how far it is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from numerai_kedro.tournament.demo.sizes import DemoSize
from numerai_kedro.tournament.demo.truth import Truth

FloatMatrix = npt.NDArray[np.float32]

FACTOR_PERSISTENCE, OWN_PERSISTENCE = np.float32(0.97), np.float32(0.85)
# Weekly returns: standard deviations beside an idiosyncratic part of 1.
CAUSAL_SCALE, DRIFTING_SCALE, INTERACTION_SCALE, STYLE_SCALE = 0.0075, 0.010, 0.012, 0.02
# Counts at which those scales were measured to look like the real data.
CAUSAL_COUNT, DRIFTING_COUNT, PAIR_COUNT = 24, 36, 8
TURNOVER = 0.002  # share of stocks that leave, and of those that come, each week
N_BINS = 5


@dataclass(frozen=True)
class MarketEra:
    """One week of the market, for the stocks listed in it.

    Parameters
    ----------
    identities : int64[n]
        Persistent over eras; never published.
    features : int8[n, n_features]
        0..4, a fifth each; 2 where missing.
    styles : float32[n, n_styles]
        What targets are made neutral to.
    signal : float32[n]
        Expected return of next week, up to scale: what an oracle would predict.
    returns : float32[n_slots]
        Next week's return of every slot, also of stocks not listed.
    slots : int[n]
        Slots of the listed stocks.
    """

    era: int
    identities: npt.NDArray[np.int64]
    slots: npt.NDArray[np.intp]
    features: npt.NDArray[np.int8]
    styles: FloatMatrix
    signal: FloatMatrix
    returns: FloatMatrix


class Market:
    """Simulates week after week.

    Parameters
    ----------
    signal_scale
        Multiplies every effect of features on returns: how predictable this market is.
    """

    def __init__(self, size: DemoSize, seed: int, truth: Truth, signal_scale: float) -> None:
        self.size, self.seed, self.truth = size, seed, truth
        self.signal_scale = signal_scale
        constant = size.name == "tiny"
        self.weekly_turnover = 0 if constant else max(1, round(TURNOVER * size.n_stocks))
        self.spread = 0 if constant else size.n_stocks // 10
        # Slots for every listed stock, and for those that left less than a 60-day target ago.
        self.n_slots = size.n_stocks + self.spread + 16 * self.weekly_turnover

    def eras(self) -> Iterator[MarketEra]:
        """Yield era 1, 2, 3, … without end."""
        start = np.random.default_rng([self.seed, 1, 0])
        factors = start.standard_normal((self.truth.n_factors, self.n_slots), dtype=np.float32)
        static = start.standard_normal((self.truth.n_static, self.n_slots), dtype=np.float32)
        own = start.standard_normal((self.size.n_features, self.n_slots), dtype=np.float32)
        era = 1
        while True:
            yield self._week(era, factors, static, own)
            era += 1
            rng = np.random.default_rng([self.seed, 1, era])
            _step(factors, FACTOR_PERSISTENCE, rng)
            _step(own, OWN_PERSISTENCE, rng)
            self._list_new_stocks(era, rng, factors, static, own)

    def _week(
        self, era: int, factors: FloatMatrix, static: FloatMatrix, own: FloatMatrix
    ) -> MarketEra:
        identities = self._listed(era)
        slots = identities % self.n_slots
        binned = bin_rows(self._scores(factors, own)[:, slots])
        z = (binned.astype(np.float32) - 2) / np.float32(np.sqrt(2))
        signal = self._signal(era, z)
        rng = np.random.default_rng([self.seed, 2, era])
        styles = np.vstack([factors, static])
        returns = STYLE_SCALE * rng.standard_normal(len(styles), dtype=np.float32) @ styles
        noise = rng.standard_t(4, size=self.n_slots).astype(np.float32) / np.float32(np.sqrt(2))
        returns = (returns + noise).astype(np.float32)
        returns[slots] += self.signal_scale * signal
        published = binned.T.copy()
        published[:, self.truth.missing_until >= era] = 2
        return MarketEra(
            era, identities, slots, published, styles[:, slots].T.copy(), signal, returns
        )

    def _scores(self, factors: FloatMatrix, own: FloatMatrix) -> FloatMatrix:
        """Continuous feature values, [n_features, n_slots]."""
        truth = self.truth
        loading = truth.loading[:, None]
        base = loading * factors[truth.factor] + np.sqrt(1 - loading**2) * own
        variants = np.flatnonzero(truth.base != np.arange(len(truth.base)))
        rho = truth.variant_correlation[variants, None]
        scores = base
        scores[variants] = rho * base[truth.base[variants]] + np.sqrt(1 - rho**2) * own[variants]
        return scores

    def _signal(self, era: int, z: FloatMatrix) -> FloatMatrix:
        truth = self.truth
        causal, drifting = truth.with_role("causal"), truth.with_role("drifting")
        collapsed = truth.with_role("collapsed")
        signal = _mixed(truth.effect[causal], z[causal], CAUSAL_SCALE, CAUSAL_COUNT)
        if era < truth.collapse_era:
            weight = CAUSAL_SCALE / np.sqrt(max(len(causal), 1) / CAUSAL_COUNT)
            signal = signal + np.float32(weight) * (truth.effect[collapsed] @ z[collapsed])
        regime = truth.regimes[:, era]
        signal = signal + _mixed(regime, z[drifting], DRIFTING_SCALE, DRIFTING_COUNT)
        together = z[truth.pairs[:, 0]] * z[truth.pairs[:, 1]]
        return signal + _mixed(truth.pair_effect, together, INTERACTION_SCALE, PAIR_COUNT)

    def _listed(self, era: int) -> npt.NDArray[np.int64]:
        """Stocks of an era: the oldest leave, new ones come, and their number wanders."""
        first = self.weekly_turnover * era
        swing = np.sin(era / 17.0) + np.sin(era / 41.0)
        count = self.size.n_stocks + round(self.spread * 0.45 * swing)
        return np.arange(first, first + count, dtype=np.int64)

    def _list_new_stocks(
        self,
        era: int,
        rng: np.random.Generator,
        factors: FloatMatrix,
        static: FloatMatrix,
        own: FloatMatrix,
    ) -> None:
        """Give the slots of stocks that left long ago to stocks that come."""
        if not self.weekly_turnover:
            return
        newest = self.weekly_turnover * era + self.n_slots - 1
        coming = np.arange(newest - self.weekly_turnover + 1, newest + 1) % self.n_slots
        for state in (factors, static, own):
            state[:, coming] = rng.standard_normal((len(state), len(coming)), dtype=np.float32)


def bin_rows(scores: FloatMatrix) -> npt.NDArray[np.int8]:
    """Bin each row into five parts as equal as its length allows, 0..4."""
    n = scores.shape[1]
    cuts = [round(n * part / N_BINS) for part in range(1, N_BINS)]
    parted = np.partition(scores, cuts, axis=1)
    binned = np.zeros(scores.shape, dtype=np.int8)
    for cut in cuts:
        binned += scores >= parted[:, cut : cut + 1]
    return binned


def _step(state: FloatMatrix, persistence: np.float32, rng: np.random.Generator) -> None:
    """One week of an autoregression with unit variance, in place."""
    shock = rng.standard_normal(state.shape, dtype=np.float32)
    shock *= np.sqrt(1 - persistence**2)
    state *= persistence
    state += shock


def _mixed(weights: FloatMatrix, columns: FloatMatrix, scale: float, count: int) -> FloatMatrix:
    """Weighted sum whose size does not grow with the number of columns."""
    norm = np.float32(scale / np.sqrt(max(len(weights), 1) / count))
    return norm * (weights.astype(np.float32) @ columns)
