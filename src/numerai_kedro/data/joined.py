"""Features of one panel joined to those of another, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from numerai_kedro.data.era_panel import EraPanel
from numerai_kedro.data.segment import FeatureBlock
from numerai_kedro.errors import PanelError
from numerai_kedro.files import digest_json

N_LEVELS = 16  # of a derived column, such as a latent
DERIVED = "derived_"  # prefix of its name


def derived_names(transform: str, digest: str, n_columns: int) -> list[str]:
    """Names that include a digest of the fit: columns of different fits cannot be confused."""
    return [f"{DERIVED}{transform}_{number:03d}_{digest[:8]}" for number in range(n_columns)]


def n_derived(names: Sequence[str]) -> int:
    """Number of derived columns among a panel's columns; they are last."""
    return sum(name.startswith(DERIVED) for name in names)


def transform_of(column: str) -> str | None:
    """Name of the transformation that a column is derived by; None for a feature."""
    if not column.startswith(DERIVED):
        return None
    return column.removeprefix(DERIVED).rsplit("_", 2)[0]


class JoinedPanel(EraPanel):
    """A panel whose last columns come from another one, such as one of latents.

    Ids and targets are the first panel's. An era's matrix is a copy, Arrow columns are not.

    Parameters
    ----------
    first : EraPanel
        Its eras are all in the second.
    second : EraPanel
        Of the same rows.

    Raises
    ------
    PanelError
        An era is missing in the second, or its rows differ.
    """

    n_values = N_LEVELS

    def __init__(self, first: EraPanel, second: EraPanel) -> None:
        names = [*first.feature_names, *second.feature_names]
        super().__init__(first.folder, first._index, names)
        self._verified = first._verified
        self._parts = (first, second.select(eras=first.eras))
        rows = [
            {era: entry["ids_digest"] for era, entry in p._entries.items()} for p in self._parts
        ]
        other = [era for era in rows[0] if rows[0][era] != rows[1][era]]
        if other:
            raise PanelError(
                f"{second.folder}: era {other[0]:04d} has other rows than {first.folder}; run "
                "kedro run --pipeline=feature_engineering to make it again."
            )

    def select(
        self,
        eras: Sequence[int] | npt.NDArray[np.integer] | None = None,
        features: Sequence[str] | None = None,
    ) -> EraPanel:
        """View some eras, some features, or both; columns of the second panel stay last."""
        chosen = self.feature_names if features is None else list(features)
        first, second = self._parts
        theirs = {*second.feature_names} - {*first.feature_names}
        from_second = [name for name in chosen if name in theirs]
        from_first = [name for name in chosen if name not in theirs]
        assert chosen == [*from_first, *from_second], "columns of the second panel come last"
        base = first.select(eras, from_first)
        return JoinedPanel(base, second.select(eras, from_second)) if from_second else base

    def features(self, era: int) -> npt.NDArray[np.int8]:
        """int8[n_rows, n_features] of one era, copied column by column; read only."""
        left, right = (part.features(era) for part in self._parts)
        block = FeatureBlock.empty(self.feature_names, len(left))
        block.columns[: left.shape[1], : len(left)] = left.T
        block.columns[left.shape[1] :, : len(left)] = right.T
        return block.matrix

    def arrow(self) -> pa.Table:
        """Table of the selected features, memory-mapped, one chunk an era."""
        left, right = (part.arrow() for part in self._parts)
        return pa.Table.from_arrays(
            [*left.columns, *right.columns], schema=pa.schema([*left.schema, *right.schema])
        )

    def digest(self, targets: Sequence[str] = ()) -> str:
        """Digest of the selected eras, features of both panels and named targets."""
        first, second = self._parts
        return digest_json([first.digest(targets), second.digest()])

    def __getstate__(self) -> dict[str, Any]:
        return {"parts": self._parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["parts"])  # type: ignore[misc]
