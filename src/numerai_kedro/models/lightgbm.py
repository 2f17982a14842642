"""LightGBM on int8 columns that stay memory-mapped until they are binned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from numerai_kedro.strict import Block
from numerai_kedro.training.protocol import Cost, FitProgress, no_progress

if TYPE_CHECKING:
    import lightgbm

    from numerai_kedro.panel import EraPanel

# Five feature values need five bins and few rows to find them: the default sample of 200,000 rows
# would hold 8 bytes a cell, most of the peak. Bundling and sparse storage are for sparse data.
DATASET_PARAMS = {
    "max_bin": 5,
    "min_data_in_bin": 1,
    "bin_construct_sample_cnt": 5_000,
    "enable_bundle": False,
    "is_enable_sparse": False,
    "feature_pre_filter": False,
}
PREDICT_ROWS = 100_000  # rows predicted at a time: 8 bytes a cell inside LightGBM
TREES_A_REPORT = 20
# Threads meet after every split of every tree. For fewer cells than this the meetings cost more
# than they save: 13,600 x 40 with 2 threads on 2 busy cores took 25 s, with one 2.
CELLS_FOR_THREADS = 3_000_000
LEAF_BYTES = 104  # of a leaf and its split in the text form
GIB = 2**30


class LightGBMParams(Block):
    """LightGBM's own names; values and what they do stand in parameters_gbm.yml."""

    n_estimators: int = Field(gt=0)
    learning_rate: float = Field(gt=0, le=1)
    max_depth: int = Field(gt=0)
    num_leaves: int = Field(gt=1)
    colsample_bytree: float = Field(gt=0, le=1)
    min_data_in_leaf: int = Field(gt=0)


class LightGBM:
    """Gradient-boosted trees; see `training.protocol.Model` for the contract."""

    version: ClassVar[int] = 1
    params_type: ClassVar[type[Block]] = LightGBMParams

    def __init__(self, params: LightGBMParams, *, seed: int, threads: int) -> None:
        self.params = params
        self.seed = seed
        self.threads = threads
        self.feature_names: list[str] = []
        self._booster: lightgbm.Booster | None = None

    def fit(
        self,
        train: EraPanel,
        valid: EraPanel | None,
        target: str,
        progress: FitProgress = no_progress,
    ) -> Self:
        """Fit a fixed number of trees; rows without a target get weight 0, which copies nothing."""
        import lightgbm as lgb

        params = self._training_params(train.n_rows * len(train.feature_names))
        label = train.target(target)
        known = ~np.isnan(label)
        data = lgb.Dataset(
            train.arrow(),
            label=np.where(known, label, np.float32(0)),
            weight=None if known.all() else known.astype(np.float32),
            params=params,
        )
        self.feature_names = list(train.feature_names)
        n_trees = self.params.n_estimators

        def report(step: Any) -> None:
            if step.iteration % TREES_A_REPORT == 0:
                progress(step.iteration, n_trees)

        self._booster = lgb.train(params, data, num_boost_round=n_trees, callbacks=[report])
        self._booster.free_dataset()
        return self

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row, a bounded number of rows at a time."""
        table = panel.select(features=self.feature_names).arrow()
        pieces = [
            self._fitted().predict(table.slice(start, PREDICT_ROWS), num_threads=self.threads)
            for start in range(0, table.num_rows, PREDICT_ROWS)
        ]
        return np.concatenate(pieces).astype(np.float32)

    @property
    def n_iterations(self) -> int:
        """Trees of the fitted model."""
        return int(self._fitted().num_trees())

    @classmethod
    def cost(cls, params: LightGBMParams, n_rows: int, n_features: int) -> Cost:
        """Bins at 1.02 bytes a cell (measured), the bin sample, and 28 bytes of gradients a row.

        On disk, 104 bytes a leaf (measured: 2,000 trees of 31 leaves take 6.4 MB).
        """
        sample = DATASET_PARAMS["bin_construct_sample_cnt"] * n_features * 8
        memory = 1.02 * n_rows * n_features + sample + 28 * n_rows + 0.2 * GIB
        work = n_rows * n_features * params.colsample_bytree * params.n_estimators
        disk = LEAF_BYTES * params.n_estimators * min(params.num_leaves, 2**params.max_depth)
        return Cost(memory_gb=memory / GIB, work=float(work), disk_gb=disk / GIB)

    def _training_params(self, n_cells: int) -> dict[str, Any]:
        return {
            **DATASET_PARAMS,
            **self.params.model_dump(exclude={"n_estimators"}),
            "objective": "regression",
            "seed": self.seed,
            "deterministic": True,  # the same seed gives the same trees, whatever the thread count
            "force_col_wise": True,
            "num_threads": self.threads if n_cells > CELLS_FOR_THREADS else 1,
            "verbosity": -1,
        }

    def _fitted(self) -> lightgbm.Booster:
        assert self._booster is not None, "predict before fit"
        return self._booster

    def __getstate__(self) -> dict[str, Any]:
        # The text form: stable across versions of LightGBM, and free of its pointers.
        return {
            "params": self.params.model_dump(),
            "seed": self.seed,
            "threads": self.threads,
            "feature_names": self.feature_names,
            "booster": self._fitted().model_to_string(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        import lightgbm as lgb

        self.params = LightGBMParams(**state["params"])
        self.seed = state["seed"]
        self.threads = state["threads"]
        self.feature_names = state["feature_names"]
        # LightGBM aborts the whole process on a truncated text: the caller has checked its digest.
        self._booster = lgb.Booster(model_str=state["booster"])
