"""How fast this machine fits: one small fit on generated rows, before any download."""

from __future__ import annotations

import time

import numpy as np

# Large enough that threads pay, small enough for a second.
N_ROWS, N_FEATURES, N_TREES = 40_000, 60, 20


def lightgbm_work_per_second(threads: int) -> float:
    """Rows x features x trees a second of LightGBM on int8-like values."""
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, size=(N_ROWS, N_FEATURES)).astype(np.float32)
    label = rng.random(N_ROWS, dtype=np.float32)
    params = {"max_bin": 5, "num_leaves": 31, "num_threads": threads, "verbosity": -1, "seed": 0}
    data = lgb.Dataset(features, label=label, params=params).construct()
    begin = time.perf_counter()
    lgb.train(params, data, num_boost_round=N_TREES)
    return N_ROWS * N_FEATURES * N_TREES / (time.perf_counter() - begin)
