"""How fast this machine fits: a few small fits on generated rows, before any download."""

from __future__ import annotations

import logging
import math
import time

import numpy as np

logger = logging.getLogger(__name__)

# Large enough for threads to pay, small enough to take about a second.
N_ROWS, N_FEATURES, N_TREES, N_FITS = 40_000, 60, 20, 3
# Nanoseconds of the fastest fit on the two cores where `Model.cost` was measured.
PROBE_WORK = 89e6


def lightgbm_work_per_second(threads: int) -> float:
    """How much of `Cost.work` is done in a second, by a fit of LightGBM; NaN without LightGBM."""
    try:
        import lightgbm as lgb
    except (ImportError, OSError) as error:  # the model itself reports it later
        logger.warning("LightGBM cannot be loaded, so no time is predicted: %s", error)
        return math.nan

    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, size=(N_ROWS, N_FEATURES)).astype(np.float32)
    label = rng.random(N_ROWS, dtype=np.float32)
    params = {"max_bin": 5, "num_leaves": 31, "num_threads": threads, "verbosity": -1, "seed": 0}
    data = lgb.Dataset(features, label=label, params=params).construct()

    def seconds() -> float:
        begin = time.perf_counter()
        lgb.train(params, data, num_boost_round=N_TREES)
        return time.perf_counter() - begin

    # The fastest of several, to leave out other load on the machine.
    return PROBE_WORK / min(seconds() for _ in range(N_FITS))
