"""What may be taken out of a blend: what is linear in a group of features, or in the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.data import EraPanel
from numerai_kedro.ensemble.blending import partly_neutral
from numerai_kedro.errors import BlendError, ConfigurationError
from numerai_kedro.metrics.backtest import align
from numerai_kedro.metrics.ranks import gaussian_rank
from numerai_kedro.metrics.scoring import MAX_LEFT_OUT
from numerai_kedro.numerai.schema import FeatureMetadata, benchmark_of

NOTHING, BENCHMARK, FEATURES = "nothing", "benchmark", "features"


def features_to(
    name: str, folds: Mapping[str, Any], feature_metadata: dict[str, Any], panel: EraPanel
) -> list[str]:
    """Names of the features that `neutralise_to` means; none for `nothing` and `benchmark`.

    Raises
    ------
    ConfigurationError
        There is no such feature set, or the panel holds none of it.
    """
    if name in (NOTHING, BENCHMARK):
        return []
    if name in (FEATURES, "neutral_features"):
        return list(folds[name])
    wanted = set(FeatureMetadata.read(feature_metadata).features(name, "ensemble"))
    found = [feature for feature in panel.feature_names if feature in wanted]
    if not found:
        raise ConfigurationError(
            f'ensemble.neutralise_to: "{name}": the panel holds none of its features; choose a '
            "larger ingestion.feature_set, or another set."
        )
    return found


def neutralised(
    blends: npt.NDArray[np.float64],
    panel: EraPanel,
    benchmarks: pd.DataFrame,
    paid_target: str,
    features: list[str],
    proportions: list[float],
) -> npt.NDArray[np.float64]:
    """Take shares out of columns; see `partly_neutral`. Without features, of the benchmark.

    Raises
    ------
    BlendError
        The benchmark lacks more than a fifth of an era.
    """
    columns_of: Callable[[int], npt.NDArray[np.generic]]
    if features:
        columns_of = panel.select(features=features).features_at
    else:
        ids = np.asarray(panel.ids(), dtype=object)
        columns_of = _by_era(align(benchmark_of(benchmarks, paid_target), ids), panel)
    return partly_neutral(blends, panel.era_starts, columns_of, proportions)


def _by_era(
    benchmark: npt.NDArray[np.float64], panel: EraPanel
) -> Callable[[int], npt.NDArray[np.float64]]:
    """The benchmark's Gaussian ranks, one column an era; 0 where it lacks a row."""

    def column(era: int) -> npt.NDArray[np.float64]:
        values = benchmark[int(panel.era_starts[era]) : int(panel.era_starts[era + 1])]
        known = ~np.isnan(values)
        if known.mean() < 1 - MAX_LEFT_OUT:
            raise BlendError(
                f"the benchmark does not predict {int((~known).sum())} of {len(values)} stocks of "
                f"era {panel.eras[era]:04d}, so that nothing can be neutralised to it; download "
                "its file again, or choose another ensemble.neutralise_to."
            )
        made = np.zeros((len(values), 1))
        made[known] = gaussian_rank(values[known, None])
        return made

    return column
