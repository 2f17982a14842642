"""How a feature's importance moves over blocks of eras: which die, and which flip."""

from __future__ import annotations

from typing import Any

import pandas as pd

SURE = 2.0  # standard errors above which an importance is significant
LEFT = 0.25  # share of its former importance below which a feature is called dead
BLOCKS = 2  # earlier blocks that a feature must have at least, besides the newest


def drifting(importance: pd.DataFrame) -> list[dict[str, Any]]:
    """Features that mattered significantly in earlier blocks of eras and do not in the newest.

    Parameters
    ----------
    importance : pandas.DataFrame
        One row a block and feature: ``first_era``, ``feature``, ``drop``, ``drop_error``.

    Returns
    -------
    list of dict
        ``feature``, ``kind`` (``dies`` or ``flips``), ``before`` and ``now``, largest loss first.
    """
    measured = importance.dropna(subset=["drop", "drop_error"]).sort_values("first_era")
    drifts: list[dict[str, Any]] = []
    for feature, rows in measured.groupby("feature"):
        if len(rows) <= BLOCKS:
            continue
        earlier, newest = rows.iloc[:-1], rows.iloc[-1]
        before = float(earlier["drop"].mean())
        error = float((earlier["drop_error"] ** 2).sum() ** 0.5 / len(earlier))
        if before <= SURE * error:
            continue
        flips = newest["drop"] < -SURE * newest["drop_error"]
        # A noisy newest block is no sign of death: its upper bound has to be lower, too.
        dies = newest["drop"] + SURE * newest["drop_error"] < before and (
            newest["drop"] < LEFT * before
        )
        if flips or dies:
            kind = "flips" if flips else "dies"
            now = float(newest["drop"])
            drifts.append({"feature": str(feature), "kind": kind, "before": before, "now": now})
    return sorted(drifts, key=lambda drift: (drift["now"] - drift["before"], drift["feature"]))
