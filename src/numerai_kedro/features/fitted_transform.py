"""A feature transformation that was fitted on a training window, to be stored with live models."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from numerai_kedro.data.joined import N_LEVELS
from numerai_kedro.errors import PanelError
from numerai_kedro.files import digest_bytes

if TYPE_CHECKING:
    from numerai_kedro.data import EraPanel


class FittedTransform:
    """Columns of a `training.transforms.FeatureTransform`, cut into levels as models learn them.

    Parameters
    ----------
    name
        Dotted path of its class.
    transform
        Fitted.
    feature_names
        Features of the panel that it was fitted on.
    edges : float32[15, n_columns]
        Between the levels of each column.

    Attributes
    ----------
    digest : str
        Of the transformation as it was fitted.
    """

    def __init__(
        self,
        name: str,
        transform: Any,
        feature_names: list[str],
        edges: npt.NDArray[np.float32],
    ) -> None:
        self.name, self.transform = name, transform
        self.feature_names, self.edges = feature_names, edges
        # Once: pickles of an object that was read back may differ from the one before.
        self.digest = digest_bytes(pickle.dumps([transform, edges], protocol=5))

    def derive(self, panel: EraPanel) -> npt.NDArray[np.int8]:
        """Levels of a panel's rows: int8[n_rows, n_columns], 0 to 15.

        Raises
        ------
        PanelError
            The transformation returns no such columns.
        """
        seen = panel.select(features=self.feature_names)
        columns = np.concatenate(
            [columns_of(self.name, self.transform, seen.select(eras=[era])) for era in seen.eras]
        )
        levels = [
            np.searchsorted(edges, column)
            for edges, column in zip(self.edges.T, columns.T, strict=True)
        ]
        return np.array(levels, dtype=np.int8).T


def columns_of(name: str, transform: Any, era: EraPanel) -> npt.NDArray[np.float32]:
    """Columns of one era as the transformation returns them: float32[n_rows, n_columns].

    Raises
    ------
    PanelError
        The transformation raises, or they are of another shape, or not finite.
    """
    try:
        columns = np.asarray(transform.transform(era.without_targets()), dtype=np.float32)
    except Exception as error:
        raise PanelError(
            f"{name}: transform of era {era.eras[0]:04d} raised {type(error).__name__}: {error}"
        ) from error
    expected = (era.n_rows, transform.n_columns)
    if columns.shape != expected:
        raise PanelError(
            f"{name}: transform returns an array of shape {columns.shape} for era "
            f"{era.eras[0]:04d}; it should be {expected}: rows, n_columns."
        )
    if not np.isfinite(columns).all():
        raise PanelError(
            f"{name}: transform returns values for era {era.eras[0]:04d} that are not finite; "
            "give missing values a number."
        )
    return columns


def levels_between(columns: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Edges of levels that are equally frequent in these rows: float32[15, n_columns]."""
    shares = np.arange(1, N_LEVELS) / N_LEVELS
    return np.quantile(columns, shares, axis=0).astype(np.float32)
