"""Columns by feature transformations of the user's own, window by window.

A transformation is fitted once for each window, on the window's training eras, and kept in the fold
store; its columns are kept by era, so that a new era is transformed alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from numerai_kedro.cache import FoldStore, code_of
from numerai_kedro.data import EraPanel
from numerai_kedro.errors import ConfigurationError, PanelError, StoreError
from numerai_kedro.features.derived import DerivedColumns
from numerai_kedro.features.fitted_transform import FittedTransform, columns_of, levels_between
from numerai_kedro.files import read_arrays, write_arrays
from numerai_kedro.files.trusted_pickle import check_readable
from numerai_kedro.own_code import import_own

ERAS_FOR_EDGES = 50  # at least so many training eras, spread over all, decide the levels


@dataclass(frozen=True)
class OwnColumns(DerivedColumns):
    """Columns of a fitted transformation for all eras of a panel, computed when iterated."""

    panel: EraPanel
    fitted: FittedTransform
    digest: str
    store: FoldStore

    @property
    def transform(self) -> str:
        """Dotted path of its class."""
        return self.fitted.name

    def levels(self, alone: EraPanel) -> npt.NDArray[np.int8]:
        """Stored, or computed now."""
        key = {"derived": alone.digest(), "fitted": self.digest, "code": _code()}
        file = self.store.file(key, partial(_save, self.fitted, alone))
        return read_arrays(file)["levels"].T


def derive(
    name: str, source: str, panel: EraPanel, train: tuple[int, int], newest: int, store: FoldStore
) -> OwnColumns:
    """Fit a transformation on a window's eras, or take the stored fit; derive eras up to `newest`.

    Parameters
    ----------
    source
        Digest of the code behind the dotted path `name`.

    Raises
    ------
    PanelError
        It fails, or its columns are not what `FeatureTransform` says.
    """
    window = panel.between(*train)
    rows = window.digest(targets=window.target_names)
    key = {"transform": name, "source": source, "rows": rows, "code": _code()}
    fitted = store.model(key, partial(_fit, name, source, window))
    columns = OwnColumns(panel.between(train[0], newest), fitted, fitted.digest, store)
    for era in columns.panel.eras:  # now: what fails while a panel is written ends the run
        columns.levels(columns.panel.select(eras=[era]))
    return columns


def n_columns_of(name: str) -> int:
    """How many columns a transformation adds.

    Raises
    ------
    ConfigurationError
        It cannot be imported, or is no `FeatureTransform`.
    """
    kind = import_own(name, "features")
    missing = [part for part in ("n_columns", "fit", "transform") if not hasattr(kind, part)]
    if missing or not isinstance(kind.n_columns, int) or kind.n_columns < 1:
        raise ConfigurationError(
            f"parameters: features: {name} is no feature transformation: it should have fit(panel, "
            f"train_eras), transform(panel) and n_columns, a whole number above 0"
            + (f"; it lacks {', '.join(missing)}." if missing else ".")
        )
    return int(kind.n_columns)


def columns_by_name(transforms: Iterable[str]) -> dict[str, int]:
    """How many columns each transformation adds; refuses what is none, before any work."""
    return {name: n_columns_of(name) for name in transforms}


def _fit(name: str, source: str, window: EraPanel) -> FittedTransform:
    """Fit a new instance; what the user's code raises becomes a sentence."""
    kind, eras = import_own(name, "features"), f"{window.eras[0]:04d}-{window.eras[-1]:04d}"
    try:
        transform = kind()
        transform.fit(window, window.eras)
    except Exception as error:
        raise PanelError(
            f"{name}: fit on eras {eras} raised {type(error).__name__}: {error}"
        ) from error
    step = max(1, len(window.eras) // ERAS_FOR_EDGES)
    columns = [
        columns_of(name, transform, window.select(eras=[era])) for era in window.eras[::step]
    ]
    edges = levels_between(np.concatenate(columns))
    try:
        fitted = FittedTransform(name, source, transform, window.feature_names, edges)
        check_readable(fitted)
    # What pickle raises for lambdas, locks and the like.
    except (StoreError, pickle.PicklingError, TypeError, AttributeError, RecursionError) as refused:
        raise PanelError(
            f"{name}: what it learned cannot be stored: {refused} Its attributes should be "
            "numbers, arrays or classes of its own module."
        ) from None
    return fitted


def _code() -> str:
    return code_of(FittedTransform, _fit, _save)


def _save(fitted: FittedTransform, alone: EraPanel, path: Path) -> None:
    write_arrays(path, levels=fitted.derive(alone).T)
