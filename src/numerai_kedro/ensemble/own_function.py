"""Functions of the user's own in an ensemble: what they raise or return wrongly is a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numerai_kedro.errors import BlendError
from numerai_kedro.metrics.ranks import Vector


def vector_of(path: str, function: Callable[..., Any], *arguments: Any, size: int) -> Vector:
    """What a function returns for copies of arrays: float64[size], all finite.

    Parameters
    ----------
    path
        Its dotted path, for the sentence.

    Raises
    ------
    BlendError
        It raises, or returns something else.
    """
    try:
        vector = np.asarray(function(*(array.copy() for array in arguments)), dtype=np.float64)
    except Exception as error:
        raise BlendError(f"{path} raised {type(error).__name__}: {error}") from error
    if vector.shape != (size,) or not np.isfinite(vector).all():
        raise BlendError(
            f"{path} returned {vector.tolist()!r:.200}; it should return {size} finite numbers."
        )
    return vector
