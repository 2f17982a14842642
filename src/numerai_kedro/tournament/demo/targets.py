"""From weekly returns to the 41 targets, and to what a target is worth part of the way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from numerai_kedro.tournament.demo.names import HORIZONS, PAID_TARGET, TARGET_NAMES, target_names

FloatMatrix = npt.NDArray[np.float32]

BIN_SHARES = (0.05, 0.20, 0.50, 0.20, 0.05)
BIN_VALUES = np.array([0.0, 0.25, 0.5, 0.75, 1.0], dtype=np.float32)
WEEKS = {20: 4, 60: 12}
MAX_WEEKS = 12
SHARED = 0.7  # of an auxiliary target's variance; the rest is its own
AUXILIARY_NAN_SHARE = 0.03
DAYS_A_WEEK = 5


def neutral_returns(returns: FloatMatrix, styles: FloatMatrix) -> FloatMatrix:
    """Residuals of weekly returns on a constant and the styles, [n, n_weeks].

    Neutralising is linear, so a sum of residuals is the residual of the sum: every horizon and
    every day in between comes from these.
    """
    design = np.column_stack([np.ones(len(styles), dtype=np.float64), styles])
    q, _ = np.linalg.qr(design)
    values = returns.astype(np.float64)
    return (values - q @ (q.T @ values)).astype(np.float32)


def bin_target(values: npt.NDArray[np.floating]) -> FloatMatrix:
    """Rank and bin to 0, .25, .5, .75, 1 with shares 5/20/50/20/5 %, exact up to rounding."""
    n = len(values)
    borders = np.rint(np.cumsum(BIN_SHARES)[:-1] * n).astype(int)
    order = np.argsort(values, kind="stable")
    codes = np.empty(n, dtype=np.intp)
    codes[order] = np.searchsorted(borders, np.arange(n), side="right")
    return BIN_VALUES[codes]


def target_after(weekly: FloatMatrix, days: int) -> FloatMatrix:
    """The paid target as it stands after some business days; inside a week returns are linear."""
    whole, part = divmod(days, DAYS_A_WEEK)
    total = weekly[:, :whole].sum(axis=1, dtype=np.float64)
    if part:
        total = total + weekly[:, whole].astype(np.float64) * (part / DAYS_A_WEEK)
    return bin_target(total)


def all_targets(
    weekly: FloatMatrix, era: int, seed: int, first_eras: int
) -> npt.NDArray[np.float32]:
    """Every target column, float32[n, 41].

    Auxiliary targets share 70 % of their variance with the paid ones and lack a few values in the
    `first_eras`, as the real ones do.
    """
    rng = np.random.default_rng([seed, 3, era])
    columns: dict[str, FloatMatrix] = {}
    for name in TARGET_NAMES:
        own = rng.standard_normal((len(weekly), MAX_WEEKS), dtype=np.float32)
        missing = rng.random(len(weekly)) < AUXILIARY_NAN_SHARE
        for days in HORIZONS:
            weeks = WEEKS[days]
            total = weekly[:, :weeks].sum(axis=1, dtype=np.float64)
            if name == "ender":
                columns[f"target_{name}_{days}"] = bin_target(total)
                continue
            spread = total.std() / np.sqrt(weeks)
            other = own[:, :weeks].sum(axis=1, dtype=np.float64) * spread
            mixed = bin_target(np.sqrt(SHARED) * total + np.sqrt(1 - SHARED) * other)
            if era <= first_eras:
                mixed = np.where(missing, np.float32(np.nan), mixed)
            columns[f"target_{name}_{days}"] = mixed
    return np.column_stack([columns.get(name, columns[PAID_TARGET]) for name in target_names()])
