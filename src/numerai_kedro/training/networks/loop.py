"""The training loop: evaluate, step, save, log; what goes wrong is mended, and said.

A step sees one batch of rows of one era. Where the device holds fewer rows at a time, the batch is
seen in parts: once without gradients for all predictions, from which the loss and its gradient
follow, then once more with them, part by part (Gao et al. 2021, Scaling deep contrastive learning
batch size under memory limited setup). The result is the whole batch's, not that of its parts.
Several processes share a batch in the same way.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from pydantic import Field
from torch import Tensor, nn

from numerai_kedro.errors import NumeraiKedroError, ResourceError
from numerai_kedro.panel import EraPanel
from numerai_kedro.panel.ahead import ahead
from numerai_kedro.statistics.scoring import rank_scores
from numerai_kedro.strict import Block
from numerai_kedro.training.networks import checkpoint
from numerai_kedro.training.networks.batches import Batch, TrainingEras, eras_in_parts
from numerai_kedro.training.networks.losses import objective
from numerai_kedro.training.networks.microbatch import (
    LEAST_ROWS,
    CudaMemory,
    Memory,
    MicroBatch,
    rows_that_fit,
)
from numerai_kedro.training.protocol import FitProgress, no_progress

logger = logging.getLogger(__name__)

SKIPS_IN_A_ROW = 3  # after so many the run goes back
SCALER_SKIPS_IN_A_ROW = 12  # fp16 begins with a scale that is too large, and halves it
RESTORES_BEFORE_FULL_PRECISION, RESTORES = 1, 3
RESIDENT_SHARE = 0.4  # of the GPU's memory that features may take


class LoopParams(Block):
    """How a network is trained; what each does stands beside the presets."""

    epochs: int = Field(gt=0)
    batch_rows: int = Field(ge=LEAST_ROWS)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warm_up: float = Field(ge=0, lt=1)
    clip_norm: float = Field(gt=0)
    average_decay: float = Field(ge=0, lt=1)
    corr_weight: float = Field(ge=0)
    patience: int = Field(gt=0)


@dataclass(frozen=True)
class Recovery:
    """One line of what went wrong and what was done about it."""

    step: int
    symptom: str
    evidence: str
    remedy: str


class Diverged(NumeraiKedroError):
    """Training has come to no finite loss, whatever was tried."""


@dataclass
class Position:
    """Where a run stands at the end of an epoch; with a checkpoint's tensors, all of its state."""

    epoch: int = 0
    step: int = 0
    rate_factor: float = 1.0
    order: int = 0
    full_precision: bool = False
    restores: int = 0
    skips: float = 0
    best_epoch: int = 0
    best_corr: float = -math.inf
    scores: list[float] = field(default_factory=list)
    recoveries: list[dict[str, Any]] = field(default_factory=list)


class TrainingRun:
    """One network on its way from its first weights to its best.

    Parameters
    ----------
    build
        Makes the network from a seeded generator: the same weights every time.
    eras
        What it learns from.
    valid
        Eras by whose CORR the best epoch is chosen, `target` of them; without, the last one is.
    device
        ``"cpu"`` or ``"cuda"``.
    memory
        Of the device; asked for the size of the micro-batch. None holds any batch.
    work
        Folder of the checkpoint; without, nothing is kept, and nothing can be restored.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        eras: TrainingEras,
        params: LoopParams,
        seed: int,
        *,
        valid: EraPanel | None = None,
        target: str = "",
        device: str = "cpu",
        memory: Callable[[nn.Module], Memory] | None = None,
        work: Path | None = None,
    ) -> None:
        self.eras, self.params, self.seed, self.work = eras, params, seed, work
        self.valid, self.target = valid, target
        # One a process, which remembers the first device: a fit on another one begins afresh.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision=_precision(device))
        torch.manual_seed(seed)
        network = build()
        groups = _groups(network, params.weight_decay)
        optimiser = torch.optim.AdamW(groups, lr=params.learning_rate, fused=True)
        self.network, self.optimiser = self.accelerator.prepare(network, optimiser)
        self.bare = self.accelerator.unwrap_model(self.network)
        self.average = {name: v.detach().clone() for name, v in self.bare.state_dict().items()}
        self.best = {name: value.clone() for name, value in self.average.items()}
        self._followed = [
            [self.average[name] for name, _ in self.bare.named_parameters()],
            [value for _, value in self.bare.named_parameters()],
        ]
        self.at = Position()
        self.n_steps = params.epochs * len(eras.epoch(0, seed))
        self.micro_rows = params.batch_rows
        self.fitted_to: MicroBatch | None = None
        self._device_memory = memory(self.bare) if memory is not None else self._card()
        if self._device_memory is not None:
            self._fit_to(self._device_memory)
        self.wait_share = 0.0
        self._drawn = checkpoint.random_state()

    def train(self, progress: FitProgress = no_progress) -> None:
        """Go on to the end, from the checkpoint where there is one."""
        if self.work is not None and (self.work / "state.json").exists():
            self.restore()
            logger.info("goes on from epoch %d, step %d", self.at.epoch, self.at.step)
        else:
            checkpoint.set_random_state(self._drawn)
        while self.at.epoch < self.params.epochs and not self._patience_is_over():
            self._epoch(progress)

    def predict(
        self, panel: EraPanel, weights: dict[str, Tensor] | None = None
    ) -> npt.NDArray[np.float32]:
        """Predict every row, float32[n_rows], by the best weights or by some others."""
        own = {name: value.clone() for name, value in self.bare.state_dict().items()}
        self.bare.load_state_dict(self.best if weights is None else weights)
        self.bare.eval()
        try:
            with self._autocast():
                return predictions_of(self.bare, panel, self.micro_rows, self.accelerator.device)
        finally:
            self.bare.load_state_dict(own)
            self.bare.train()

    # -- one epoch ---------------------------------------------------------------------------

    def _epoch(self, progress: FitProgress) -> None:
        begin, rows, losses = time.monotonic(), 0, []
        batches = self.eras.epoch(self.at.epoch, self.seed + 1_000_003 * self.at.order)
        waited = 0.0
        with ahead(self._loaded(batches)) as loaded:
            while True:
                asked = time.monotonic()
                features, labels = next(loaded, (None, None))
                waited += time.monotonic() - asked
                if features is None or labels is None:
                    break
                loss = self._step(features, labels)
                if loss is None and self.at.skips >= SKIPS_IN_A_ROW:
                    return self._go_back()
                self.at.step += 1
                rows += len(labels)
                losses.append(loss)
                progress(self.at.step, self.n_steps)
        self.at.epoch += 1
        self._choose()
        known = [loss for loss in losses if loss is not None]
        spent = max(time.monotonic() - begin, 1e-9)
        self.wait_share = waited / spent
        logger.info(
            "epoch %d of %d: loss %.4f, CORR %s, rate %.1e, %d rows/s, %.0f %% waiting for data%s",
            self.at.epoch,
            self.params.epochs,
            np.mean(known) if known else math.nan,
            f"{self.at.scores[-1]:.4f}" if self.valid is not None else "-",
            self._rate(),
            rows / spent,
            100 * self.wait_share,
            _vram(self.accelerator.device),
        )
        self.save()
        return None

    def _loaded(self, batches: list[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in batches:
            yield self.eras.load(batch, self.accelerator.device)

    def _step(self, features: Tensor, labels: Tensor) -> float | None:
        """One step of the optimiser; None where the batch had to be skipped."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        if hasattr(self.bare, "done"):
            self.bare.done = self.at.step / self.n_steps
        drawn = checkpoint.random_state()
        while True:
            try:
                with self._watched():
                    loss = self._backward(features, labels)
                break
            except torch.OutOfMemoryError as error:
                evidence = str(error).splitlines()[0]
            # Outside of the handler: the traceback would keep the tensors of the failed step.
            self._halve(evidence)
            self.optimiser.zero_grad()
            checkpoint.set_random_state(drawn)
        norm = self.accelerator.clip_grad_norm_(self.network.parameters(), self.params.clip_norm)
        scaler = self.accelerator.scaler
        if math.isfinite(loss) and bool(torch.isfinite(norm)):
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.at.skips = 0
            self._follow()
            return loss
        if scaler is not None:
            self.optimiser.step()  # leaves the weights as they are, and makes its scale smaller
        self.optimiser.zero_grad()
        evidence = f"loss {loss:.3g}, norm of the gradient {float(norm):.3g}"
        if scaler is not None and math.isfinite(loss):
            # How fp16 finds its scale: a fault only where it never ends.
            self.at.skips += SKIPS_IN_A_ROW / SCALER_SKIPS_IN_A_ROW
            logger.info("step %d: %s, scale %g", self.at.step, evidence, scaler.get_scale())
            return None
        return self._skipped(evidence)

    def _backward(self, features: Tensor, labels: Tensor) -> float:
        """Gradients of the whole batch's loss; returns the loss."""
        mine = np.array_split(np.arange(len(labels)), self.accelerator.num_processes)
        own = mine[self.accelerator.process_index]
        parts = [own[k : k + self.micro_rows] for k in range(0, len(own), self.micro_rows)]
        if len(parts) == 1 and self.accelerator.num_processes == 1:
            predictions, penalty = self._forward(self.network, features)
            loss = objective(predictions, labels, self.params.corr_weight) + penalty.mean()
            self.accelerator.backward(loss)
            return float(loss.detach())
        drawn, pieces, penalties = [], [], 0.0
        with torch.no_grad():
            for part in parts:
                drawn.append(checkpoint.random_state())
                predictions, penalty = self._forward(self.bare, features[_slice(part)])
                pieces.append(predictions)
                penalties += float(penalty.sum())
        whole = self._gathered(torch.cat(pieces)).requires_grad_()
        loss = objective(whole, labels, self.params.corr_weight)
        (gradient,) = torch.autograd.grad(loss, whole)
        after = checkpoint.random_state()
        n_processes = self.accelerator.num_processes
        for part, state in zip(parts, drawn, strict=True):
            checkpoint.set_random_state(state)
            last = part is parts[-1]
            with nullcontext() if last else self.accelerator.no_sync(self.network):
                predictions, penalty = self._forward(self.network, features[_slice(part)])
                share = (predictions * gradient[_slice(part)]).sum() + penalty.sum() / len(labels)
                # Every process has its part of the gradient; DDP takes the mean over processes.
                self.accelerator.backward(n_processes * share)
        checkpoint.set_random_state(after)
        return float(loss.detach()) + penalties * n_processes / len(labels)

    def _forward(self, network: nn.Module, features: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions float[n, k, n_targets], and what a network adds to the loss, float[n]."""
        with self._autocast():
            made = network(features)
        predictions, penalty = made if isinstance(made, tuple) else (made, None)
        if penalty is None:
            penalty = torch.zeros(len(predictions), device=predictions.device)
        return predictions.float(), penalty.float()

    def _gathered(self, predictions: Tensor) -> Tensor:
        """Of all processes, in the order of the batch's rows."""
        if self.accelerator.num_processes == 1:
            return predictions
        pieces = gather_object([predictions.cpu()])
        return torch.cat(pieces).to(predictions.device)

    def _follow(self) -> None:
        """Let the running average follow the weights; early on, when it knows little, faster."""
        decay = min(self.params.average_decay, (1 + self.at.step) / (10 + self.at.step))
        with torch.no_grad():
            torch._foreach_lerp_(*self._followed, 1 - decay)

    def _choose(self) -> None:
        """Keep the average's weights where it is the best so far; without `valid`, always."""
        if self.valid is not None:
            columns = self.predict(self.valid, self.average)[:, None].astype(np.float64)
            target = self.valid.target(self.target).astype(np.float64)
            corr = float(
                np.nanmean(np.nan_to_num(rank_scores(self.valid.era_starts, columns, target)[0]))
            )
            self.at.scores.append(corr)
            if corr <= self.at.best_corr:
                return
            self.at.best_corr = corr
        self.at.best_epoch = self.at.epoch
        for name, value in self.average.items():
            self.best[name].copy_(value)

    def _patience_is_over(self) -> bool:
        waited = self.at.epoch - self.at.best_epoch
        return self.valid is not None and waited >= self.params.patience

    def _rate(self) -> float:
        """Warm-up, then half a cosine down to a hundredth."""
        done = self.at.step / max(self.n_steps, 1)
        warm = self.params.warm_up
        if done < warm:
            factor = done / warm + 1 / (warm * self.n_steps)
        else:
            factor = 0.01 + 0.99 * (1 + math.cos(math.pi * (done - warm) / (1 - warm))) / 2
        return self.params.learning_rate * self.at.rate_factor * min(factor, 1.0)

    # -- what goes wrong ---------------------------------------------------------------------

    def _skipped(self, evidence: str) -> None:
        self.at.skips += 1
        self._note("not finite", evidence, "batch skipped")

    def _go_back(self) -> None:
        """To the last checkpoint, at half the rate and in another order; in the end, give up."""
        recoveries, restores = self.at.recoveries, self.at.restores + 1
        rate, order = self.at.rate_factor / 2, self.at.order + 1
        if restores > RESTORES or self.work is None:
            raise Diverged(
                f"training did not come to finite numbers at step {self.at.step}, after "
                f"{restores - 1} restores; choose a lower learning_rate, or leave the model out."
            )
        if (self.work / "state.json").exists():
            self.restore()
        else:
            raise Diverged("training did not come to finite numbers in its first epoch.")
        self.at.recoveries, self.at.restores = recoveries, restores
        self.at.rate_factor, self.at.order, self.at.skips = rate, order, 0
        self.at.full_precision |= restores > RESTORES_BEFORE_FULL_PRECISION
        words = ", in full precision" if self.at.full_precision else ""
        self._note(
            "not finite again and again", f"{restores} restores", f"restored, half the rate{words}"
        )

    def _halve(self, evidence: str) -> None:
        if self.micro_rows <= LEAST_ROWS:
            raise ResourceError(
                f"not enough memory for {LEAST_ROWS} rows ({evidence}); choose a smaller preset."
            )
        if self.accelerator.device.type == "cuda":
            torch.cuda.empty_cache()
        self.micro_rows = max(LEAST_ROWS, self.micro_rows // 2)
        self._note("out of memory", evidence, f"micro-batch of {self.micro_rows} rows")

    def _note(self, symptom: str, evidence: str, remedy: str) -> None:
        one = Recovery(self.at.step, symptom, evidence, remedy)
        logger.warning("step %d: %s (%s): %s", one.step, symptom, evidence, remedy)
        self.at.recoveries.append(dataclasses.asdict(one))

    # -- the machine -------------------------------------------------------------------------

    def _autocast(self) -> Any:
        return nullcontext() if self.at.full_precision else self.accelerator.autocast()

    def _card(self) -> Memory | None:
        """A GPU's memory, with the features on it where it can hold them; None on the CPU."""
        device = self.accelerator.device
        if device.type != "cuda":
            return None
        card = CudaMemory(device)
        kept = self.eras.keep_on(device, RESIDENT_SHARE * card.budget)
        return CudaMemory(device) if kept else card

    def _watched(self) -> Any:
        """A simulated device counts in every step; a real one does by itself."""
        counted = self._device_memory is not None and not isinstance(
            self._device_memory, CudaMemory
        )
        return self._device_memory.watch() if counted else nullcontext()

    def _fit_to(self, memory: Memory) -> None:
        batch = max(self.eras.epoch(0, self.seed), key=lambda one: len(one.rows))

        def step(rows: int) -> None:
            few = Batch(batch.era, batch.rows[:rows])
            try:
                self._backward(*self.eras.load(few, self.accelerator.device))
            finally:
                self.optimiser.zero_grad()

        drawn = checkpoint.random_state()
        most = min(self.params.batch_rows, len(batch.rows))
        trained = [p for p in self.bare.parameters() if p.requires_grad]
        # CountedMemory has the optimiser's two moments in its fixed part.
        moments = 2 * sum(p.numel() * p.element_size() for p in trained)
        later = moments if isinstance(memory, CudaMemory) else 0
        self.fitted_to = rows_that_fit(memory, step, most, later)
        self.micro_rows = self.fitted_to.rows
        checkpoint.set_random_state(drawn)

    def save(self) -> None:
        """Write all state down."""
        if self.work is None or not self.accelerator.is_main_process:
            return
        tensors = {f"average.{k}": v for k, v in self.average.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        scaler = self.accelerator.scaler
        state = dataclasses.asdict(self.at) | {"scaler": scaler and scaler.state_dict()}
        checkpoint.save(self.work, self.bare, tensors, self.optimiser.optimizer, state)

    def restore(self) -> None:
        """Bring all state back."""
        assert self.work is not None
        tensors = {f"average.{k}": v for k, v in self.average.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        state = checkpoint.load(self.work, self.bare, tensors, self.optimiser.optimizer)
        scaler = state.pop("scaler")
        if scaler and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(scaler)
        self.at = Position(**state)


def predictions_of(
    network: nn.Module, panel: EraPanel, max_rows: int, device: torch.device
) -> npt.NDArray[np.float32]:
    """Predict every row of the first target, so many rows at a time: float32[n_rows]."""
    made = np.empty(panel.n_rows, np.float32)
    with torch.no_grad():
        for rows, features in eras_in_parts(panel, max_rows):
            made[rows] = first_target(network(features.to(device)))
    return made


def first_target(predictions: Tensor) -> npt.NDArray[np.float32]:
    """The first target's predictions, float32[n]: the mean over a network's members."""
    return predictions[..., 0].float().mean(dim=1).cpu().numpy()


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices only: it would pull biases and norms to nothing."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def _precision(device: str) -> str:
    """bf16 where the card computes in it, fp16 with a scaler where not, fp32 on the CPU."""
    if device == "cpu":
        return "no"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _slice(part: npt.NDArray[np.int64]) -> slice:
    return slice(int(part[0]), int(part[-1]) + 1)


def _vram(device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    return f", {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB of VRAM at most"
