"""An independent check of the scores that a blend is chosen by: if they differ, it is an error.

MMC is also a slope: that of the meta model's Pearson correlation with the target as some of the
prediction is mixed in, times both standard deviations and 4. CORR is checked by Spearman's, from
which it differs by sampling only. Neither check shares code with `scoring`.

References
----------
The docstring of ``numerai_tools.scoring.correlation_contribution`` states the identity.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from numerai_kedro.errors import BlendError
from numerai_kedro.metrics.ranks import Vector

STEP = 1e-4
MMC_TOLERANCE = 1e-7
# The two correlations of an era normally differ with a standard deviation of .56 / sqrt(n).
CORR_SPREAD, CORR_DEVIATIONS = 0.56, 6.0


def check_scores(
    eras: npt.NDArray[np.integer],
    era_of_rows: npt.NDArray[np.integer],
    prediction: Vector,
    target: Vector,
    reference: Vector,
    corr: Vector,
    contribution: Vector,
) -> Vector:
    """Compute each era's scores independently and compare.

    Parameters
    ----------
    eras : int64[n_eras]
    era_of_rows : int64[n_rows]
    prediction, target, reference : float[n_rows]
    corr, contribution : float64[n_eras]
        From `scoring`; NaN is not checked.

    Returns
    -------
    float64[n_eras]
        Spearman's correlation with the target; NaN where CORR is.

    Raises
    ------
    BlendError
        They disagree; names score, era and both values.
    """
    spearman = np.full(len(eras), np.nan)
    frame = pd.DataFrame({"p": prediction, "y": target, "m": reference})
    groups = dict(tuple(frame.groupby(era_of_rows)))
    for position, era in enumerate(eras):
        rows = groups[era].dropna(subset=["p", "y"])
        if not np.isnan(corr[position]):
            spearman[position] = _spearman(rows)
            allowed = CORR_DEVIATIONS * CORR_SPREAD / np.sqrt(len(rows))
            _agree("CORR", era, corr[position], spearman[position], allowed)
        if not np.isnan(contribution[position]):
            slope = _slope(rows.dropna())
            _agree("MMC", era, contribution[position], slope, MMC_TOLERANCE)
    return spearman


def _spearman(rows: pd.DataFrame) -> float:
    ranks = rows[["p", "y"]].rank()
    return float(np.corrcoef(ranks["p"], ranks["y"])[0, 1])


def _slope(rows: pd.DataFrame) -> float:
    """4 sd(y) sd(m) d/ds pearson(y, m + s p) at s = 0, by a difference."""
    p, m = (ndtri((rows[name].rank() - 0.5) / len(rows)).to_numpy() for name in ("p", "m"))
    y = rows["y"].to_numpy()
    ahead, behind = (np.corrcoef(y, m + step * p)[0, 1] for step in (STEP, -STEP))
    return float(4 * y.std() * m.std() * (ahead - behind) / (2 * STEP))


def _agree(score: str, era: int, main: float, other: float, allowed: float) -> None:
    if not abs(main - other) <= allowed:
        raise BlendError(
            f"{score} of the blend in era {era:04d} is {main:.6f} one way and {other:.6f} another, "
            f"{allowed:.1g} apart are allowed: a score is computed wrongly, so nothing is blended; "
            "please report this with the versions of numpy and scipy."
        )
