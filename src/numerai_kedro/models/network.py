"""What all torch networks share: input, the training loop, saving, predicting."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, nn

from numerai_kedro.panel import EraPanel
from numerai_kedro.strict import Block
from numerai_kedro.training.networks.batches import TrainingEras
from numerai_kedro.training.networks.loop import (
    LoopParams,
    TrainingRun,
    first_target,
    predictions_of,
)
from numerai_kedro.training.protocol import Bins, FitProgress, no_progress

MIDDLE, DEVIATION = 2.0, 2**0.5  # of features, which are 0 to 4, each as often as the others


class NetworkParams(LoopParams):
    """What every network has beside its sizes."""

    dropout: float = Field(ge=0, lt=1)
    feature_dropout: float = Field(ge=0, lt=1)
    more_heads: tuple[str, ...] = ()


class Centred(nn.Module):
    """int8 features of five values to floats of mean 0 and variance 1, some of them left out.

    Leaving out whole features, other ones in every batch, is to a network what column sampling is
    to trees.
    """

    def __init__(self, feature_dropout: float) -> None:
        super().__init__()
        self.share = feature_dropout

    def forward(self, features: Tensor) -> Tensor:
        """float[n, n_features]."""
        dtype = torch.get_autocast_dtype(features.device.type) if _autocast(features) else None
        values = features.to(dtype or torch.float32)
        values = (values - MIDDLE) / DEVIATION
        if self.training and self.share:
            kept = torch.rand(1, values.shape[1], device=values.device) >= self.share
            values = values * kept / (1 - self.share)
        return values


def _autocast(features: Tensor) -> bool:
    return torch.is_autocast_enabled(features.device.type)


class NetworkModel:
    """A network as a model; see `training.protocol.Model` for the contract.

    A family says what it is made of (`build`), and inherits the rest.
    """

    version: ClassVar[int]
    params_type: ClassVar[type[Block]]

    def __init__(self, params: Any, *, seed: int, threads: int, device: str = "cpu") -> None:
        self.params = params
        self.seed, self.threads, self.device = seed, threads, device
        self.feature_names: list[str] = []
        self.targets: list[str] = []
        self.n_iterations = 0
        self.recoveries: list[dict[str, Any]] = []
        self._network: nn.Module | None = None

    def build(self, n_features: int, n_targets: int) -> nn.Module:
        """Make the network with fresh weights."""
        raise NotImplementedError

    def fit(
        self,
        train: EraPanel,
        valid: EraPanel | None,
        target: str,
        progress: FitProgress = no_progress,
        bins: Bins | None = None,
    ) -> Self:
        """Train on the panel's eras; the best epoch by `valid`, the last one without."""
        torch.set_num_threads(self.threads)
        self.feature_names = list(train.feature_names)
        self.targets = [target, *(one for one in self.params.more_heads if one != target)]
        eras = TrainingEras(train, self.targets, self.params.batch_rows)
        run = TrainingRun(
            lambda: self.build(len(self.feature_names), len(self.targets)),
            eras,
            self.params,
            self.seed,
            valid=valid,
            target=target,
            device=self.device,
        )
        run.train(progress)
        run.bare.load_state_dict(run.best)
        self._network = run.bare.to("cpu").eval()
        self.n_iterations = run.at.best_epoch
        self.recoveries = run.at.recoveries
        return self

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row of the first target, a bounded number of rows at a time."""
        chosen = panel.select(features=self.feature_names)
        cpu = torch.device("cpu")
        return predictions_of(self._fitted(), chosen, self.params.batch_rows, cpu)

    def predict_rows(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Predict rows whose columns are the training panel's."""
        with torch.no_grad():
            return first_target(self._fitted()(torch.from_numpy(np.ascontiguousarray(rows))))

    def gain_importance(self) -> npt.NDArray[np.float64]:
        """How much the loss on typical rows hangs on each feature: gradients of the prediction.

        Root mean square over random rows of the five values, float64[n_features].
        """
        generator = torch.Generator().manual_seed(self.seed)
        shape = (256, len(self.feature_names))
        rows = torch.randint(0, 5, shape, generator=generator).float().requires_grad_()
        self._fitted()(rows)[..., 0].mean(dim=1).sum().backward()
        assert rows.grad is not None
        return rows.grad.square().mean(dim=0).sqrt().double().numpy()

    @classmethod
    def has_gpu(cls) -> bool:
        """Whether torch sees a card."""
        return bool(torch.cuda.is_available())

    def _fitted(self) -> nn.Module:
        assert self._network is not None, "predict before fit"
        return self._network

    def __getstate__(self) -> dict[str, Any]:
        state = {k: v for k, v in self.__dict__.items() if k not in ("params", "_network")}
        tensors = {k: v.contiguous() for k, v in self._fitted().state_dict().items()}
        return state | {"params": self.params.model_dump(), "tensors": bytes_of(tensors)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        tensors = tensors_of(state.pop("tensors"))
        params = self.params_type(**state.pop("params"))
        self.__dict__.update(state, params=params, device="cpu")
        network = self.build(len(self.feature_names), len(self.targets))
        network.load_state_dict(tensors)
        self._network = network.eval()
