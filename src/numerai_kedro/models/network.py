"""What all torch networks share: input, training, saving, predicting, and cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from numerai_kedro.compute.machine import GIB, gpu_memory_gb, simulated_gpu_gb
from numerai_kedro.data.era_panel import N_VALUES
from numerai_kedro.data.joined import N_LEVELS, n_derived
from numerai_kedro.errors import NumeraiKedroError
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
    import torch
    from torch import nn

    from numerai_kedro.data import EraPanel
    from numerai_kedro.training.network_params import LoopParams

TORCH_GB = 0.45  # memory of importing torch, measured
STEP_NS = 6e6  # fixed time of a step
NS_A_PRODUCT = 0.12  # multiplying and adding, forward and backward, on the two cores of `probe`
NS_A_FLOAT = 2.5  # writing and reading a float kept for the backward pass


@dataclass(frozen=True)
class Size:
    """Size of a network, in counts.

    Parameters
    ----------
    weights
        Trained parameters.
    products
        Multiplications of the forward pass of one row.
    held
        Floats kept for the backward pass of one row.
    """

    weights: int
    products: int
    held: int


class NetworkModel:
    """A network as a model; see `training.protocol.Model` for the contract.

    A family defines `build` and `size`, and inherits the rest. Torch is imported where it is used:
    plans and tests of parameters need no torch.
    """

    params_type: ClassVar[type[Block]]
    stops_early: ClassVar[bool] = True
    reads_groups: ClassVar[bool] = False
    reads_graph: ClassVar[bool] = False
    one_core: ClassVar[bool] = False
    weights: tuple[float, ...] = ()  # weight of each feature; empty if all are equal
    gpu_speed: ClassVar[float] = 30.0  # of a card such as an RTX 3060, by its matmul roof

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

    @classmethod
    def size(cls, params: Any, n_features: int, n_targets: int) -> Size:
        """Count the size of the network."""
        raise NotImplementedError

    def _built(self, n_features: int, n_targets: int) -> nn.Module:
        """A new network, set up for derived columns and feature weights."""
        from numerai_kedro.models.modules.centred import Centred

        network = self.build(n_features, n_targets)
        derived = n_derived(self.feature_names)
        for module in network.modules():
            if isinstance(module, Centred) and (derived or self.weights):
                module.read_as(n_features, derived, self.weights)
        return network

    def prepare(self, train: EraPanel, context: FitContext) -> None:
        """Read the training eras before the network is built; most families need nothing."""

    def shape(self) -> dict[str, int]:
        """What decides how many rows fit, besides `size`."""
        return {}

    def fit(
        self,
        train: EraPanel,
        stop: EarlyStoppingSplit | None,
        target: str,
        progress: FitProgress = no_progress,
        context: FitContext = NO_CONTEXT,
    ) -> Self:
        """Train on the panel's eras; with `stop`, held-out eras choose the epoch.

        Those are learned afterwards, at `closing_rate` of the rate, for as many epochs: the newest
        eras are worth most, and would be lost otherwise.
        """
        self.feature_names = list(train.feature_names)
        self.targets = [target, *(head for head in self.params.more_heads if head != target)]
        self.weights = context.weights
        self.prepare(train, context)
        n_features, n_targets = len(self.feature_names), len(self.targets)
        split = stop and stop.split(train)
        learned, valid, rest = split or (train, None, None)
        fresh = lambda: self._built(n_features, n_targets)  # noqa: E731 - handed on
        if rest is None:
            self._train(fresh, learned, valid, self.params, progress, context)
            return self
        share = len(learned.eras) / len(train.eras)
        first = lambda done, total: progress(share * done, total)  # noqa: E731 - handed on
        last = lambda done, total: progress(share * total + (1 - share) * done, total)  # noqa: E731
        self._train(fresh, learned, valid, self.params, first, context)
        self._learn_rest(rest, last, context)
        return self

    def _learn_rest(self, rest: EraPanel, progress: FitProgress, context: FitContext) -> None:
        """Learn the held-out eras, starting from the weights that they chose."""
        weights, epochs, repaired = self._tensors(), self.n_iterations, self.recoveries
        rate = self.params.closing_rate * self.params.learning_rate
        params = self.params.model_copy(update={"epochs": epochs, "learning_rate": rate})
        work = context.work and context.work / "rest"
        build = lambda: self._restored(weights).train()  # noqa: E731 - handed on
        try:
            self._train(build, rest, None, params, progress, replace(context, work=work))
        except NumeraiKedroError as error:
            error.lines = (*repaired, *error.lines)
            raise
        self.n_iterations, self.recoveries = epochs, [*repaired, *self.recoveries]

    def _train(
        self,
        build: Callable[[], nn.Module],
        train: EraPanel,
        valid: EraPanel | None,
        params: LoopParams,
        progress: FitProgress,
        context: FitContext,
    ) -> None:
        """Run the loop, and keep the best weights and the recovery lines."""
        import torch

        from numerai_kedro.training.torch.batches import TrainingEras
        from numerai_kedro.training.torch.loop import TrainingRun
        from numerai_kedro.training.torch.microbatch import CountedMemory

        torch.set_num_threads(self.threads)
        device, memory = self.device, None
        if device == "cuda" and not torch.cuda.is_available():
            budget = simulated_gpu_gb() * GIB
            if not budget:
                raise RuntimeError("no CUDA device was found")
            device, memory = "cpu", lambda network: CountedMemory(network, budget)
        size = self.size(self.params, len(self.feature_names), len(self.targets))
        holds = {"rows at once": asdict(size), "memory_gb": round(gpu_memory_gb(), 1)}
        holds |= self.shape()
        notes = context.notes if self.device == "cuda" else None
        run = TrainingRun(
            build,
            TrainingEras(train, self.targets, params.batch_rows),
            params,
            self.seed,
            valid=valid,
            target=self.targets[0],
            device=device,
            memory=memory,
            work=context.work,
            micro_rows=notes.recall(holds) if notes else None,
        )
        run.train(progress)
        if notes and run.care.held_rows:
            notes.remember(holds, run.care.held_rows)
        run.bare.load_state_dict(run.best)
        self._network = run.bare.to("cpu").eval()
        self.n_iterations = run.at.best_epoch
        self.recoveries = run.at.recoveries

    def predict(self, panel: EraPanel) -> npt.NDArray[np.float32]:
        """Predict every row of the first target, on a GPU where there is one."""
        from numerai_kedro.training.torch.loop import predictions_of

        device = self._device()
        network = self._fitted().to(device)
        chosen = panel.select(features=self.feature_names)
        try:
            return predictions_of(network, chosen, self.params.batch_rows, device)
        finally:
            network.to("cpu")

    def predict_rows(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """Predict rows whose columns are the training panel's."""
        import torch

        from numerai_kedro.training.torch.loop import first_target

        device = self._device()
        network = self._fitted().to(device)
        with torch.no_grad():
            return first_target(network(torch.from_numpy(np.ascontiguousarray(rows)).to(device)))

    def gain_importance(self) -> npt.NDArray[np.float64]:
        """Sensitivity of predictions to each feature, by gradients.

        Root mean square over random rows, times each feature's standard deviation:
        float64[n_features].
        """
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        shape = (256, len(self.feature_names))
        values = torch.randint(0, N_VALUES, shape, generator=generator)
        derived = n_derived(self.feature_names)
        deviations = np.full(shape[1], spread_of(N_VALUES))
        if derived:
            levels = torch.randint(0, N_LEVELS, (shape[0], derived), generator=generator)
            values[:, -derived:] = levels
            deviations[-derived:] = spread_of(N_LEVELS)
        rows = values.float().requires_grad_()
        self._fitted().to("cpu")(rows)[..., 0].mean(dim=1).sum().backward()
        assert rows.grad is not None
        return np.asarray(rows.grad.square().mean(dim=0).sqrt().double().numpy() * deviations)

    @classmethod
    def cost(cls, params: Any, n_rows: int, n_features: int) -> Cost:
        """Memory of weights, gradients, moments and averages, of a batch, and of labels.

        Time by multiplications and by floats moved, both measured on two cores
        (bench_training_step.py).
        """
        n_targets = 1 + len(params.more_heads)
        size = cls.size(params, n_features, n_targets)
        # Weights, gradients, two moments, the running average, the best, and a checkpoint's copy.
        on_device = 28 * size.weights + 4 * params.batch_rows * (size.held + 3 * n_features)
        memory = on_device + TORCH_GB * GIB + 4 * n_rows * (1 + n_targets)
        a_row = NS_A_PRODUCT * size.products + NS_A_FLOAT * size.held
        n_steps = n_rows / params.batch_rows
        work = params.epochs * (n_rows * a_row + n_steps * (STEP_NS + size.weights))
        disk = 4 * size.weights / GIB
        return Cost(memory / GIB, float(work), disk, device_gb=on_device / GIB)

    @classmethod
    def has_gpu(cls) -> bool:
        """Whether there is a GPU that torch can use; a simulated one counts."""
        if simulated_gpu_gb():
            return True
        if not gpu_memory_gb():  # asks the driver, which is quicker than asking torch
            return False
        import torch

        return bool(torch.cuda.is_available())

    def _device(self) -> torch.device:
        """The device of the fit; a model read from disk predicts on a GPU if there is one.

        Uses as many threads as the fit, as their number decides how sums are split.
        """
        import torch

        torch.set_num_threads(self.threads)
        usable = self.device != "cpu" and torch.cuda.is_available()
        return torch.device("cuda" if usable else "cpu")

    def _fitted(self) -> nn.Module:
        assert self._network is not None, "predict before fit"
        return self._network

    def _tensors(self) -> dict[str, bytes]:
        """The weights as safetensors, by name of the part."""
        return {"network": bytes_of(self._fitted().state_dict())}

    def _restored(self, parts: dict[str, bytes]) -> nn.Module:
        """The network of `_tensors`."""
        network = self._built(len(self.feature_names), len(self.targets))
        network.load_state_dict(tensors_of(parts["network"]))
        return network

    def __getstate__(self) -> dict[str, Any]:
        # Recovery lines are stored separately: they are not part of the model.
        apart = ("params", "device", "recoveries", "_network")
        state = {k: v for k, v in self.__dict__.items() if k not in apart}
        return state | {"params": self.params.model_dump(), "tensors": self._tensors()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        parts = state.pop("tensors")
        params = self.params_type(**state.pop("params"))
        self.__dict__.update(state, params=params, device="auto", recoveries=[])
        self._network = self._restored(parts).eval()


def spread_of(n_values: int) -> float:
    """Standard deviation of 0 to `n_values` - 1, all equally frequent."""
    return float(((n_values**2 - 1) / 12) ** 0.5)


def bytes_of(tensors: dict[str, torch.Tensor]) -> bytes:
    """Tensors as safetensors, which hold no code."""
    from safetensors.torch import save

    content: bytes = save({name: value.contiguous() for name, value in tensors.items()})
    return content


def tensors_of(content: bytes) -> dict[str, torch.Tensor]:
    """The inverse of `bytes_of`."""
    from safetensors.torch import load

    tensors: dict[str, torch.Tensor] = load(content)
    return tensors
