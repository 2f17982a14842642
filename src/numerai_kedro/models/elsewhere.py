"""A model whose predictions another program made; they are only looked up."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic import model_validator

from numerai_kedro.errors import ConfigurationError, PredictionError
from numerai_kedro.files import digest_file
from numerai_kedro.models.simple import SimpleModel, SimpleParams
from numerai_kedro.numerai.schema import overlap_eras
from numerai_kedro.strict import Block
from numerai_kedro.training.protocol import (
    NO_CONTEXT,
    Cost,
    EarlyStoppingSplit,
    FitContext,
    FitProgress,
    no_progress,
)

if TYPE_CHECKING:
    from numerai_kedro.data import EraPanel

COLUMNS = ("id", "era", "prediction", "trained_to")


class ElsewhereParams(SimpleParams):
    """Files of the predictions; paths are relative to the project's folder.

    Parameters
    ----------
    oof
        A parquet file of predictions for eras that its model did not learn: ``id``, ``era`` (573 or
        "0573"), ``prediction``, and ``trained_to``, the newest era that the row's model learned.
    live
        A parquet or csv file of this round's stocks: ``id`` and ``prediction``.
    content
        Digest of `oof`, filled in: another file gives new out-of-fold predictions.
    """

    oof: str
    live: str
    content: str = ""

    @model_validator(mode="after")
    def _of_this_file(self) -> ElsewhereParams:
        if not Path(self.oof).is_file():
            raise ConfigurationError(f"oof: there is no file {self.oof}")
        object.__setattr__(self, "content", digest_file(Path(self.oof)))
        return self


class Elsewhere(SimpleModel):
    """Looks predictions up by id; refuses those whose model learned overlapping targets."""

    params_type: ClassVar[type[Block]] = ElsewhereParams
    origin = "not ours: predictions made elsewhere"
    purge_eras = 0  # minimum gap between learned and predicted eras

    def fit(
        self,
        train: EraPanel,
        stop: EarlyStoppingSplit | None,
        target: str,
        progress: FitProgress = no_progress,
        context: FitContext = NO_CONTEXT,
    ) -> Self:
        """Set the purge of the target; nothing else is learned."""
        self.feature_names = list(train.feature_names)
        self.purge_eras = overlap_eras(target) + 1  # the minimum that `check_horizons` accepts
        return self

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predictions of the panel's rows.

        Raises
        ------
        PredictionError
            A row is missing, or was predicted by a model that had learned eras whose targets
            overlap its own.
        """
        rows = _rows_of(self.params.oof, self.params.content)
        ids = pd.Index(panel.ids())
        stored = rows.reindex(ids)
        if stored["prediction"].isna().all():
            return _found(_live(self.params.live), ids, self.params.live)
        knew_too_much = stored[stored["trained_to"] + self.purge_eras >= stored["era"]]
        if len(knew_too_much):
            era, trained_to = knew_too_much.iloc[0][["era", "trained_to"]].astype(int)
            raise PredictionError(
                f"{self.params.oof}: era {era:04d} is predicted by a model that learned up to era "
                f"{trained_to:04d}; more than {self.purge_eras} eras must lie between, because "
                "targets overlap. Leave such eras out, or predict them by an earlier model."
            )
        return _found(stored["prediction"], ids, self.params.oof)

    def predict_rows(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Zeros: without ids there are no predictions, so shuffled features have no effect."""
        return np.zeros(len(rows), dtype=np.float32)

    @classmethod
    def cost(cls, params: ElsewhereParams, n_rows: int, n_features: int) -> Cost:
        """Hardly anything."""
        return Cost(0.2, 1e9, 0.0)


@functools.lru_cache(maxsize=2)
def _rows_of(path: str, content: str) -> pd.DataFrame:
    """The table of a file of this content, by id.

    Raises
    ------
    PredictionError
        It is no parquet, lacks a column, has an id twice or a prediction that is not finite.
    """
    table = _read(path)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise PredictionError(f"{path}: no column {', '.join(missing)}; it has {[*table]}")
    table = table[list(COLUMNS)].astype({"era": int, "trained_to": int, "prediction": float})
    if table["id"].duplicated().any():
        twice = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise PredictionError(f'{path}: id "{twice}" is there twice')
    if not np.isfinite(table["prediction"]).all():
        raise PredictionError(f"{path}: a prediction is not finite")
    return table.set_index("id")


def _live(path: str) -> pd.Series:
    table = _read(path)
    if not {"id", "prediction"} <= {*table}:
        raise PredictionError(f"{path}: it should have id and prediction, and has {[*table]}")
    return table.set_index("id")["prediction"]


def _read(path: str) -> pd.DataFrame:
    try:
        is_csv = path.endswith(".csv")
        table = pd.read_csv(path, dtype={"id": str}) if is_csv else pd.read_parquet(path)
    except (OSError, ValueError, TypeError, LookupError, pa.ArrowException) as error:
        problem = " ".join(str(error).split())
        raise PredictionError(f"{path}: it cannot be read ({problem})") from None
    return table.reset_index() if "id" not in table and table.index.name == "id" else table


def _found(predictions: pd.Series, ids: pd.Index, path: str) -> npt.NDArray[np.float32]:
    values = predictions.reindex(ids)
    if values.isna().any():
        raise PredictionError(
            f"{path}: {int(values.isna().sum())} of {len(ids)} rows are missing, the first is id "
            f'"{ids[values.isna()][0]}"; write predictions for all of them.'
        )
    return values.to_numpy(np.float32)
