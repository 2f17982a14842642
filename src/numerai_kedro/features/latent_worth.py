"""Whether latents keep more of the signal than the same number of principal components.

Both are inputs of the same ridge regression, fitted on the window's eras and tested on the test
eras of its fold. An autoencoder that does not beat principal components is not worth its cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from numerai_kedro.cache import FoldStore, code_of
from numerai_kedro.data import EraPanel
from numerai_kedro.features.era_tables import MISSING
from numerai_kedro.features.sufficient import Products, products_of
from numerai_kedro.metrics.corr import corr_of_era
from numerai_kedro.metrics.ranks import Matrix, Vector

ERAS_LEARNED = 60  # spread over the window; enough for few coefficients
RIDGE = 0.01  # share of the mean diagonal of the columns' products

Columns = Callable[[int], Matrix]  # of an era: float64[n_rows, n_columns]


@dataclass(frozen=True)
class Components:
    """The features' leading principal components.

    Parameters
    ----------
    centre : float64[n_features]
    axes : float64[n_features, n_components]
        Applied to features in units of their standard deviations.
    """

    centre: Vector
    axes: Matrix

    @classmethod
    def of(cls, products: Products, n_components: int) -> Components:
        """Components from the products of a window's eras."""
        correlation = np.nan_to_num(products.correlation())
        n_features = len(correlation)
        top = (max(0, n_features - n_components), n_features - 1)
        _, vectors = eigh(correlation, subset_by_index=top)
        n_rows = max(1, int(products.rows.sum()))
        centre = products.sums / n_rows
        variance = np.diag(products.gram) / n_rows - centre**2
        scale = np.where(variance > 1e-9, 1 / np.sqrt(np.maximum(variance, 1e-9)), 0.0)
        return cls(centre + MISSING, vectors * scale[:, None])

    def columns(self, features: npt.NDArray[np.int8]) -> Matrix:
        """float64[n_rows, n_components]."""
        centred = features.astype(np.float32) - self.centre.astype(np.float32)
        return np.asarray(centred @ self.axes.astype(np.float32), dtype=np.float64)


def ridge_corr(
    panel: EraPanel,
    columns: Columns,
    learned: npt.NDArray[np.int64],
    test_eras: npt.NDArray[np.int64],
    target: str,
) -> Vector:
    """CORR of a ridge regression on some columns in each test era, float64[n_test_eras]."""
    gram, product = 0.0, 0.0
    for era in learned.tolist():
        x, y = _known(panel, columns, era, target)
        # Centred inside the era: an era's mean says nothing about differences between stocks.
        x, y = x - x.mean(axis=0), y - y.mean()
        gram, product = gram + x.T @ x, product + x.T @ y
    assert isinstance(gram, np.ndarray), "no era to learn from"
    ridge = RIDGE * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), product)
    scores = []
    for era in test_eras.tolist():
        x, y = _known(panel, columns, era, target)
        scores.append(float(corr_of_era((x @ weights)[:, None], y)[0]))
    return np.array(scores)


def latent_worth(
    panel: EraPanel,
    latents: EraPanel,
    products: Products,
    window: tuple[int, int],
    test_eras: tuple[int, int],
    target: str,
    store: FoldStore,
) -> dict[str, list[float]]:
    """CORR of both regressions in each test era of a window.

    Parameters
    ----------
    test_eras
        First and last era; those without a target are left out.

    Returns
    -------
    dict
        ``eras``, and the scores of ``latents`` and ``components``.
    """
    resolved = panel.resolved_eras(target)
    inside = resolved[(resolved >= window[0]) & (resolved <= window[1])]
    learned = inside[:: max(1, len(inside) // ERAS_LEARNED)]
    tested = resolved[(resolved >= test_eras[0]) & (resolved <= test_eras[1])]
    both = panel.select(eras=np.concatenate([learned, tested]))
    key = {
        "latent worth": both.digest(targets=[target]),
        "latents": latents.select(eras=both.eras).digest(),
        "window": panel.between(*window).digest(),
        "code": code_of(latent_worth, products_of),
    }

    def compute() -> dict[str, list[float]]:
        components = Components.of(products, len(latents.feature_names))
        kinds: dict[str, Columns] = {
            "latents": lambda era: latents.features(era).astype(np.float64),
            "components": lambda era: components.columns(panel.features(era)),
        }
        by_kind = {
            name: ridge_corr(panel, columns, learned, tested, target).tolist()
            for name, columns in kinds.items()
        }
        return {"eras": tested.tolist(), **by_kind}

    scores: dict[str, list[float]] = store.value(key, compute)
    return scores


def _known(panel: EraPanel, columns: Columns, era: int, target: str) -> tuple[Matrix, Vector]:
    label = panel.select(eras=[era]).target(target).astype(np.float64)
    labelled = ~np.isnan(label)
    return columns(era)[labelled], label[labelled]
