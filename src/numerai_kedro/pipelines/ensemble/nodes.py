"""Blend whatever models finished."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.errors import BlendError, Failed
from numerai_kedro.statistics.blending import blend

logger = logging.getLogger(__name__)


def weigh(**predictions: Any) -> pd.DataFrame:
    """Give equal weight to every model whose out-of-fold and live predictions are both values.

    Inputs are named ``{model}__oof`` and ``{model}__live``.
    """
    models = sorted({name.partition("__")[0] for name in predictions})
    rows = []
    for model in models:
        parts = [predictions[f"{model}__oof"], predictions[f"{model}__live"]]
        failed = next((part for part in parts if isinstance(part, Failed)), None)
        rows.append(
            {"model": model, "weight": float(failed is None), "reason": failed and failed.symptom}
        )
    weights = pd.DataFrame(rows)
    n_members = weights["weight"].sum()
    if n_members == 0:
        reasons = "; ".join(f"{row['model']}: {row['reason']}" for row in rows)
        raise BlendError(
            f"no model has both out-of-fold and live predictions ({reasons}); "
            "run kedro run --pipeline=gbm first."
        )
    weights["weight"] /= n_members
    for row, weight in zip(rows, weights["weight"], strict=True):
        because = f" ({row['reason']})" if row["reason"] else ""
        logger.info("ensemble: %s weighs %.2f%s", row["model"], weight, because)
    return weights


def blend_predictions(
    weights: pd.DataFrame, **predictions: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Blend the members out of fold and live; the same weights, the same standardisation."""
    members = weights[weights["weight"] > 0]
    blended = [
        _blend_frames(
            {name: predictions[f"{name}__{part}"] for name in members["model"]},
            members["weight"].to_numpy(),
        )
        for part in ("oof", "live")
    ]
    return blended[0], blended[1]


def _blend_frames(frames: dict[str, pd.DataFrame], weights: np.ndarray) -> pd.DataFrame:
    first_name, first = next(iter(frames.items()))
    for name, frame in frames.items():
        if not frame["id"].equals(first["id"]):
            raise BlendError(
                f"{name} and {first_name} predict different rows; run both again "
                "(kedro run --pipeline=gbm)."
            )
    eras = first["era"].to_numpy()
    starts = np.flatnonzero(np.r_[True, eras[1:] != eras[:-1], True])
    columns = np.column_stack([frame["prediction"] for frame in frames.values()])
    return first[["id", "era"]].assign(
        prediction=blend(columns.astype(np.float64), weights, starts)
    )
