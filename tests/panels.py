"""Small panels for tests: real ones, on disk, with a known signal."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from numerai_kedro.data import EraPanel, EraRows, FeatureBlock, open_panel, write_panel

TARGETS = ("target_ender_20", "target_ender_60")
BINS = np.array([0, 0.25, 0.5, 0.75, 1], dtype=np.float32)


def era_rows(
    era: int, n_rows: int = 40, n_features: int = 8, seed: int = 0, resolved: bool = True
) -> EraRows:
    """One era whose targets lean on the first feature."""
    rng = np.random.default_rng([seed, era])
    features = rng.integers(0, 5, size=(n_rows, n_features)).astype(np.int8)
    leaning = features[:, 0] + rng.normal(scale=2.0, size=n_rows)
    ranks = leaning.argsort().argsort() / n_rows
    target = BINS[np.searchsorted([0.05, 0.25, 0.75, 0.95], ranks, side="right")]
    if not resolved:
        target = np.full(n_rows, np.nan, dtype=np.float32)
    names = [f"feature_{k}" for k in range(n_features)]
    return EraRows(
        era=era,
        data_type="validation",
        ids=pa.array([f"n{era:04d}{row:011d}" for row in range(n_rows)]),
        features=FeatureBlock.of(names, features),
        targets=pa.record_batch([pa.array(target)] * len(TARGETS), names=list(TARGETS)),
    )


def with_holes(era: int, only_known: bool) -> EraRows:
    """Rows of which three of ten have no target and garbage features, or the others alone."""
    rows, random = era_rows(era), np.random.default_rng(era)
    known = random.random(len(rows.ids)) > 0.3
    features = np.array(rows.features.matrix)
    features[~known] = np.where(features[~known] == 0, 4, 0)
    target = np.where(known, rows.targets.column(TARGETS[0]).to_numpy(), np.nan).astype(np.float32)
    kept = known if only_known else np.full(len(known), True)
    targets = pa.record_batch([target[kept]] * 2, names=rows.targets.schema.names)
    block = FeatureBlock.of(rows.features.names, features[kept])
    return EraRows(era, rows.data_type, rows.ids.filter(pa.array(kept)), block, targets)


class Eras:
    """A stream of eras of a data version, as a panel is saved from."""

    def __init__(self, rows, version: str = "") -> None:
        self.rows, self.version = rows, version

    def __iter__(self):
        return iter(self.rows)


def small_panel(folder: Path, n_eras: int = 30, seed: int = 0, **options) -> EraPanel:
    """Eras 1 to `n_eras` in `folder`."""
    write_panel(folder, [era_rows(era, seed=seed, **options) for era in range(1, n_eras + 1)])
    return open_panel(folder)
