"""Latents of rows, by an autoencoder that learned no era after its window.

An encoder is a fit like any other, cached in the fold store and run by the executor. Latents are
stored by era, keyed by the digests of the fitted encoder and of the features: a new era is encoded
alone, and latents of different fits of the same encoder (on a GPU, after the cache limit removed
its model) are never mixed.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from numerai_kedro.cache import FoldStore, code_of
from numerai_kedro.data import EraPanel
from numerai_kedro.data.era_panel import N_VALUES
from numerai_kedro.errors import StoreError
from numerai_kedro.features.derived import DerivedColumns
from numerai_kedro.files import digest_bytes, read_arrays, write_arrays
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.protocol import FitProgress, no_progress
from numerai_kedro.training.recipe import Fit, Recipe
from numerai_kedro.training.transforms import LATENTS
from numerai_kedro.training.walk_forward import mark_fitted

ERAS_TO_READ = 20  # training eras, spread over all, on which an encoder is evaluated
ACTIVE_VARIANCE = 0.01  # of a latent's mean over rows: above it the latent is active


class Encoder(Protocol):
    """A fitted model that compresses rows."""

    def levels(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """int8[n, n_latents], 0 to 15."""

    def latents(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Latents before they are cut into levels."""

    def reconstruction_nll(self, rows: npt.NDArray[np.int8]) -> float:
        """Mean negative log-likelihood of a feature given the latents."""


@dataclass(frozen=True)
class Latents(DerivedColumns):
    """Latents of all eras of a panel, to be written as a panel: a sized iterable of its eras.

    Parameters
    ----------
    panel : EraPanel
        The panel that is encoded.
    fit
        The encoder's fit.
    digest
        Of the fitted encoder.
    store : FoldStore
        Where the latents are kept.
    code
        Digest of the code that encodes.
    """

    panel: EraPanel
    fit: Fit
    digest: str
    store: FoldStore
    code: str

    @property
    def transform(self) -> str:
        """The built-in transformation ``latents``."""
        return LATENTS

    def levels(self, alone: EraPanel) -> npt.NDArray[np.int8]:
        """int8[n_rows, n_latents] of one era; recomputes damaged ones while it can."""
        (era,) = alone.eras.tolist()

        def build(path: Path) -> None:
            model, encoder = _fitted(self.fit, self.store, no_progress)
            if encoder != self.digest:
                raise StoreError(
                    f"latents of era {era:04d} are damaged and their encoder is gone; delete "
                    "06_models/fold_store/values and run kedro run --pipeline=feature_engineering."
                )
            _save(path, model.levels(alone.features(era)))

        file = self.store.file(_key(self.digest, alone, self.code), build)
        return read_arrays(file)["levels"].T


def encode(
    panel: EraPanel,
    window: tuple[int, int],
    newest: int,
    recipe: Recipe,
    runner: FitRunner,
) -> tuple[Latents, dict[str, Any]]:
    """Fit an encoder on a window's eras, and encode all eras up to `newest`.

    Returns
    -------
    Latents, dict
        The latents, and measures of the encoder: ``n_latents``, ``active``, ``variances``, and
        ``told_nats`` and ``marginal_nats`` a feature.
    """
    (fit,), store = recipe.fits(panel, window), runner.store
    inside = panel.between(window[0], newest)
    code = code_of(_save, _read, recipe.family, reads=("levels", "latents", "reconstruction_nll"))
    read_key = {"encoder read": fit.key, "code": code}
    summary = store.find(read_key) if store.has_model(fit.key) else None
    if summary is None or _lacking(summary["encoder"], inside, store, code):
        runner.run(fit, _fit_and_encode, inside, store, read_key)
        summary = store.find(read_key)
        assert summary is not None
        mark_fitted(recipe, window, panel, store)
    store.touch(fit.key)  # keep the encoder as long as its latents are used
    return Latents(inside, fit, summary["encoder"], store, code), summary


def _save_levels(model: Any, rows: npt.NDArray[np.int8], path: Path) -> None:
    _save(path, model.levels(rows))


def _fit_and_encode(
    fit: Fit, inside: EraPanel, store: FoldStore, read_key: dict[str, Any], progress: FitProgress
) -> None:
    code = read_key["code"]
    model, encoder = _fitted(fit, store, progress)
    for era in _lacking(encoder, inside, store, code):
        alone = inside.select(eras=[era])
        rows = alone.features(era)
        key = _key(encoder, alone, code)
        store.file(key, partial(_save_levels, model, rows))
    store.remember(read_key, _read(model, fit.train) | {"encoder": encoder})


def _fitted(fit: Fit, store: FoldStore, progress: FitProgress) -> tuple[Encoder, str]:
    """The fitted encoder on the device of the fit, and its digest."""
    model: Any = fit.model(store, progress)
    encoder = digest_bytes(pickle.dumps(model, protocol=5))
    model.device = fit.device
    return model, encoder


def _lacking(encoder: str, inside: EraPanel, store: FoldStore, code: str) -> list[int]:
    """Eras whose latents by this encoder are not stored."""
    return [
        era
        for era in inside.eras.tolist()
        if not store.has_file(_key(encoder, inside.select(eras=[era]), code))
    ]


def _read(model: Encoder, train: EraPanel) -> dict[str, Any]:
    """Measures of the encoder on some of its training eras."""
    eras = train.eras[:: max(1, len(train.eras) // ERAS_TO_READ)].tolist()
    sums = squares = counts = np.zeros(0)
    nats, n_rows = 0.0, 0
    for number, era in enumerate(eras):
        rows = train.features(era)
        latents = model.latents(rows).astype(np.float64)
        of_values = np.stack([(rows == value).sum(axis=0) for value in range(N_VALUES)])
        moments = (latents.sum(axis=0), (latents**2).sum(axis=0), of_values)
        sums, squares, counts = (
            moments
            if number == 0
            else (sums + moments[0], squares + moments[1], counts + moments[2])
        )
        nats, n_rows = nats + len(rows) * model.reconstruction_nll(rows), n_rows + len(rows)
    variances = squares / n_rows - (sums / n_rows) ** 2
    shares = counts / n_rows
    entropy = -(shares * np.log(np.maximum(shares, 1e-12))).sum(axis=0).mean()
    return {
        "n_latents": len(variances),
        "active": int((variances > ACTIVE_VARIANCE).sum()),
        "variances": sorted((float(variance) for variance in variances), reverse=True),
        "told_nats": nats / n_rows,
        "marginal_nats": float(entropy),
    }


def _save(path: Path, levels: npt.NDArray[np.int8]) -> None:
    write_arrays(path, levels=levels.T)


def _key(encoder: str, alone: EraPanel, code: str) -> dict[str, Any]:
    return {"latents": alone.digest(), "encoder": encoder, "code": code}
