"""What a model's ``features`` may name: built-in transformations, and those of the user's own.

Verdicts select or weight features, latents and own transformations add columns. All of them are
learned on the training eras of a window, and used by the fits of that window alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from numerai_kedro.own_code import DOTTED

if TYPE_CHECKING:
    from numerai_kedro.data import EraPanel

# By verdict (`features.discovery`): drop the unstable features, drop the unstable and the null, or
# weight each.
VerdictUse = Literal["drop_unstable", "keep_confirmed", "weigh"]
BY_VERDICT: tuple[VerdictUse, ...] = get_args(VerdictUse)
LATENTS = "latents"  # columns by the autoencoder


class FeatureTransform(Protocol):
    """A transformation of the user's own.

    It is created without arguments, fitted once for each training window, and applied era by era.
    What it learned is kept in attributes that can be pickled: numbers, arrays, classes of its own
    module. The same eras must give the same fit: its digest is in the key of every model that
    learns from it. A fit that uses targets also sees those of the newest training eras, by which
    networks stop early and `adaptive` finds its strength: prefer one that does not.

    Attributes
    ----------
    n_columns
        How many columns it adds; known before any data is.
    """

    n_columns: ClassVar[int]

    def fit(self, panel: EraPanel, train_eras: npt.NDArray[np.int64]) -> object:
        """Learn from the training eras; the panel has no others."""

    def transform(self, panel: EraPanel) -> npt.ArrayLike:
        """float[n_rows, n_columns] of one era; the panel has no targets."""


def verdict_use(transforms: Iterable[str]) -> VerdictUse | None:
    """How verdicts are used; None for all features alike."""
    return next((use for use in BY_VERDICT if use in transforms), None)


def derives_columns(transforms: Iterable[str]) -> list[str]:
    """Those of a list that add columns, in its order."""
    return [name for name in transforms if name not in BY_VERDICT]


def own_of(transforms: Iterable[str]) -> list[str]:
    """Those of a list that are dotted paths of the user's own classes."""
    return [name for name in transforms if DOTTED.fullmatch(name)]


def check_transforms(transforms: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that names something unknown, or that cannot be applied.

    Raises
    ------
    ValueError
        Names the entry, and what would be possible.
    """
    built_in = (*BY_VERDICT, LATENTS)
    for name in transforms:
        if name not in built_in and not DOTTED.fullmatch(name):
            raise ValueError(
                f'"{name}" is none of {", ".join(built_in)}, and no dotted path of a class, such '
                "as my_features.Squares"
            )
    if len(set(transforms)) < len(transforms):
        raise ValueError("a transformation is named twice")
    by_verdict = [name for name in transforms if name in BY_VERDICT]
    if len(by_verdict) > 1:
        raise ValueError(f"{' and '.join(by_verdict)} exclude each other")
    return transforms
