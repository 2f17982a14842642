"""What predicts live: fitted models, with what they were made by.

The two travel together into the catalog, to a champion, and into a later week whose refit failed,
so that no prediction is paired with the record of another model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LiveFit:
    """The models of one recipe, which are averaged.

    Parameters
    ----------
    models
        Each follows `training.protocol.Model`, or is a `WithLatents`.
    configuration
        Digest of all that was asked for and decided; the out-of-fold predictions that were made
        by the same have the same one (`pipelines.recipes.configuration_of`).
    data_version
        Of the history that was learned, such as ``"v5.3"``.
    of_other_code
        Other code has made it, which was kept on request (`incremental.keep_fits_of_other_code`).
    """

    models: tuple[Any, ...]
    configuration: str
    data_version: str
    of_other_code: bool = False

    def __iter__(self) -> Iterator[Any]:
        """The models, one after another."""
        return iter(self.models)
