"""CatBoost: symmetric trees, on a quantised pool that is kept on disk between fits."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from numerai_kedro.models.boosting import (
    GIB,
    STEPS_A_REPORT,
    Boosted,
    BoostingParams,
    Strength,
    in_eras,
    matrix_of,
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
    import catboost

    from numerai_kedro.data import EraPanel

# Metadata that differs between two equal fits.
UNLIKE_EACH_OTHER = ("model_guid", "train_finish_time")
NODE_BYTES = 20  # of a leaf value and its share of a symmetric tree's splits, in CatBoost's form


class CatBoostParams(BoostingParams):
    """See parameters_gbm.yml for values and effects."""

    l2_leaf_reg: float = Field(ge=0)
    subsample: float = Field(gt=0, le=1)
    random_strength: float = Field(ge=0)


class CatBoost(Boosted):
    """Gradient-boosted symmetric trees; see `training.protocol.Model` for the contract."""

    params_type: ClassVar[type[Block]] = CatBoostParams

    def __init__(
        self, params: CatBoostParams, *, seed: int, threads: int, device: str = "cpu"
    ) -> None:
        self.params = params
        self.seed = seed
        self.threads = threads
        self.device = device
        self.feature_names: list[str] = []
        self._model: catboost.CatBoost | None = None

    def fit(
        self,
        train: EraPanel,
        stop: EarlyStoppingSplit | None,
        target: str,
        progress: FitProgress = no_progress,
        context: FitContext = NO_CONTEXT,
    ) -> Self:
        """Fit a fixed number of trees to the rows that have a target."""
        import catboost

        self.feature_names = list(train.feature_names)
        pool = _quantised(train, target, context.bins)
        threads = threads_for(train, self.threads)
        params = self._training_params(threads, train.n_rows)
        if context.weights:
            # The default score (cosine) and the noise in the choice of splits would ignore them.
            params |= {"score_function": "L2", "random_strength": 0.0}
            params["feature_weights"] = list(context.weights)
        model = catboost.CatBoost(params)
        # On a GPU CatBoost takes no callbacks.
        callbacks = [_Told(progress, self.params.n_estimators)] if self.device == "cpu" else None
        self._model = model.fit(pool, callbacks=callbacks)
        return self

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row, an era at a time."""
        return in_eras(panel.select(features=self.feature_names), self.predict_rows)

    def predict_rows(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Predict rows whose columns are the training panel's."""
        return np.asarray(self._fitted().predict(rows, thread_count=self.threads), np.float32)

    @property
    def n_iterations(self) -> int:
        """Trees of the fitted model."""
        return int(self._fitted().tree_count_)

    def gain_importance(self) -> npt.NDArray[np.float64]:
        """CatBoost's PredictionValuesChange of each of `feature_names`."""
        return np.asarray(self._fitted().get_feature_importance(), dtype=np.float64)

    @classmethod
    def cost(cls, params: CatBoostParams, n_rows: int, n_features: int) -> Cost:
        """A byte a cell by columns, one quantised, up to two more while the pool is written.

        As measured (bench_gbm_memory.py); 60 bytes a row of targets and gradients. Symmetric trees
        scan all rows once a level.
        """
        cells = n_rows * n_features
        memory = 4.2 * cells + 60 * n_rows + 0.3 * GIB
        used = params.colsample_bytree * n_features
        a_tree = n_rows * (45 + 1.35 * used) * (0.35 + 0.13 * params.max_depth)
        work = 3 * cells + params.n_estimators * a_tree
        disk = NODE_BYTES * params.n_estimators * 2**params.max_depth
        return Cost(memory / GIB, float(work), disk / GIB, 1.03 * cells / GIB)

    @classmethod
    def has_gpu(cls) -> bool:
        """CatBoost's wheels include CUDA, and CatBoost reports usable devices."""
        from numerai_kedro.compute.machine import gpu_memory_gb

        if not gpu_memory_gb():  # CatBoost would log an error
            return False
        from catboost.utils import get_gpu_device_count

        return int(get_gpu_device_count()) > 0

    def _training_params(self, threads: int, n_rows: int) -> dict[str, Any]:
        params, by = self.params, Strength(self.params.strength, n_rows)
        chosen: dict[str, Any] = {
            "loss_function": "RMSE",
            "iterations": params.n_estimators,
            "learning_rate": params.learning_rate,
            "depth": by.depth(params.max_depth),
            "l2_leaf_reg": by.shrinkage(params.l2_leaf_reg),
            "random_strength": params.random_strength,
            "boosting_type": "Plain",
            "bootstrap_type": "Bernoulli",
            "subsample": by.rows(params.subsample),
            "random_seed": self.seed,
            "thread_count": threads,
            "allow_writing_files": False,
            "verbose": False,
        }
        if self.device == "cpu":
            return chosen | {"task_type": "CPU", "rsm": by.columns(params.colsample_bytree)}
        # On a GPU CatBoost samples no columns for regression; half-byte bins are its fast path.
        return chosen | {"task_type": "GPU", "devices": "0", "gpu_ram_part": 0.85}

    def _fitted(self) -> catboost.CatBoost:
        assert self._model is not None, "predict before fit"
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        metadata = self._fitted().get_metadata()
        for name in UNLIKE_EACH_OTHER:
            metadata[name] = ""
        with tempfile.NamedTemporaryFile(suffix=".cbm") as file:
            self._fitted().save_model(file.name)
            content = Path(file.name).read_bytes()
        return {
            "params": self.params.model_dump(),
            "seed": self.seed,
            "threads": self.threads,
            "feature_names": self.feature_names,
            "model": content,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        import catboost

        self.params = CatBoostParams(**state["params"])
        self.seed = state["seed"]
        self.threads = state["threads"]
        self.device = "cpu"
        self.feature_names = state["feature_names"]
        self._model = catboost.CatBoost().load_model(blob=state["model"])


class _Told:
    """CatBoost's callback that reports progress."""

    def __init__(self, progress: FitProgress, n_trees: int) -> None:
        self._progress, self._n_trees = progress, n_trees

    def after_iteration(self, info: Any) -> bool:
        if info.iteration % STEPS_A_REPORT == 0:
            self._progress(info.iteration, self._n_trees)
        return True


def _quantised(train: EraPanel, target: str, bins: Bins | None) -> catboost.Pool:
    """CatBoost's pool of the rows that have a target; its file includes the target."""
    import catboost

    borders = train.n_values - 1

    def make() -> catboost.Pool:
        label = train.target(target)
        labelled = ~np.isnan(label)
        pool = catboost.Pool(matrix_of(train, labelled), label[labelled])
        pool.quantize(border_count=borders)
        return pool

    if bins is None:
        return make()
    key = {"library": f"catboost {catboost.__version__}", "borders": borders, "target": target}
    path = bins.file(
        key | {"rows": train.digest(targets=(target,))}, lambda place: make().save(str(place))
    )
    return catboost.Pool(f"quantized://{path}")
