"""From many models' predictions to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from numerai_kedro.errors import BlendError
from numerai_kedro.metrics.fnc import Neutraliser, leaves_nothing
from numerai_kedro.metrics.ranks import Matrix, Vector, gaussian_rank, percentile_rank
from numerai_kedro.metrics.scoring import IntVector, over_eras


def standardise_of_era(predictions: Matrix) -> Matrix:
    """Bring every model to one scale: tie-kept Gaussian ranks with unit variance.

    A model that predicts the same for every stock of an era says nothing there and becomes 0.
    """
    columns = gaussian_rank(predictions)
    deviation = columns.std(axis=0)
    return np.divide(columns, deviation, out=np.zeros_like(columns), where=deviation > 1e-12)


def partly_neutral(
    predictions: Matrix,
    era_starts: IntVector,
    neutral_of: Callable[[int, Matrix], Matrix],
    proportions: Sequence[float],
) -> npt.NDArray[np.float64]:
    """Go a share of the way from predictions to their neutral form, era by era.

    Parameters
    ----------
    predictions : float[n_rows, n_columns]
        Any scale.
    neutral_of
        Gets an era's number and the Gaussian ranks of its predictions; returns their neutral form.
    proportions
        Between 0, which changes nothing, and 1, the neutral form. One for all columns, or several
        for a single column.

    Returns
    -------
    float64[n_rows, n_columns or n_proportions]
        Ranks strictly inside (0, 1).

    References
    ----------
    numerai-tools, ``scoring.neutralize``.
    """
    neutralised = np.empty((len(predictions), max(predictions.shape[1], len(proportions))))

    def neutralise_era(era: int) -> None:
        rows = slice(int(era_starts[era]), int(era_starts[era + 1]))
        columns = gaussian_rank(predictions[rows])
        change = neutral_of(era, columns) - columns
        neutralised[rows] = percentile_rank(columns + np.asarray(proportions) * change)

    for _ in over_eras(neutralise_era, range(len(era_starts) - 1)):
        pass
    return neutralised


def not_linear_in(
    features_of: Callable[[int], npt.NDArray[np.generic]],
) -> Callable[[int, Matrix], Matrix]:
    """A neutral form for `partly_neutral`: what is not linear in an era's features.

    Parameters
    ----------
    features_of
        Gets an era's number; returns its [n_rows, n_features].

    Raises
    ------
    BlendError
        When called: an era has so many features that nothing but rounding would be left.
    """

    def neutral_of(era: int, columns: Matrix) -> Matrix:
        features = features_of(era)
        if leaves_nothing(*features.shape):
            raise BlendError(
                f"era number {era} of those neutralised has {features.shape[0]} rows and "
                f"{features.shape[1]} features, which leave nothing but rounding of a blend; "
                "choose another ensemble.neutralise_to."
            )
        return Neutraliser(features).residuals(columns)

    return neutral_of


def blend(predictions: Matrix, weights: Vector, era_starts: IntVector) -> npt.NDArray[np.float64]:
    """Blend models era by era, as Numerai ensembles its own benchmarks.

    Parameters
    ----------
    predictions : float[n_rows, n_models]
        Any scale.
    weights : float[n_models] or float[n_eras, n_models]
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
    n_models = predictions.shape[1]
    by_era = np.broadcast_to(weights, (len(era_starts) - 1, n_models))
    totals = by_era.sum(axis=1, keepdims=True)
    if n_models == 0 or not (by_era >= 0).all() or not (totals > 0).all():
        raise BlendError(
            f"nothing to blend: {n_models} models with weights {weights.tolist()}; "
            "at least one model must have finished (see the outcomes above)."
        )
    blended = np.empty(len(predictions))

    def one(era: int) -> None:
        rows = slice(int(era_starts[era]), int(era_starts[era + 1]))
        mixed = standardise_of_era(predictions[rows]) @ (by_era[era] / totals[era])
        blended[rows] = percentile_rank(mixed[:, None])[:, 0]

    for _ in over_eras(one, range(len(by_era))):
        pass
    return blended
