"""FNC and feature exposure: what predictions have beyond linear effects of features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.linalg.lapack import dpocon, spocon

from numerai_kedro.metrics.corr import corr_of_era
from numerai_kedro.metrics.ranks import Matrix, Vector, gaussian_rank, percentile_rank
from numerai_kedro.metrics.scoring import IntVector, enough_rows, over_eras

# Below it a Gram matrix is solved by its eigenvectors, without those below a share of the largest
# eigenvalue: the square of numerai-tools' cut of singular values.
SMALLEST_CONDITION = {"d": 1e-10, "f": 1e-5}
EIGENVALUE_CUT = 1e-12
EXACT_IN_FLOAT32 = 2**24  # sums of integers up to here


class Neutraliser:
    """Removes from columns what is linear in one era's features.

    Parameters
    ----------
    features : [n_rows, n_features]
        Constant and repeated features are allowed: eigenvectors are used then.
    precision
        Type in which the Gram matrix is computed and solved.
    """

    def __init__(
        self,
        features: npt.NDArray[np.generic],
        precision: type[np.floating] = np.float64,
    ) -> None:
        self._features = features.astype(precision)
        self._sums = self._features.sum(axis=0)
        gram = _gram(features, self._features)
        gram -= np.outer(self._sums, self._sums) / len(features)
        self.norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
        self._moving = self.norms > 1e-6 * np.sqrt(len(features))
        gram[~self._moving] = 0.0
        gram[:, ~self._moving] = 0.0
        gram[np.diag_indices_from(gram)] += ~self._moving
        self._solve = _solver(gram)

    def residuals(self, columns: Matrix) -> Matrix:
        """Columns without what is linear in the features and a constant; mean zero."""
        centred = columns - columns.mean(axis=0)
        slopes = self._solve(self._with_features(centred))
        fitted = self._features @ slopes
        return centred - (fitted - (self._sums / len(centred)) @ slopes)

    def max_exposure(self, columns: Matrix) -> Vector:
        """Largest absolute Pearson correlation of each column with any one feature."""
        centred = columns - columns.mean(axis=0)
        products = self._with_features(centred)[self._moving]
        norms = np.sqrt((centred**2).sum(axis=0))
        with np.errstate(invalid="ignore", divide="ignore"):
            correlations = products / norms / self.norms[self._moving, None]
        return np.abs(correlations).max(axis=0, initial=0.0)

    def _with_features(self, centred: Matrix) -> Matrix:
        products = self._features.T @ centred.astype(self._features.dtype, copy=False)
        products[~self._moving] = 0.0
        return products


def _gram(features: npt.NDArray[np.generic], floats: Matrix) -> Matrix:
    """Products of all pairs of features; for small integers exact and twice as fast."""
    if np.issubdtype(features.dtype, np.integer) and len(features):
        largest = max(abs(int(features.min())), abs(int(features.max())))
        if len(features) * largest**2 <= EXACT_IN_FLOAT32:
            singles = features.astype(np.float32)
            return (singles.T @ singles).astype(floats.dtype)
    return floats.T @ floats


def _solver(gram: Matrix) -> Callable[[Matrix], Matrix]:
    """A solver for a symmetric matrix: by Cholesky, or by eigenvectors if it is singular."""
    norm = np.abs(gram).sum(axis=0).max()
    try:
        factor = cho_factor(gram, check_finite=False)
    except np.linalg.LinAlgError:
        condition = 0.0
    else:
        estimate = dpocon if gram.dtype == np.float64 else spocon
        condition = float(estimate(factor[0], norm, uplo="L" if factor[1] else "U")[0])
    if condition > SMALLEST_CONDITION[gram.dtype.char]:
        return lambda right: cho_solve(factor, right, check_finite=False)
    values, vectors = eigh(gram, check_finite=False)
    large = values > max(EIGENVALUE_CUT, np.finfo(gram.dtype).eps * len(gram)) * values[-1]
    values, vectors = values[large], vectors[:, large]
    return lambda right: vectors @ ((vectors.T @ right) / values[:, None])


def max_exposure_of_era(predictions: Matrix, features: npt.NDArray[np.generic]) -> Vector:
    """Largest absolute Pearson correlation of each ranked column with any one feature."""
    return Neutraliser(features).max_exposure(percentile_rank(predictions))


def leaves_nothing(n_rows: int, n_features: int) -> bool:
    """Whether features and a constant fit any column, so that residuals are rounding errors."""
    return n_features + 1 >= n_rows


def feature_scores(
    era_starts: IntVector,
    predictions: Matrix,
    target: Vector,
    features_of: Callable[[int], npt.NDArray[np.generic]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """FNC and largest exposure of every column in every era, with few eras' features in memory.

    Parameters
    ----------
    features_of
        Called with an era's position among those scored; returns its [n_rows, n_features].
    progress
        Gets eras so far, and eras in all.

    Returns
    -------
    float64[n_eras, n_models], float64[n_eras, n_models]
        FNC is NaN where an era is not resolved, or where neutralising `leaves_nothing`.
    """
    n_eras = len(era_starts) - 1
    fnc = np.full((n_eras, predictions.shape[1]), np.nan)
    exposure = np.full_like(fnc, np.nan)

    def one(era: int) -> None:
        rows = slice(int(era_starts[era]), int(era_starts[era + 1]))
        columns, label, features = predictions[rows], target[rows], features_of(era)
        neutraliser = Neutraliser(features)
        exposure[era] = neutraliser.max_exposure(percentile_rank(columns))
        resolved = ~np.isnan(label)
        if enough_rows(resolved) and not leaves_nothing(*features.shape):
            neutral = neutraliser.residuals(gaussian_rank(columns))
            fnc[era] = corr_of_era(neutral[resolved], label[resolved])

    for done in over_eras(one, range(n_eras)):
        progress(done, n_eras)
    return fnc, exposure
