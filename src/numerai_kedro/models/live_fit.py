"""Fitted models that predict live, with the configuration that they were made by.

They are stored together in the catalog, for a champion, and for a later week whose refit failed, so
that no prediction is paired with the record of another model.
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
        Each follows `training.protocol.Model`, or is a `WithDerived`.
    configuration
        Digest of the parameters and decisions; out-of-fold predictions of the same configuration
        have the same digest (`pipelines.recipes.configuration_of`).
    data_version
        Data version of the training history, such as ``"v5.3"``.
    of_other_code
        Whether it was made by other code and kept on request
        (`incremental.keep_fits_of_other_code`).
    """

    models: tuple[Any, ...]
    configuration: str
    data_version: str
    of_other_code: bool = False

    def __iter__(self) -> Iterator[Any]:
        """The models, one after another."""
        return iter(self.models)
