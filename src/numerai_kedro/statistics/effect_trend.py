"""How effects move over blocks of eras: which die, and which flip."""

from __future__ import annotations

import numpy as np
import pandas as pd

from numerai_kedro.statistics.intervals import cosine_powers
from numerai_kedro.statistics.invariance import n_cosines
from numerai_kedro.statistics.ranks import Matrix

COLUMNS = ("feature", "first_era", "last_era", "effect", "error")


def effect_trend(
    features: list[str],
    eras: np.ndarray,
    effects: Matrix,
    block_eras: int,
    overlap_eras: int,
) -> pd.DataFrame:
    """Mean effect of each feature in each block of eras, with its standard error.

    Blocks are counted back from the newest era, so that the newest is whole; what is left over at
    the beginning joins the first.

    Parameters
    ----------
    effects : float64[n_eras, n_features]
        In time order; NaN where an effect is not known.
    block_eras
        Long enough to hold several targets one after another.
    overlap_eras
        How many eras one target spans. The error allows for it.

    Returns
    -------
    pandas.DataFrame
        One row a feature and block in which the effect is known throughout: `COLUMNS`.
    """
    n_eras = len(eras)
    begins = list(range(n_eras % block_eras, n_eras, block_eras)) or [0]
    begins[0] = 0
    frames = []
    for begin, end in zip(begins, [*begins[1:], n_eras], strict=True):
        block = effects[begin:end]
        known = np.flatnonzero(~np.isnan(block).any(axis=0))
        variance = cosine_powers(block[:, known], n_cosines(end - begin, overlap_eras)).mean(axis=0)
        frames.append(
            pd.DataFrame(
                {
                    "feature": [features[number] for number in known],
                    "first_era": int(eras[begin]),
                    "last_era": int(eras[end - 1]),
                    "effect": block[:, known].mean(axis=0),
                    "error": np.sqrt(variance / (end - begin)),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]


def oriented(trend: pd.DataFrame) -> pd.DataFrame:
    """The trend with the sign that each feature had before its newest block.

    As `statistics.importance.drifting` reads it: ``drop``, ``drop_error``.
    """
    newest = trend.groupby("feature")["first_era"].transform("max")
    before = trend[trend["first_era"] < newest].groupby("feature")["effect"].mean()
    sign = np.sign(trend["feature"].map(before)).fillna(1.0)
    return trend.assign(drop=trend["effect"] * sign, drop_error=trend["error"])
