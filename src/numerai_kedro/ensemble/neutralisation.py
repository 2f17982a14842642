"""What a blend is neutralised to: features, the benchmark, or by a function of the user's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Folds
from numerai_kedro.ensemble.blending import not_linear_in, partly_neutral
from numerai_kedro.ensemble.own_function import vector_of
from numerai_kedro.errors import BlendError, ConfigurationError
from numerai_kedro.metrics.backtest import align
from numerai_kedro.metrics.ranks import Matrix, gaussian_rank
from numerai_kedro.metrics.scoring import MAX_LEFT_OUT
from numerai_kedro.numerai.schema import FeatureMetadata, benchmark_of
from numerai_kedro.own_code import DOTTED, import_own

NOTHING, BENCHMARK, FEATURES = "nothing", "benchmark", "features"
PLACE = "ensemble.neutralise_to"  # of the parameter, for error messages


def features_to(
    name: str, folds: Folds, feature_metadata: dict[str, Any], panel: EraPanel
) -> list[str]:
    """Names of the features that `neutralise_to` means; none for `nothing` and `benchmark`.

    Of a function of the user's own its dotted path, which names no feature.

    Raises
    ------
    ConfigurationError
        There is no such feature set, or the panel holds none of it, or no such function.
    """
    if DOTTED.fullmatch(name):
        import_own(name, PLACE)
        return [name]
    if name in (NOTHING, BENCHMARK):
        return []
    if name == FEATURES:
        return folds.features
    if name == "neutral_features":
        return folds.neutral_features
    members = set(FeatureMetadata.read(feature_metadata).features(name, "ensemble"))
    features = [feature for feature in panel.feature_names if feature in members]
    if not features:
        raise ConfigurationError(
            f'ensemble.neutralise_to: "{name}": the panel holds none of its features; choose a '
            "larger ingestion.feature_set, or another set."
        )
    return features


def neutralised(
    blends: npt.NDArray[np.float64],
    panel: EraPanel,
    benchmarks: pd.DataFrame,
    paid_target: str,
    features: list[str],
    proportions: list[float],
) -> npt.NDArray[np.float64]:
    """Take shares out of columns; see `partly_neutral`.

    Parameters
    ----------
    features
        As `features_to` returns them; none for the benchmark.

    Raises
    ------
    BlendError
        The benchmark lacks more than a fifth of an era, or the user's function fails.
    """
    if len(features) == 1 and DOTTED.fullmatch(features[0]):
        neutral_of = _by_own_function(features[0], panel)
        return partly_neutral(blends, panel.era_starts, neutral_of, proportions)
    columns_of: Callable[[int], npt.NDArray[np.generic]]
    if features:
        columns_of = panel.select(features=features).features_at
    else:
        ids = np.asarray(panel.ids(), dtype=object)
        columns_of = _by_era(align(benchmark_of(benchmarks, paid_target), ids), panel)
    return partly_neutral(blends, panel.era_starts, not_linear_in(columns_of), proportions)


def _by_own_function(path: str, panel: EraPanel) -> Callable[[int, Matrix], Matrix]:
    """A neutral form by a function that gets one blend and the features of its era."""
    function, lock = import_own(path, PLACE), threading.Lock()

    def neutral_of(era: int, columns: Matrix) -> Matrix:
        features = panel.features_at(era)
        with lock:  # eras are neutralised by threads, for which it need not be made
            neutral = [
                vector_of(path, function, column, features, size=len(column))
                for column in columns.T
            ]
        return np.column_stack(neutral)

    return neutral_of


def _by_era(
    benchmark: npt.NDArray[np.float64], panel: EraPanel
) -> Callable[[int], npt.NDArray[np.float64]]:
    """The benchmark's Gaussian ranks, one column an era; 0 where it lacks a row."""

    def column(era: int) -> npt.NDArray[np.float64]:
        values = benchmark[int(panel.era_starts[era]) : int(panel.era_starts[era + 1])]
        predicted = ~np.isnan(values)
        if predicted.mean() < 1 - MAX_LEFT_OUT:
            raise BlendError(
                f"the benchmark does not predict {int((~predicted).sum())} of {len(values)} stocks "
                f"of era {panel.eras[era]:04d}, so that nothing can be neutralised to it; download "
                "its file again, or choose another ensemble.neutralise_to."
            )
        ranks = np.zeros((len(values), 1))
        ranks[predicted] = gaussian_rank(values[predicted, None])
        return ranks

    return column
