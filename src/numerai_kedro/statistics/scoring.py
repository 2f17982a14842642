"""Numerai's scores, many columns at a time and one era at a time.

numerai-tools is the definition, and the tests hold us to it within 1e-12. Rows of an era whose
target is not resolved (NaN) are left out; an era without a resolved row scores NaN.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtri

from numerai_kedro.errors import PredictionError

Matrix = npt.NDArray[np.floating]
Vector = npt.NDArray[np.floating]
IntVector = npt.NDArray[np.integer]

# Numerai's CORR weights the tails: both sides are raised to this power, keeping their sign.
TAIL_POWER = 1.5
# numerai-tools brings a target in [0, 1] to [0, 4] before the MMC covariance.
TARGET_SCALE = 4.0
# Binned features are nearly collinear; this ridge, relative to the number of rows, keeps their
# Gram matrix solvable and moves a neutralised score by less than 1e-6.
RIDGE = 1e-9


def percentile_rank(columns: Matrix) -> Matrix:
    """Tie-kept ranks of each column, in (0, 1): (mean rank - 1/2) / n."""
    from scipy.stats import rankdata  # 0.7 s, which `kedro registry list` need not pay

    return (rankdata(columns, axis=0) - 0.5) / len(columns)


def gaussian_rank(columns: Matrix) -> Matrix:
    """Gaussian scores of each column's tie-kept ranks."""
    return ndtri(percentile_rank(columns))


def signed_power(columns: Matrix, power: float) -> Matrix:
    """Raise to a power and keep the sign."""
    return np.sign(columns) * np.abs(columns) ** power


def pearson(columns: Matrix, vector: Vector) -> Vector:
    """Pearson correlation of each column with a vector; NaN where either is constant."""
    centred = columns - columns.mean(axis=0)
    against = vector - vector.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        return (against @ centred) / np.sqrt((centred**2).sum(axis=0) * (against @ against))


def corr_of_era(predictions: Matrix, target: Vector) -> Vector:
    """Numerai's CORR of each column with the target, inside one era."""
    tails = signed_power(gaussian_rank(predictions), TAIL_POWER)
    return pearson(tails, signed_power(target - target.mean(), TAIL_POWER))


def contribution_of_era(predictions: Matrix, reference: Vector, target: Vector) -> Vector:
    """MMC (reference: the meta model) or BMC (reference: the benchmark) inside one era.

    The covariance of the target with what each prediction has beyond the reference.
    """
    columns = gaussian_rank(predictions)
    against = gaussian_rank(reference[:, None])[:, 0]
    beyond = columns - np.outer(against, (against @ columns) / (against @ against))
    centred = TARGET_SCALE * (target - target.mean())
    return (centred @ beyond) / len(target)


def neutralise(columns: Matrix, features: npt.NDArray[np.generic]) -> Matrix:
    """Remove from each column what is linear in the features and a constant.

    Parameters
    ----------
    columns : float[n_rows, n_columns]
        Usually Gaussian ranks of predictions.
    features : [n_rows, n_features]
        Constant features do no harm.

    Returns
    -------
    float64[n_rows, n_columns]
        Residuals, with mean zero.
    """
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    gram = centred.T @ centred
    gram[np.diag_indices_from(gram)] += RIDGE * len(features) + (np.diag(gram) == 0)
    centred_columns = columns - columns.mean(axis=0)
    slopes = cho_solve(cho_factor(gram), centred.T @ centred_columns)
    return centred_columns - centred @ slopes


def neutral_corr_of_era(
    predictions: Matrix, features: npt.NDArray[np.generic], target: Vector
) -> Vector:
    """FNC: the CORR that is left after neutralising the predictions to the features."""
    return corr_of_era(neutralise(gaussian_rank(predictions), features), target)


def max_exposure_of_era(predictions: Matrix, features: npt.NDArray[np.generic]) -> Vector:
    """Largest absolute Pearson correlation of each ranked column with any one feature."""
    ranks = percentile_rank(predictions)
    ranks -= ranks.mean(axis=0)
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    feature_norms = np.sqrt((centred**2).sum(axis=0))
    moving = feature_norms > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = ranks / np.sqrt((ranks**2).sum(axis=0))
    correlations = (centred[:, moving].T @ columns) / feature_norms[moving, None]
    return np.abs(correlations).max(axis=0, initial=0.0)


def score_by_era(
    score: Callable[..., Vector],
    era_starts: IntVector,
    predictions: Matrix,
    *others: npt.NDArray[np.generic],
) -> npt.NDArray[np.float64]:
    """Score every era with one of the functions above.

    Parameters
    ----------
    score : callable
        Such as `corr_of_era`: (predictions, *others) of one era to one value a column.
    era_starts : int64[n_eras + 1]
        Era `e` is rows ``era_starts[e]:era_starts[e + 1]``.
    predictions : float[n_rows, n_models]
        Any scale: only ranks inside an era count.
    *others : [n_rows] or [n_rows, k]
        What `score` takes beside the predictions; rows where a vector among them is NaN are left
        out.

    Returns
    -------
    float64[n_eras, n_models]
        NaN where an era has fewer than three rows to score.

    Raises
    ------
    PredictionError
        A prediction is NaN or infinite; names the column, the era's position and the count.
    """
    _check_finite(predictions, era_starts)
    scores = np.full((len(era_starts) - 1, predictions.shape[1]), np.nan)
    for position, (start, stop) in enumerate(itertools.pairwise(era_starts)):
        rows = slice(int(start), int(stop))
        known = np.ones(stop - start, dtype=bool)
        for other in others:
            if other.ndim == 1:
                known &= ~np.isnan(other[rows])
        if known.sum() < 3:
            continue
        pieces = [piece[rows][known] for piece in (predictions, *others)]
        scores[position] = score(*pieces)
    return scores


def _check_finite(predictions: Matrix, era_starts: IntVector) -> None:
    wrong = ~np.isfinite(predictions)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        era = int(np.searchsorted(era_starts, row, side="right")) - 1
        raise PredictionError(
            f"prediction column {column} holds {int(wrong[:, column].sum())} values that are not "
            f"finite, the first in era number {era} of those scored; mend the model that made them."
        )
