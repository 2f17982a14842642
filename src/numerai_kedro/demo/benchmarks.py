"""What others predict: Numerai's benchmark models, honestly fitted, and the meta model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from numerai_kedro.demo.names import target_names
from numerai_kedro.demo.sizes import DemoSize
from numerai_kedro.files import atomic_write

if TYPE_CHECKING:
    import lightgbm

BENCHMARKS = {"v53_lgbm_ender20": "target_ender_20", "v53_lgbm_ender60": "target_ender_60"}
CHUNK_ERAS = 78  # eras between refits
PURGE_ERAS = 16  # a 60-day target spans 12 eras and is published in the thirteenth
# Caps: a fit takes a second or two on any size.
MAX_ROWS, MAX_FEATURES, N_TREES = 60_000, 320, 120
LIGHTGBM = {
    "objective": "regression",
    "learning_rate": 0.06,
    "num_leaves": 31,
    "max_depth": 5,
    "feature_fraction": 0.1,
    "min_data_in_leaf": 50,
    "max_bin": 5,
    "min_data_in_bin": 1,
    "enable_bundle": False,
    "feature_pre_filter": False,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,  # for so few rows, threads that meet at every split cost more than they save
    "verbosity": -1,
}
STREAM_ROWS, STREAM_FEATURES, STREAM_META = 5, 4, 6
# The crowd: many use the benchmark, some know better, most of the rest is noise.
META_BENCHMARK, META_ORACLE, META_NOISE = 0.60, 0.20, 0.75

ReadEra = Callable[[int], npt.NDArray[Any]]


class Benchmarks:
    """LightGBM walk-forward: a chunk of eras is predicted by a fit on what was resolved before it.

    Parameters
    ----------
    folder
        Fitted models are kept here as text, so that a world that grows fits each chunk once.
    """

    def __init__(self, size: DemoSize, seed: int, folder: Path) -> None:
        self.size, self.seed, self.folder = size, seed, folder
        rng = np.random.default_rng([seed, STREAM_FEATURES])
        self._features = np.sort(rng.permutation(size.n_features)[:MAX_FEATURES])
        self._loaded: tuple[int, list[lightgbm.Booster]] = (0, [])

    def predict(self, era: int, features: ReadEra, targets: ReadEra) -> npt.NDArray[np.float32]:
        """Predict one era, float32[n, 2] in (0, 1); fits its chunk's models where they are missing.

        Parameters
        ----------
        features, targets : callable
            Read an era; only eras that end `PURGE_ERAS` before the chunk are learnt from.
        """
        first = self.size.first_benchmark_era
        chunk = era - (era - first) % CHUNK_ERAS
        if self._loaded[0] != chunk:
            self._loaded = (chunk, self._models(chunk, features, targets))
        columns = np.asarray(features(era)[:, self._features], dtype=np.float32)
        raw = [np.asarray(model.predict(columns, num_threads=1)) for model in self._loaded[1]]
        return np.column_stack([unit_ranks(column) for column in raw])

    def _models(self, chunk: int, features: ReadEra, targets: ReadEra) -> list[lightgbm.Booster]:
        import lightgbm as lgb

        paths = [self.folder / f"{chunk:04d}_{name}.txt" for name in BENCHMARKS]
        if not all(path.exists() for path in paths):
            self._fit(range(1, chunk - PURGE_ERAS), paths, features, targets)
        return [lgb.Booster(model_file=str(path)) for path in paths]

    def _fit(self, eras: range, paths: list[Path], features: ReadEra, targets: ReadEra) -> None:
        import lightgbm as lgb

        columns = [target_names().index(name) for name in BENCHMARKS.values()]
        samples, labels = [], []
        for era in eras:
            label = targets(era)[:, columns]
            rng = np.random.default_rng([self.seed, STREAM_ROWS, era])
            rows = np.sort(rng.permutation(len(label))[: MAX_ROWS // len(eras)])
            samples.append(features(era)[np.ix_(rows, self._features)])
            labels.append(label[rows])
        label = np.concatenate(labels)
        params = LIGHTGBM | {"seed": self.seed}
        data = lgb.Dataset(np.concatenate(samples).astype(np.float32), params=params)
        for column, path in enumerate(paths):
            data.set_label(np.ascontiguousarray(label[:, column]))
            model = lgb.train(params, data, num_boost_round=N_TREES)
            with atomic_write(path) as handle:
                handle.write(model.model_to_string().encode())


def meta_model(
    era: int,
    seed: int,
    benchmark: npt.NDArray[np.float32],
    signal: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Everybody else, float32[n] in (0, 1): part benchmark, part oracle, the rest noise."""
    noise = np.random.default_rng([seed, STREAM_META, era]).standard_normal(len(signal))
    crowd = ndtri(benchmark.astype(np.float64)).mean(axis=1)
    oracle = signal.sum(axis=1, dtype=np.float64)
    parts = zip((META_BENCHMARK, META_ORACLE, META_NOISE), (crowd, oracle, noise), strict=True)
    return unit_ranks(sum(weight * (part - part.mean()) / part.std() for weight, part in parts))


def unit_ranks(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Ranks in (0, 1), (rank - 1/2) / n; ties go by position, and rows lie in random order."""
    n = len(values)
    ranks = np.empty(n, dtype=np.float32)
    ranks[np.argsort(values, kind="stable")] = (np.arange(n) + 0.5) / n
    return ranks
