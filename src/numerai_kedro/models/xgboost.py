"""XGBoost by histograms, its matrix filled era by era."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from numerai_kedro.data.era_panel import N_VALUES
from numerai_kedro.data.joined import n_derived
from numerai_kedro.models.boosting import (
    GIB,
    STEPS_A_REPORT,
    Boosted,
    BoostingParams,
    Strength,
    in_eras,
    threads_for,
)
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
    import xgboost

    from numerai_kedro.data import EraPanel

# More than the five values of a feature: XGBoost counts borders, not values.
MAX_BIN = 8
NODE_BYTES = 60  # in XGBoost's binary form


class XGBoostParams(BoostingParams):
    """XGBoost's own names; see parameters_gbm.yml for values and effects."""

    max_leaves: int = Field(ge=0)
    min_child_weight: float = Field(ge=0)
    reg_lambda: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)

    def low_fidelity(self, n_trees: int, row_share: float) -> Self:
        """See `BoostingParams.low_fidelity`; with squared error, a leaf's weight is its rows."""
        weight = max(1.0, self.min_child_weight * row_share)
        return (
            super().low_fidelity(n_trees, row_share).model_copy(update={"min_child_weight": weight})
        )


class XGBoost(Boosted):
    """Gradient-boosted trees; see `training.protocol.Model` for the contract."""

    params_type: ClassVar[type[Block]] = XGBoostParams

    def __init__(
        self, params: XGBoostParams, *, seed: int, threads: int, device: str = "cpu"
    ) -> None:
        self.params = params
        self.seed = seed
        self.threads = threads
        self.device = device
        self.feature_names: list[str] = []
        self._booster: xgboost.Booster | None = None

    def fit(
        self,
        train: EraPanel,
        stop: EarlyStoppingSplit | None,
        target: str,
        progress: FitProgress = no_progress,
        context: FitContext = NO_CONTEXT,
    ) -> Self:
        """Fit a fixed number of trees to the rows that have a target; bins are not kept."""
        import xgboost as xgb

        self.feature_names = list(train.feature_names)
        threads = threads_for(train, self.threads)
        max_bin = max(MAX_BIN, train.n_values + 1)
        data = xgb.QuantileDMatrix(
            _batches(train, target), max_bin=max_bin, nthread=threads, ref=_cuts(train, max_bin)
        )
        if context.weights:
            data.set_info(feature_weights=np.array(context.weights, dtype=np.float32))
        booster = xgb.train(
            self._training_params(threads, train.n_rows) | {"max_bin": max_bin},
            data,
            num_boost_round=self.params.n_estimators,
            callbacks=[_told(progress, self.params.n_estimators)],
        )
        booster.set_param({"device": "cpu"})
        self._booster = booster
        return self

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row, an era at a time."""
        self._fitted().set_param({"nthread": self.threads})
        return in_eras(panel.select(features=self.feature_names), self.predict_rows)

    def predict_rows(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Predict rows whose columns are the training panel's."""
        values = rows.astype(np.float32, order="C")
        return np.asarray(self._fitted().inplace_predict(values), np.float32)

    @property
    def n_iterations(self) -> int:
        """Trees of the fitted model."""
        return int(self._fitted().num_boosted_rounds())

    def gain_importance(self) -> npt.NDArray[np.float64]:
        """Total gain of each of `feature_names`."""
        gains = self._fitted().get_score(importance_type="total_gain")
        return np.array([gains.get(f"f{k}", 0.0) for k in range(len(self.feature_names))])

    @classmethod
    def cost(cls, params: XGBoostParams, n_rows: int, n_features: int) -> Cost:
        """2.13 bytes a cell (measured), 40 a row of gradients and positions; time as measured."""
        cells = n_rows * n_features
        memory = 2.13 * cells + 40 * n_rows + 0.3 * GIB
        used = params.colsample_bytree * n_features
        a_tree = n_rows * (150 + 0.3 * used) * (0.3 + 0.14 * params.max_depth)
        work = 45 * cells + params.n_estimators * a_tree
        nodes = 2 * min(params.max_leaves or 2**params.max_depth, 2**params.max_depth)
        disk = NODE_BYTES * params.n_estimators * nodes
        return Cost(memory / GIB, float(work), disk / GIB)

    @classmethod
    def has_gpu(cls) -> bool:
        """Whether the build has CUDA (the extra `gpu`) and the driver reports a device."""
        import xgboost as xgb

        from numerai_kedro.compute.machine import gpu_memory_gb

        return bool(xgb.build_info().get("USE_CUDA")) and gpu_memory_gb() > 0

    def _training_params(self, threads: int, n_rows: int) -> dict[str, Any]:
        params, by = self.params, Strength(self.params.strength, n_rows)
        return {
            **params.model_dump(exclude={"n_estimators", "strength"}),
            "max_depth": by.depth(params.max_depth),
            "min_child_weight": by.leaf(params.min_child_weight),
            "reg_lambda": by.shrinkage(params.reg_lambda),
            "colsample_bytree": by.columns(params.colsample_bytree),
            "subsample": by.rows(params.subsample),
            # Leaf-wise if the number of leaves is the limit, level-wise if depth is.
            "grow_policy": "lossguide" if params.max_leaves else "depthwise",
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "seed": self.seed,
            "nthread": threads,
            "device": self.device,
            "verbosity": 0,
        }

    def _fitted(self) -> xgboost.Booster:
        assert self._booster is not None, "predict before fit"
        return self._booster

    def __getstate__(self) -> dict[str, Any]:
        return {
            "params": self.params.model_dump(),
            "seed": self.seed,
            "threads": self.threads,
            "feature_names": self.feature_names,
            "booster": bytes(self._fitted().save_raw("ubj")),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        import xgboost as xgb

        self.params = XGBoostParams(**state["params"])
        self.seed = state["seed"]
        self.threads = state["threads"]
        self.device = "cpu"
        self.feature_names = state["feature_names"]
        self._booster = xgb.Booster(model_file=bytearray(state["booster"]))


def _batches(train: EraPanel, target: str) -> xgboost.DataIter:
    """Pass XGBoost one era after another, only rows that have a target."""
    import xgboost as xgb

    class Eras(xgb.DataIter):
        def __init__(self) -> None:
            self._next = 0
            super().__init__()

        def next(self, input_data: Any) -> bool:
            if self._next >= len(train.eras):
                return False
            era = int(train.eras[self._next])
            label = train.select(eras=[era]).target(target)
            labelled = ~np.isnan(label)
            rows = train.features(era)[labelled].astype(np.float32, order="C")
            input_data(data=rows, label=label[labelled])
            self._next += 1
            return True

        def reset(self) -> None:
            self._next = 0

    return Eras()


def _cuts(train: EraPanel, max_bin: int) -> xgboost.QuantileDMatrix:
    """Cuts from rows with every value; without a sketch of the data, a fit takes half the time."""
    import xgboost as xgb

    values = np.arange(train.n_values, dtype=np.float32)
    rows = np.repeat(values[:, None], len(train.feature_names), axis=1)
    n_plain = len(train.feature_names) - n_derived(train.feature_names)
    rows[:, :n_plain] = np.minimum(rows[:, :n_plain], N_VALUES - 1)
    return xgb.QuantileDMatrix(rows, label=values, max_bin=max_bin)


def _told(progress: FitProgress, n_trees: int) -> Any:
    import xgboost as xgb

    class Told(xgb.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if epoch % STEPS_A_REPORT == 0:
                progress(epoch, n_trees)
            return False

    return Told()
