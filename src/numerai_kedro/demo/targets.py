"""From weekly returns to the 41 targets, and to a target's value part of the way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from numerai_kedro.demo.binning import share_bins
from numerai_kedro.demo.names import (
    ALIAS,
    HORIZONS,
    PAID_TARGET,
    TARGET_NAMES,
    target_names,
)

FloatMatrix = npt.NDArray[np.float32]

PAID_NAME = "ender"
FIVE_BINS = (0.05, 0.20, 0.50, 0.20, 0.05)
SEVEN_BINS = (0.025, 0.075, 0.15, 0.50, 0.15, 0.075, 0.025)
SEVEN_BINNED = ("caroline", "sam", "xerxes")
DAYS_A_WEEK = 5
WEEKS = {days: days // DAYS_A_WEEK for days in HORIZONS}
MAX_WEEKS = max(WEEKS.values())
# An auxiliary target is neutral to the first of the styles only, and the rest of its variance is
# its own: both differ by name, so that pairs correlate by .6 to .9, as real ones do.
STYLE_SHARES = (1.0, 0.9, 0.75)
SHARED_VARIANCE = (0.85, 0.7, 0.6)
GAP_NAMES = 8  # this many auxiliary targets have missing values in early eras
MOST_MISSING = 0.05


def style_basis(styles: FloatMatrix) -> npt.NDArray[np.float64]:
    """Orthonormal columns of which the first k + 1 span a constant and the first k styles."""
    design = np.column_stack([np.ones(len(styles)), styles.astype(np.float64)])
    return np.linalg.qr(design).Q


def neutral_returns(returns: FloatMatrix, basis: npt.NDArray[np.float64]) -> FloatMatrix:
    """Residuals of weekly returns on a constant and all styles, [n, n_weeks].

    Neutralising is linear, so a sum of residuals is the residual of the sum: every horizon and
    every day in between comes from these.
    """
    values = returns.astype(np.float64)
    return (values - basis @ (basis.T @ values)).astype(np.float32)


def target_after(weekly: FloatMatrix, days: int) -> FloatMatrix:
    """The Ender target as it stands after some business days; inside a week returns are linear.

    Parameters
    ----------
    weekly : float32[n, 12]
        Neutral returns of the weeks that follow the era.
    days
        1 to 60; 20 gives `target_ender_20`, 60 the paid target.

    Raises
    ------
    ValueError
        Not a day of the target.
    """
    if not 1 <= days <= MAX_WEEKS * DAYS_A_WEEK:
        raise ValueError(f"day {days} is outside 1 to {MAX_WEEKS * DAYS_A_WEEK}")
    whole, part = divmod(days, DAYS_A_WEEK)
    total = weekly[:, :whole].sum(axis=1, dtype=np.float64)
    if part:
        total = total + weekly[:, whole].astype(np.float64) * (part / DAYS_A_WEEK)
    return share_bins(total, FIVE_BINS)


def all_targets(
    returns: FloatMatrix,
    own_parts: npt.NDArray[np.float32],
    basis: npt.NDArray[np.float64],
    gaps: npt.NDArray[np.bool_] | None,
) -> FloatMatrix:
    """Every target column of an era, float32[n, 41].

    Parameters
    ----------
    returns : float32[n, 12]
        Raw returns of the weeks that follow the era.
    own_parts : float32[20, n, 12]
        Weekly own part of each auxiliary target: like returns, it overlaps from era to era.
    basis : float64[n, 1 + n_styles]
        From `style_basis`.
    gaps : bool[20, n] or None
        Where auxiliary targets are missing.
    """
    weekly = neutral_returns(returns, basis)
    columns = {}
    for days, weeks in WEEKS.items():
        binned = _auxiliary(returns[:, :weeks], own_parts[:, :, :weeks], basis)
        if gaps is not None:
            binned[gaps] = np.nan
        binned[TARGET_NAMES.index(PAID_NAME)] = target_after(weekly, days)
        for name, column in zip(TARGET_NAMES, binned, strict=True):
            columns[f"target_{name}_{days}"] = column
    columns[ALIAS] = columns[PAID_TARGET]
    return np.column_stack([columns[name] for name in target_names()])


def _auxiliary(
    returns: FloatMatrix, own_parts: FloatMatrix, basis: npt.NDArray[np.float64]
) -> FloatMatrix:
    """Binned targets of one horizon by name, float32[20, n]."""
    total = returns.sum(axis=1, dtype=np.float64)
    loadings = basis.T @ total
    n_columns = [1 + round(share * (basis.shape[1] - 1)) for share in STYLE_SHARES]
    neutral = np.stack([total - basis[:, :k] @ loadings[:k] for k in n_columns])
    neutral /= neutral.std(axis=1, keepdims=True)
    own = own_parts.sum(axis=2, dtype=np.float64)
    own /= own.std(axis=1, keepdims=True)
    number = np.arange(len(TARGET_NAMES))
    shared = np.array(SHARED_VARIANCE)[number // len(n_columns) % len(SHARED_VARIANCE), None]
    values = np.sqrt(shared) * neutral[number % len(n_columns)] + np.sqrt(1 - shared) * own
    seven = np.isin(TARGET_NAMES, SEVEN_BINNED)
    binned = share_bins(values, FIVE_BINS)
    binned[seven] = share_bins(values[seven], SEVEN_BINS)
    return binned


def draw_gaps(n: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Missing values of auxiliary targets in an early era, bool[20, n]; the paid one has none."""
    share = np.zeros(len(TARGET_NAMES))
    auxiliary = [k for k, name in enumerate(TARGET_NAMES) if name != PAID_NAME]
    share[auxiliary[:GAP_NAMES]] = np.linspace(0.01, MOST_MISSING, GAP_NAMES)
    return rng.random((len(TARGET_NAMES), n)) < share[:, None]
