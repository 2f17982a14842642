"""What others predict: Numerai's benchmark models, honestly fitted, and the meta model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata

from numerai_kedro.tournament.demo.market import MarketEra
from numerai_kedro.tournament.demo.sizes import DemoSize
from numerai_kedro.tournament.demo.targets import WEEKS, bin_target

BENCHMARKS = {"v53_lgbm_ender20": 20, "v53_lgbm_ender60": 60}
CHUNK_ERAS = 78  # refitted so often
PURGE_ERAS = 16
MAX_FEATURES = 320
MAX_ROWS = 120_000
N_TREES = 150
LIGHTGBM = {
    "objective": "regression",
    "learning_rate": 0.06,
    "num_leaves": 31,
    "max_depth": 5,
    "feature_fraction": 0.1,
    "max_bin": 5,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
# The crowd: many use the benchmark, some know better, most of the rest is noise.
META_BENCHMARK, META_ORACLE, META_NOISE = 0.60, 0.30, 0.75


class BenchmarkModels:
    """LightGBM walk-forward on the published data, capped in rows and features.

    A chunk is predicted by a fit on eras that end `PURGE_ERAS` before it; earlier eras, before the
    first fit, get rank one half.
    """

    def __init__(self, size: DemoSize, seed: int) -> None:
        self.first_era = size.first_benchmark_era
        self._rng = np.random.default_rng([seed, 4])
        chosen = self._rng.permutation(size.n_features)[:MAX_FEATURES]
        self._features = np.sort(chosen)
        self._seed = seed
        # Rows kept of each era, so that the longest history that a fit sees stays within the cap.
        self._rows_per_era = max(20, MAX_ROWS // max(size.n_eras, 1))
        self._history: list[tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]] = []
        self._models: list[object] = []

    def predict_and_learn(
        self, week: MarketEra, weekly: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Predict the era with what was known before it, then remember a sample of it."""
        if week.era >= self.first_era and (week.era - self.first_era) % CHUNK_ERAS == 0:
            self._fit(week.era - PURGE_ERAS - 1)
        features = week.features[:, self._features]
        columns = [_predict(model, features) for model in self._models]
        if not columns:
            columns = [np.zeros(len(features))] * len(BENCHMARKS)
        self._remember(week, weekly)
        ranks = (rankdata(np.column_stack(columns), axis=0) - 0.5) / len(features)
        return ranks.astype(np.float32)

    def _remember(self, week: MarketEra, weekly: npt.NDArray[np.float32]) -> None:
        rng = np.random.default_rng([self._seed, 5, week.era])
        rows = rng.permutation(len(week.features))[: self._rows_per_era]
        targets = [
            bin_target(weekly[:, : WEEKS[days]].sum(axis=1, dtype=np.float64))
            for days in BENCHMARKS.values()
        ]
        sample = np.column_stack(targets)[rows]
        self._history.append((week.features[np.ix_(rows, self._features)], sample))

    def _fit(self, last_era: int) -> None:
        import lightgbm as lgb

        features = np.concatenate([x for x, _ in self._history[:last_era]])
        targets = np.concatenate([y for _, y in self._history[:last_era]])
        self._models = []
        for column in range(len(BENCHMARKS)):
            params = LIGHTGBM | {"seed": self._seed + column}
            data = lgb.Dataset(features, label=targets[:, column], params=params)
            self._models.append(lgb.train(params, data, num_boost_round=N_TREES))


class MetaModel:
    """Everybody else: part benchmark, part oracle, the rest noise."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def predict(
        self, week: MarketEra, benchmark: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """float32[n] in (0, 1)."""
        noise = np.random.default_rng([self._seed, 6, week.era]).standard_normal(len(week.signal))
        oracle = (week.signal - week.signal.mean()) / week.signal.std()
        crowd = ndtri(benchmark.mean(axis=1).astype(np.float64))
        mixed = META_BENCHMARK * crowd + META_ORACLE * oracle + META_NOISE * noise
        return ((rankdata(mixed) - 0.5) / len(mixed)).astype(np.float32)


def _predict(model: object, features: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    predictions: npt.NDArray[np.float64] = model.predict(features)  # type: ignore[attr-defined]
    return predictions
