"""How fast this machine fits: one small fit on generated rows, before any download."""

from __future__ import annotations

import logging
import math
import time

import numpy as np

logger = logging.getLogger(__name__)

# Large enough that threads pay, small enough for a second.
N_ROWS, N_FEATURES, N_TREES = 40_000, 60, 20


def lightgbm_work_per_second(threads: int) -> float:
    """Rows x features x trees a second of LightGBM on int8-like values; NaN without LightGBM."""
    try:
        import lightgbm as lgb
    except (ImportError, OSError) as error:  # the model will be an outcome that says so
        logger.warning("LightGBM cannot be loaded, so no time is predicted: %s", error)
        return math.nan

    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, size=(N_ROWS, N_FEATURES)).astype(np.float32)
    label = rng.random(N_ROWS, dtype=np.float32)
    params = {"max_bin": 5, "num_leaves": 31, "num_threads": threads, "verbosity": -1, "seed": 0}
    data = lgb.Dataset(features, label=label, params=params).construct()
    begin = time.perf_counter()
    lgb.train(params, data, num_boost_round=N_TREES)
    return N_ROWS * N_FEATURES * N_TREES / (time.perf_counter() - begin)
