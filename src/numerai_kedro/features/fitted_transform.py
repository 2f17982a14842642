"""A feature transformation that was fitted on a training window, to be stored with live models."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from numerai_kedro.data.joined import N_LEVELS
from numerai_kedro.errors import PanelError
from numerai_kedro.files import digest_bytes
from numerai_kedro.own_code import source_now

if TYPE_CHECKING:
    from numerai_kedro.data import EraPanel


class FittedTransform:
    """Columns of a `training.transforms.FeatureTransform`, cut into levels as models learn them.

    Parameters
    ----------
    name
        Dotted path of its class.
    source
        Digest of the code behind it.
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
        source: str,
        transform: Any,
        feature_names: list[str],
        edges: npt.NDArray[np.float32],
    ) -> None:
        self.name, self.source, self.transform = name, source, transform
        self.feature_names, self.edges = feature_names, edges
        # Once: pickles of an object that was read back may differ from the one before.
        # With the code, because the same state may stand for another computation.
        self.digest = digest_bytes(pickle.dumps([name, source, transform, edges], protocol=5))

    def derive(self, panel: EraPanel) -> npt.NDArray[np.int8]:
        """Levels of a panel's rows: int8[n_rows, n_columns], 0 to 15.

        Raises
        ------
        PanelError
            The transformation returns no such columns, or its code has changed since it was fitted.
        """
        if source_now(self.name) not in (None, self.source):
            raise PanelError(
                f"{self.name} has changed since it was fitted; run kedro run --pipeline=weekly, "
                "which fits it and its models again."
            )
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
    """Edges of the levels of each column, float32[15, n_columns].

    Levels are equally frequent in these rows; a column of at most 16 values has one for each.
    """
    return np.column_stack([_edges_of(column) for column in columns.T])


def _edges_of(column: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    distinct = np.unique(column)
    if len(distinct) <= N_LEVELS:
        edges = np.full(N_LEVELS - 1, np.inf, dtype=np.float32)
        edges[: len(distinct) - 1] = (distinct[1:] + distinct[:-1]) / 2
        return edges
    return np.quantile(column, np.arange(1, N_LEVELS) / N_LEVELS).astype(np.float32)
