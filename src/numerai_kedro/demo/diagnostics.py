"""Diagnostics: predictions of the validation eras, scored where targets are resolved."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.demo.names import PAID_TARGET
from numerai_kedro.demo.published_rows import ERAS_BEHIND
from numerai_kedro.metrics.corr import corr_of_era
from numerai_kedro.metrics.mmc import contribution_of_era
from numerai_kedro.metrics.performance import max_drawdown
from numerai_kedro.numerai.schema import format_era

if TYPE_CHECKING:
    from numerai_kedro.demo.world import World

HEADERS = ["id", "prediction"]
# The benchmark that BMC is measured against: the one of 60 days.
BENCHMARK = 1


def diagnose(content: bytes, world: World, newest_era: int) -> dict[str, Any]:
    """Score predictions era by era.

    Parameters
    ----------
    content
        A csv with the columns ``id`` and ``prediction``.
    newest_era
        Newest era of the validation file; 60-day targets are resolved 13 eras before it.

    Returns
    -------
    dict
        Fields of ``V2Diagnostics``. ``status`` is ``failed`` with a ``message`` where the file
        cannot be scored. Eras with a missing row are in ``erasMissing``.
    """
    try:
        frame = pd.read_csv(io.BytesIO(content))
    except ValueError:  # a UnicodeDecodeError is one
        return {"status": "failed", "message": "invalid_diagnostics: not a csv"}
    if list(frame.columns) != HEADERS or not np.issubdtype(frame["prediction"].dtype, np.number):
        return {
            "status": "failed",
            "message": "invalid_diagnostics: wanted the columns id and prediction",
        }
    predictions = frame.drop_duplicates("id").set_index("id")["prediction"]
    eras, missing = [], []
    for era in range(world.size.last_train_era + 1, newest_era - ERAS_BEHIND[60] + 1):
        predicted = predictions.reindex(world.ids(era)).to_numpy(float)
        if np.isfinite(predicted).all():
            eras.append(_of_era(world, era, predicted))
        else:
            missing.append(format_era(era))
    if not eras:
        return {
            "status": "failed",
            "message": "invalid_diagnostics: no validation era is complete",
            "erasMissing": missing,
        }
    return {
        "status": "done",
        "message": "",
        "trainedOnVal": False,
        "erasAcceptedCount": len(eras),
        "erasMissing": missing,
        "perEraDiagnostics": eras,
        **_summary(eras),
    }


def _of_era(world: World, era: int, predicted: npt.NDArray[np.float64]) -> dict[str, Any]:
    column = world.target_names.index(PAID_TARGET)
    target = world.targets(era)[:, column].astype(np.float64)
    matrix = predicted[:, None]
    meta, benchmark = world.meta_model(era), world.benchmark(era)[:, BENCHMARK]
    (corr,) = corr_of_era(matrix, target)
    (mmc,) = contribution_of_era(matrix, meta.astype(np.float64), target)
    (bmc,) = contribution_of_era(matrix, benchmark.astype(np.float64), target)
    return {
        "era": format_era(era),
        "validationCorr": _number(corr),
        "validationMmc": _number(mmc),
        "validationBmc": _number(bmc),
    }


def _summary(eras: list[dict[str, Any]]) -> dict[str, float | None]:
    summary: dict[str, float | None] = {}
    scores = pd.DataFrame(eras)
    for score in ("Corr", "Mmc"):
        values = scores[f"validation{score}"].dropna().to_numpy(float)
        mean, spread = (values.mean(), values.std()) if len(values) else (np.nan, np.nan)
        summary |= {
            f"validation{score}Mean": _number(mean),
            f"validation{score}Std": _number(spread),
            f"validation{score}Sharpe": _number(mean / spread if spread else np.nan),
        }
    corr = scores["validationCorr"].dropna().to_numpy(float)
    return summary | {
        "validationBmcMean": _number(scores["validationBmc"].astype(float).mean()),
        "validationMaxDrawdown": _number(max_drawdown(corr) if len(corr) else np.nan),
        "validationCorrMaxDrawdown": _number(max_drawdown(corr) if len(corr) else np.nan),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
