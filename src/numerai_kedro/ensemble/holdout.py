"""The test eras, as ensemble and backtest look at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Folds
from numerai_kedro.errors import PredictionError
from numerai_kedro.metrics.backtest import align
from numerai_kedro.metrics.payout import PayoutRule, contribution
from numerai_kedro.numerai.schema import benchmark_of, meta_model_of


@dataclass(frozen=True)
class Holdout:
    """The test eras, and what predictions are compared with there."""

    panel: EraPanel
    target: npt.NDArray[np.float64]
    meta_model: npt.NDArray[np.float64]
    benchmark: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        history: EraPanel,
        folds: Folds,
        meta_model: pd.DataFrame,
        benchmarks: pd.DataFrame,
    ) -> Holdout:
        """Read targets, meta model and benchmark of the test period."""
        first, last = folds.periods.test
        panel = history.select(eras=history.eras[(history.eras >= first) & (history.eras <= last)])
        ids, paid = np.asarray(panel.ids(), dtype=object), folds.paid_target
        return cls(
            panel,
            panel.target(paid).astype(np.float64),
            align(meta_model_of(meta_model), ids),
            align(benchmark_of(benchmarks, paid), ids),
        )

    def covers(self, frame: pd.DataFrame) -> bool:
        """Whether out-of-fold predictions hold the test period's rows: not those of last week."""
        ids = np.asarray(self.panel.ids(), dtype=object)
        return np.array_equal(frame["id"].to_numpy(dtype=object), ids)

    def columns(self, frames: dict[str, pd.DataFrame]) -> npt.NDArray[np.float64]:
        """float64[n_rows, n_models] of out-of-fold predictions.

        Raises
        ------
        PredictionError
            A model predicts other rows.
        """
        ids = np.asarray(self.panel.ids(), dtype=object)
        for name, frame in frames.items():
            if not np.array_equal(frame["id"].to_numpy(dtype=object), ids):
                raise PredictionError(
                    f"{name} predicts other rows than the test eras hold; run it again "
                    "(kedro run --pipeline=gbm)."
                )
        return np.column_stack([frame["prediction"] for frame in frames.values()]).astype(float)


def returns_of(rows: pd.DataFrame, rule: PayoutRule, overlap_eras: int) -> npt.NDArray[np.float64]:
    """What each era would have paid: `rows` are one model's in `era_scores`."""
    beyond = contribution(rows["mmc"].to_numpy(), rows["bmc"].to_numpy(), overlap_eras)
    return rule.returns(rows["corr"].to_numpy(), beyond).astype(np.float64, copy=False)
