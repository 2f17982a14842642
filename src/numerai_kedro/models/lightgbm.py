"""LightGBM on int8 columns, memory-mapped until they are binned once for all fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from numerai_kedro.data.era_panel import N_VALUES
from numerai_kedro.models.boosting import (
    GIB,
    STEPS_A_REPORT,
    Boosted,
    BoostingParams,
    Strength,
    threads_for,
)
from numerai_kedro.strict import Block
from numerai_kedro.training.protocol import (
    NO_CONTEXT,
    Bins,
    Cost,
    EarlyStoppingSplit,
    FitContext,
    FitProgress,
    no_progress,
)

if TYPE_CHECKING:
    import lightgbm

    from numerai_kedro.data import EraPanel

# Five feature values need five bins and few rows to find them: the default sample of 200,000 rows
# would hold 8 bytes a cell, most of the peak. Bundling and sparse storage are for sparse data.
# Without the pre-filter one data set serves every `min_data_in_leaf`.
DATASET_PARAMS = {
    "max_bin": N_VALUES,
    "min_data_in_bin": 1,
    "bin_construct_sample_cnt": 5_000,
    "enable_bundle": False,
    "is_enable_sparse": False,
    "feature_pre_filter": False,
    "verbosity": -1,
}
PREDICT_ROWS = 100_000  # rows predicted at a time: 8 bytes a cell inside LightGBM
LEAF_BYTES = 104  # of a leaf and its split in the text form


class LightGBMParams(BoostingParams):
    """LightGBM's own names; see parameters_gbm.yml for values and effects."""

    num_leaves: int = Field(gt=1)
    min_data_in_leaf: int = Field(gt=0)
    lambda_l2: float = Field(ge=0)
    path_smooth: float = Field(ge=0)

    def low_fidelity(self, n_trees: int, row_share: float) -> Self:
        """See `BoostingParams.low_fidelity`; a leaf keeps its share of the rows."""
        rows = max(1, round(self.min_data_in_leaf * row_share))
        return (
            super().low_fidelity(n_trees, row_share).model_copy(update={"min_data_in_leaf": rows})
        )


class LightGBM(Boosted):
    """Gradient-boosted trees; see `training.protocol.Model` for the contract."""

    params_type: ClassVar[type[Block]] = LightGBMParams

    def __init__(
        self, params: LightGBMParams, *, seed: int, threads: int, device: str = "cpu"
    ) -> None:
        self.params = params
        self.seed = seed
        self.threads = threads
        self.device = device
        self.feature_names: list[str] = []
        self._booster: lightgbm.Booster | None = None

    def fit(
        self,
        train: EraPanel,
        stop: EarlyStoppingSplit | None,
        target: str,
        progress: FitProgress = no_progress,
        context: FitContext = NO_CONTEXT,
    ) -> Self:
        """Fit a fixed number of trees; rows without a target get weight 0, which copies nothing."""
        import lightgbm as lgb

        label = train.target(target)
        known = ~np.isnan(label)
        data = _binned(train, context.bins)
        data.set_label(np.where(known, label, np.float32(0)))
        if not known.all():
            data.set_weight(known.astype(np.float32))
        self.feature_names = list(train.feature_names)
        n_trees = self.params.n_estimators

        def report(step: Any) -> None:
            if step.iteration % STEPS_A_REPORT == 0:
                progress(step.iteration, n_trees)

        params = self._training_params(threads_for(train, self.threads), train.n_rows)
        params["max_bin"] = train.n_values
        if context.weights:
            params["feature_contri"] = list(context.weights)
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

    def predict_rows(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Predict rows whose columns are the training panel's."""
        values = rows.astype(np.float32)
        return np.asarray(self._fitted().predict(values, num_threads=self.threads), np.float32)

    @property
    def n_iterations(self) -> int:
        """Trees of the fitted model."""
        return int(self._fitted().num_trees())

    def gain_importance(self) -> npt.NDArray[np.float64]:
        """Gain of each of `feature_names`, all trees together."""
        return np.asarray(self._fitted().feature_importance("gain"), dtype=np.float64)

    @classmethod
    def cost(cls, params: LightGBMParams, n_rows: int, n_features: int) -> Cost:
        """1.19 bytes a cell (bench_gbm_memory.py), the bin sample, 28 bytes of gradients a row.

        On disk, 104 bytes a leaf (measured: 2,000 trees of 31 leaves take 6.4 MB), and bins of
        half a byte. Time as measured: rows x (22 + 2.3 x features of a tree) at depth 5.
        """
        cells = n_rows * n_features
        sample = DATASET_PARAMS["bin_construct_sample_cnt"] * n_features * 8
        memory = 1.19 * cells + sample + 28 * n_rows + 0.2 * GIB
        used = params.colsample_bytree * n_features
        a_tree = n_rows * (22 + 2.3 * used) * (0.1 + 0.18 * params.max_depth)
        work = 6 * cells + params.n_estimators * a_tree
        disk = LEAF_BYTES * params.n_estimators * min(params.num_leaves, 2**params.max_depth)
        return Cost(memory / GIB, float(work), disk / GIB, 0.5 * cells / GIB)

    @classmethod
    def has_gpu(cls) -> bool:
        """The wheels of PyPI have no CUDA; a build of your own is used with ``device: cuda``."""
        return False

    def _training_params(self, threads: int, n_rows: int) -> dict[str, Any]:
        return {
            **DATASET_PARAMS,
            **self.params.model_dump(exclude={"n_estimators", "strength"}),
            **_regularised(self.params, n_rows),
            "objective": "regression",
            "seed": self.seed,
            "deterministic": True,  # the same seed gives the same trees, whatever the thread count
            "force_col_wise": True,
            "num_threads": threads,
            "device_type": self.device,
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
        self.device = "cpu"
        self.feature_names = state["feature_names"]
        # LightGBM aborts the whole process on a truncated text: the caller has checked its digest.
        self._booster = lgb.Booster(model_str=state["booster"])


def _regularised(params: LightGBMParams, n_rows: int) -> dict[str, Any]:
    """The family's parameters changed by the strength; none at 0."""
    if params.strength == 0:
        return {}
    by = Strength(params.strength, n_rows)
    depth = by.depth(params.max_depth)
    return {
        "lambda_l2": by.shrinkage(params.lambda_l2),
        "path_smooth": by.shrinkage(params.path_smooth),
        "min_data_in_leaf": by.leaf(params.min_data_in_leaf),
        "max_depth": depth,
        "num_leaves": min(params.num_leaves, 2**depth),
        "colsample_bytree": by.columns(params.colsample_bytree),
        "bagging_fraction": by.rows(1.0),
        "bagging_freq": 1,
    }


def _binned(train: EraPanel, bins: Bins | None) -> lightgbm.Dataset:
    """LightGBM's binned data set, read from disk if it was binned before."""
    import lightgbm as lgb

    params = DATASET_PARAMS | {"max_bin": train.n_values}

    def build(path: Path) -> None:
        lgb.Dataset(train.arrow(), params=params).construct().save_binary(path)

    if bins is None:
        return lgb.Dataset(train.arrow(), params=params).construct()
    key = {"library": f"lightgbm {lgb.__version__}", "params": params}
    # Without a target: one file serves every target and every weight.
    path = bins.file(key | {"rows": train.digest()}, build)
    return lgb.Dataset(path, params=params).construct()
