"""Rows compressed by an autoencoder that learned no era after its window.

An encoder is a fit like every other: found again in the fold store, run where the executor puts it.
Latents are kept by era under encoder and features, so that a new era encodes itself alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from numerai_kedro.files import digest_json
from numerai_kedro.incremental import FoldStore
from numerai_kedro.panel import EraPanel, EraRows, FeatureBlock
from numerai_kedro.panel.joined import LATENT
from numerai_kedro.resilience.isolation import Executor
from numerai_kedro.training.protocol import FitProgress
from numerai_kedro.training.recipe import Fit, Recipe
from numerai_kedro.training.walk_forward import made_by, note_for_the_plan

VERSION = 1  # of latents and readings that are kept
ERAS_TO_READ = 20  # of the training eras, spread over all, by which an encoder is described
ACTIVE_VARIANCE = 0.01  # of a latent's mean over rows, above which it is used


class Encoder(Protocol):
    """A fitted model that compresses rows."""

    def levels(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """int8[n, n_latents], 0 to 15."""

    def latents(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """The same before they are cut into levels."""

    def nats_told(self, rows: npt.NDArray[np.int8]) -> float:
        """What a feature costs to tell from the latents, on average."""


def latent_names(encoder: str, n_latents: int) -> list[str]:
    """Names that differ between encoders: no model takes latents of one for another's."""
    return [f"{LATENT}{number:03d}_{encoder[:8]}" for number in range(n_latents)]


@dataclass(frozen=True)
class Latents:
    """Latents of all eras of a panel, to be written as a panel: a sized iterable of its eras.

    Parameters
    ----------
    panel : EraPanel
        What was encoded.
    fit
        The encoder's.
    store : FoldStore
        Where the latents are kept.
    """

    panel: EraPanel
    fit: Fit
    store: FoldStore

    def __len__(self) -> int:
        return len(self.panel.eras)

    def __iter__(self) -> Iterator[EraRows]:
        encoder = digest_json(self.fit.key)
        for era in self.panel.eras:
            alone = self.panel.select(eras=[era])
            levels = _kept(self.fit, alone, self.store)
            names = latent_names(encoder, levels.shape[1])
            yield latent_rows(alone, levels, names)


def latent_rows(alone: EraPanel, levels: npt.NDArray[np.int8], names: list[str]) -> EraRows:
    """One era's latents, as a panel takes them in."""
    nothing = pa.RecordBatch.from_arrays([], names=[])
    ids = pa.array(alone.ids().tolist(), pa.string())
    (era,) = alone.eras.tolist()
    return EraRows(era, "latent", ids, FeatureBlock.of(names, levels), nothing)


def encode(
    panel: EraPanel,
    window: tuple[int, int],
    newest: int,
    recipe: Recipe,
    store: FoldStore,
    executor: Executor,
    progress: FitProgress,
) -> tuple[Latents, dict[str, Any]]:
    """Fit an encoder on a window's eras, and encode all eras up to `newest`.

    Returns
    -------
    Latents, dict
        And what the encoder is: ``n_latents``, ``active``, ``told_nats`` and ``marginal_nats`` a
        feature.
    """
    (fit,) = recipe.fits(panel, window)
    inside = panel.select(eras=panel.eras[(panel.eras >= window[0]) & (panel.eras <= newest)])
    key = {"encoder read": VERSION, "fit": fit.key}
    missing = [era for era in inside.eras if not store.has_file(_key(fit, inside, int(era)))]
    if missing or store.find(key) is None:
        todo = inside.select(eras=missing)
        made_by(executor, fit, _fit_and_encode, todo, key, store, progress=progress)
    note_for_the_plan(recipe, window, panel, store)
    return Latents(inside, fit, store), store.find(key)


def encoded_live(encoders: Sequence[tuple[str, Any]], live: EraPanel) -> list[EraRows]:
    """Latents of the live era by several encoders, one beside the other.

    Parameters
    ----------
    encoders
        Digest of the fit's key, and the fitted model.
    """
    (era,) = live.eras.tolist()
    pieces, names = [], []
    for encoder, model in encoders:
        seen = live.select(features=model.feature_names)
        pieces.append(cast(Encoder, model).levels(seen.features(era)))
        names += latent_names(encoder, pieces[-1].shape[1])
    return [latent_rows(live, np.hstack(pieces), names)]


def _fit_and_encode(
    fit: Fit, todo: EraPanel, key: dict[str, Any], store: FoldStore, progress: FitProgress
) -> None:
    model = cast(Encoder, fit.model(store, progress))
    for era in todo.eras.tolist():
        rows = todo.features(era)

        def build(path: Path, rows: npt.NDArray[np.int8] = rows) -> None:
            with path.open("wb") as handle:
                np.save(handle, np.ascontiguousarray(model.levels(rows).T))

        store.file(_key(fit, todo, era), build)
    store.value(key, lambda: _read(model, fit.train))


def _read(model: Encoder, train: EraPanel) -> dict[str, Any]:
    """What the encoder makes of some of its training eras."""
    eras = train.eras[:: max(1, len(train.eras) // ERAS_TO_READ)].tolist()
    rows = np.concatenate([train.features(era) for era in eras])
    variances = model.latents(rows).var(axis=0)
    told = [model.nats_told(train.features(era)) for era in eras]
    counts = np.stack([(rows == value).mean(axis=0) for value in range(5)])
    entropy = -(counts * np.log(np.maximum(counts, 1e-12))).sum(axis=0).mean()
    return {
        "n_latents": len(variances),
        "active": int((variances > ACTIVE_VARIANCE).sum()),
        "variances": sorted((float(one) for one in variances), reverse=True),
        "told_nats": float(np.mean(told)),
        "marginal_nats": float(entropy),
    }


def _key(fit: Fit, panel: EraPanel, era: int) -> dict[str, Any]:
    features = panel.select(eras=[era]).digest()
    return {"latents": VERSION, "fit": fit.key, "features": features}


def _kept(fit: Fit, alone: EraPanel, store: FoldStore) -> npt.NDArray[np.int8]:
    (era,) = alone.eras.tolist()

    def build(path: Path) -> None:
        # Damaged since, or gone by the cache limit: by the model, where it is kept.
        model = cast(Encoder, fit.model(store, lambda done, total: None))
        with path.open("wb") as handle:
            np.save(handle, np.ascontiguousarray(model.levels(alone.features(era)).T))

    levels: npt.NDArray[np.int8] = np.load(store.file(_key(fit, alone, era), build))
    return levels.T
