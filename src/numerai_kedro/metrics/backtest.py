"""Score out-of-fold predictions era by era, and summarise the scores."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.data import EraPanel
from numerai_kedro.errors import PredictionError
from numerai_kedro.metrics.fnc import feature_scores, leaves_nothing
from numerai_kedro.metrics.intervals import Interval, mean_interval
from numerai_kedro.metrics.performance import max_drawdown, sharpe
from numerai_kedro.metrics.scoring import rank_scores

logger = logging.getLogger(__name__)

MEAN_SCORES = ("corr", "mmc", "bmc", "fnc", "max_exposure")


def align(values: pd.Series, ids: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """Values of the given ids, NaN for ids without one."""
    return values.reindex(ids).to_numpy(dtype=np.float64)


def score_columns(
    panel: EraPanel,
    predictions: pd.DataFrame,
    meta_model: pd.Series,
    benchmark: pd.Series,
    paid_target: str,
    neutral_features: list[str],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Score every column in every era of the panel.

    Parameters
    ----------
    panel : EraPanel
        The test eras.
    predictions : DataFrame[n_rows, n_models]
        Indexed by id, rows as in the panel.
    meta_model, benchmark : Series
        Indexed by id; ids that are missing make MMC or BMC of their era NaN.
    paid_target
        The target of all scores, whatever the models learned.
    neutral_features
        Features that FNC neutralises to, and whose largest exposure is reported.
    progress : callable
        Called with (eras so far, eras in all) of the slow part, FNC.

    Returns
    -------
    DataFrame
        One row per era and model: ``era``, ``model``, ``corr``, ``mmc``, ``bmc``, ``fnc``,
        ``max_exposure``. FNC is NaN, with a warning, in eras with as many features as rows.

    Raises
    ------
    PredictionError
        The predictions' rows are not the panel's.
    """
    ids = np.asarray(panel.ids(), dtype=object)
    if not np.array_equal(predictions.index.to_numpy(dtype=object), ids):
        raise PredictionError(
            "out-of-fold predictions and panel hold different rows in the test eras; run the "
            "models again (kedro run --pipeline=gbm)."
        )
    columns = predictions.to_numpy(dtype=np.float64)
    target = panel.target(paid_target).astype(np.float64)
    starts = panel.era_starts
    references = [align(meta_model, ids), align(benchmark, ids)]
    scores = dict(
        zip(("corr", "mmc", "bmc"), rank_scores(starts, columns, target, references), strict=True)
    )
    neutral = panel.select(features=neutral_features)
    scores["fnc"], scores["max_exposure"] = feature_scores(
        starts, columns, target, neutral.features_at, progress
    )
    sizes = np.diff(starts)
    noise = [era for era in range(len(sizes)) if leaves_nothing(sizes[era], len(neutral_features))]
    if noise:
        logger.warning(
            "FNC is NaN in %d of %d eras: era %04d has %d rows, and neutralising to %d features "
            "leaves nothing but rounding; choose a smaller ingestion.neutral_feature_set",
            len(noise),
            len(sizes),
            panel.eras[noise[0]],
            sizes[noise[0]],
            len(neutral_features),
        )
    return pd.DataFrame(
        {
            "era": np.repeat(panel.eras, columns.shape[1]),
            "model": np.tile(predictions.columns.to_numpy(dtype=object), len(panel.eras)),
            **{name: values.ravel() for name, values in scores.items()},
        }
    )


def summarise(scores: pd.DataFrame, overlap_eras: int) -> dict[str, Any]:
    """Per model: each mean with its interval, Sharpe and drawdown of CORR."""
    return {
        str(model): {
            **{
                name: interval_json(mean_interval(rows[name].to_numpy(), overlap_eras))
                for name in MEAN_SCORES
            },
            "sharpe": sharpe(rows["corr"].to_numpy()),
            "max_drawdown": max_drawdown(rows["corr"].to_numpy()),
        }
        for model, rows in scores.groupby("model", sort=True)
    }


def interval_json(interval: Interval) -> dict[str, Any]:
    """A mean with its interval, and its text."""
    return {
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n_eras": interval.n_eras,
        "degrees_of_freedom": interval.degrees_of_freedom,
        "text": str(interval),
    }
