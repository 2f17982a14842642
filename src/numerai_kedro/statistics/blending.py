"""From many models' predictions to one."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from numerai_kedro.errors import BlendError
from numerai_kedro.statistics.ranks import Matrix, Vector, gaussian_rank, percentile_rank
from numerai_kedro.statistics.scoring import IntVector


def standardise_of_era(predictions: Matrix) -> Matrix:
    """Bring every model to one scale: tie-kept Gaussian ranks with unit variance.

    A model that predicts the same for every stock of an era says nothing there and becomes 0.
    """
    columns = gaussian_rank(predictions)
    deviation = columns.std(axis=0)
    return np.divide(columns, deviation, out=np.zeros_like(columns), where=deviation > 1e-12)


def blend(predictions: Matrix, weights: Vector, era_starts: IntVector) -> npt.NDArray[np.float64]:
    """Blend models era by era, as Numerai ensembles its own benchmarks.

    Parameters
    ----------
    predictions : float[n_rows, n_models]
        Any scale.
    weights : float[n_models]
        Not negative; their sum does not matter.
    era_starts : int64[n_eras + 1]
        Era `e` is rows ``era_starts[e]:era_starts[e + 1]``.

    Returns
    -------
    float64[n_rows]
        Ranks strictly inside (0, 1), the form of a submission.

    Raises
    ------
    BlendError
        There is no model, or no weight above zero.

    References
    ----------
    Numerai docs, models.md: rank, Gaussian, standardise, weighted sum.
    """
    if predictions.shape[1] == 0 or not (weights >= 0).all() or weights.sum() <= 0:
        raise BlendError(
            f"nothing to blend: {predictions.shape[1]} models with weights {list(weights)}; "
            "at least one model must have finished (see the outcomes above)."
        )
    blended = np.empty(len(predictions))
    for start, stop in itertools.pairwise(era_starts):
        rows = slice(int(start), int(stop))
        mixed = standardise_of_era(predictions[rows]) @ (weights / weights.sum())
        blended[rows] = percentile_rank(mixed[:, None])[:, 0]
    return blended
