"""Blend whatever models finished."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.errors import BlendError, Failed
from numerai_kedro.statistics.blending import blend

logger = logging.getLogger(__name__)


def weigh(**made: Any) -> pd.DataFrame:
    """Give equal weight to every model that has out-of-fold predictions and a live fit.

    Inputs are named ``{model}__oof`` and ``{model}__model``.
    """
    models = sorted({name.partition("__")[0] for name in made})
    rows = []
    for model in models:
        parts = [made[f"{model}__oof"], made[f"{model}__model"]]
        failed = next((part for part in parts if isinstance(part, Failed)), None)
        rows.append(
            {"model": model, "weight": float(failed is None), "reason": failed and failed.symptom}
        )
    weights = pd.DataFrame(rows)
    n_members = weights["weight"].sum()
    if n_members == 0:
        reasons = "; ".join(f"{row['model']}: {row['reason']}" for row in rows)
        raise BlendError(
            f"no model has both out-of-fold predictions and a live fit ({reasons}); "
            "run kedro run --pipeline=gbm first."
        )
    weights["weight"] /= n_members
    for row, weight in zip(rows, weights["weight"], strict=True):
        because = f" ({row['reason']})" if row["reason"] else ""
        logger.info("ensemble: %s weighs %.2f%s", row["model"], weight, because)
    return weights


def blend_out_of_fold(weights: pd.DataFrame, **oof: Any) -> pd.DataFrame:
    """Blend the members in every judged era."""
    members = weights[weights["weight"] > 0]
    frames = {name: oof[name] for name in members["model"]}
    return _blend_frames(frames, members["weight"].to_numpy())


def blend_live(weights: pd.DataFrame, **live: Any) -> pd.DataFrame | Failed:
    """Blend the members' live predictions by the same weights, standardised the same way.

    A member without live predictions is left out, and said: a round is missed by nothing else.
    """
    members = weights[weights["weight"] > 0].set_index("model")["weight"]
    absent = {name: live[name] for name in members.index if isinstance(live[name], Failed)}
    for name, failed in absent.items():
        logger.warning("ensemble: %s is left out of this round: %s", name, failed.symptom)
    present = members.drop(list(absent))
    if present.empty:
        reasons = "; ".join(f"{name}: {failed.symptom}" for name, failed in absent.items())
        return Failed("blend_live", f"no member has live predictions ({reasons})")
    return _blend_frames({name: live[name] for name in present.index}, present.to_numpy())


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
