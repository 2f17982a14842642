"""How effects change over blocks of eras: which die, and which flip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from numerai_kedro.features.invariance import (
    Regimes,
    heterogeneity,
    n_cosines,
    q_values,
    regime_test,
)
from numerai_kedro.metrics.intervals import cosine_powers

COLUMNS = ("feature", "first_era", "last_era", "effect", "error")
KNOWN_SHARE = 0.8  # minimum share of a block's eras with a known effect
LEFT = 0.25  # share of its former mean, below which an effect is called dead
LEVEL = 0.95  # confidence that there was an effect before


def effect_trend(linear: pd.DataFrame, block_eras: int, overlap_eras: int) -> pd.DataFrame:
    """Mean effect of each feature in each block of eras, with its standard error.

    Blocks are counted back from the newest era that has effects, so that the newest is whole; the
    remaining eras at the beginning join the first block.

    Parameters
    ----------
    linear : pandas.DataFrame
        A row an era, a column a feature; NaN where an effect is not known.
    block_eras
        Long enough to hold several targets one after another.
    overlap_eras
        How many eras one target spans. The error allows for it.

    Returns
    -------
    pandas.DataFrame
        One row a feature and block in most of whose eras the effect is known: `COLUMNS`.
    """
    linear = linear.dropna(how="all")
    n_eras = len(linear)
    begins = list(range(n_eras % block_eras, n_eras, block_eras)) or [0]
    begins[0] = 0
    frames = []
    for begin, end in zip(begins, [*begins[1:], n_eras], strict=True):
        block = linear.iloc[begin:end]
        block = block.loc[:, block.notna().mean() >= KNOWN_SHARE]
        means = block.mean()
        values = block.fillna(means).to_numpy(np.float64)
        variance = cosine_powers(values, n_cosines(end - begin, overlap_eras)).mean(axis=0)
        span = {"first_era": int(linear.index[begin]), "last_era": int(linear.index[end - 1])}
        columns = {"feature": list(block), **span, "effect": means.to_numpy()}
        frames.append(pd.DataFrame(columns | {"error": np.sqrt(variance / (end - begin))}))
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]


def turned_effects(
    linear: pd.DataFrame, block_eras: int, gap: int, overlap_eras: int, q: float
) -> list[dict[str, Any]]:
    """Effects that were significant, and have significantly died or reversed in the newest block.

    The newest block is compared with all eras a gap before it, with one long-run variance and its
    few degrees of freedom; the false discovery rate is `q`.

    Returns
    -------
    list of dict
        ``feature``, ``kind`` (``dies`` or ``flips``), ``before``, ``now`` and ``q``; surest first.
    """
    linear = linear.dropna(how="all")
    n_eras = len(linear)
    if n_eras <= block_eras + gap or linear.empty:
        return []
    parts = Regimes((0, n_eras - block_eras), (n_eras - block_eras - gap, n_eras))
    tested = regime_test(linear.to_numpy(np.float64), parts, overlap_eras)
    differs = q_values(heterogeneity(tested))
    before, now = tested.means
    sure = np.abs(tested.t) > stdtrit(np.maximum(tested.dof, 1), 0.5 + LEVEL / 2)
    turned = (before * now < 0) & sure[1]
    weakened = (before * now < 0) | (np.abs(now) < LEFT * np.abs(before))
    named = np.flatnonzero((differs <= q) & sure[0] & (turned | weakened))
    effects = [
        {
            "feature": str(linear.columns[k]),
            "kind": "flips" if turned[k] else "dies",
            "before": float(before[k]),
            "now": float(now[k]),
            "q": float(differs[k]),
        }
        for k in named
    ]
    return sorted(effects, key=lambda effect: (effect["q"], effect["feature"]))
