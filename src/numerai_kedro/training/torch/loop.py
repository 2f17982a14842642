"""The training loop: evaluate, step, save, log; faults are repaired and reported.

A step uses one batch of rows of one era. Where the device holds fewer rows at a time, the batch is
processed in parts: once without gradients for all predictions, which give the loss and its
gradient, then again with gradients, part by part (Gao et al. 2021, Scaling deep contrastive
learning batch size under memory limited setup). The gradient is that of the whole batch. Several
processes share a batch in the same way.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import Tensor, nn

from numerai_kedro.compute import fault_injection as drill
from numerai_kedro.compute import health
from numerai_kedro.compute.memory import unshared_gb
from numerai_kedro.data import EraPanel
from numerai_kedro.data.prefetch import ahead
from numerai_kedro.errors import DiskFull, ResourceError, StoreError
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.training.network_params import LEAST_ROWS, LoopParams
from numerai_kedro.training.protocol import FitProgress, no_progress
from numerai_kedro.training.torch import checkpoint, faults
from numerai_kedro.training.torch.batches import Batch, TrainingEras, eras_in_parts
from numerai_kedro.training.torch.care import Care, Position
from numerai_kedro.training.torch.losses import objective
from numerai_kedro.training.torch.microbatch import (
    CountedMemory,
    CudaMemory,
    Memory,
    MicroBatch,
)

logger = logging.getLogger(__name__)

RESIDENT_SHARE = 0.4  # share of the GPU's memory for features
ERAS_OF_THE_GAP = 5  # training eras that are predicted to measure overfitting


class TrainingRun:
    """The training of one network.

    Parameters
    ----------
    build
        Builds the network; the generator is seeded before, so its weights are reproducible.
    eras
        Training eras.
    valid
        The best epoch is chosen by CORR with `target` on these eras; without them, it is the last.
    device
        ``"cpu"`` or ``"cuda"``.
    memory
        Makes the device's `Memory`, which sizes the micro-batch; None for a GPU's own, or the CPU.
    work
        Folder of the checkpoint; without it, nothing is saved and nothing can be restored.
    micro_rows
        Rows that the device is known to hold at once; without it, they are probed.
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
        micro_rows: int | None = None,
    ) -> None:
        self.eras, self.params, self.seed, self.work = eras, params, seed, work
        self.valid, self.target = valid, target
        # One per process, and it keeps its first device: reset it for a fit on another one.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision=_precision(device))
        torch.manual_seed(seed)
        network = build()
        groups = _groups(network, params.weight_decay)
        optimiser = torch.optim.AdamW(groups, lr=params.learning_rate, fused=True)
        self.network, self.optimiser = self.accelerator.prepare(network, optimiser)
        # Without Accelerate's wrapper, which would always compute in half precision.
        self.bare = self.accelerator.unwrap_model(self.network, keep_fp32_wrapper=False)
        self.average = {name: v.detach().clone() for name, v in self.bare.state_dict().items()}
        self.best = {name: value.clone() for name, value in self.average.items()}
        self._averages = [self.average[name] for name, _ in self.bare.named_parameters()]
        self._followed = [value for _, value in self.bare.named_parameters()]
        self.at = Position(micro_rows=micro_rows or params.batch_rows)
        self.care = Care(self)
        self._fault: str | None = None
        self.n_steps = params.epochs * len(eras.epoch(0, seed))
        self.fitted_to: MicroBatch | None = None
        self.device_memory = memory(self.bare) if memory is not None else self._card()
        if self.device_memory is not None and not micro_rows:
            self.care.fit_to(self.device_memory)
        self.wait_share = 0.0
        self._drawn = checkpoint.random_state()

    def train(self, progress: FitProgress = no_progress) -> None:
        """Train to the end, from the checkpoint if there is one."""
        if self.work is None or not self._resumed(self.work):
            checkpoint.set_random_state(self._drawn)
            self.save()
        while self.at.epoch < self.params.epochs and not self._patience_is_over():
            self._epoch(progress)
        self._look_at_the_gap()
        self.care.settled("went on to the end")

    def _resumed(self, work: Path) -> bool:
        """Resume from a checkpoint; False if there is none or it is damaged."""
        if not (work / "state.json").exists():
            return False
        try:
            self.restore()
        except StoreError as error:
            logger.warning("%s The fit restarts from the beginning.", error)
            shutil.rmtree(work)
            return False
        logger.info("resuming from epoch %d, step %d", self.at.epoch, self.at.step)
        return True

    @property
    def micro_rows(self) -> int:
        """Rows that are processed at once."""
        return self.at.micro_rows

    @micro_rows.setter
    def micro_rows(self, rows: int) -> None:
        self.at.micro_rows = rows

    def predict(
        self, panel: EraPanel, weights: dict[str, Tensor] | None = None
    ) -> npt.NDArray[np.float32]:
        """Predict every row, float32[n_rows], with the best weights or the given ones."""
        own = {name: value.clone() for name, value in self.bare.state_dict().items()}
        self.bare.load_state_dict(self.best if weights is None else weights)
        self.bare.eval()
        try:
            with self._autocast():
                device = self.accelerator.device
                return predictions_of(
                    self.bare, panel, self.micro_rows, device, self.care.less_to_predict
                )
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
                requested_at = time.monotonic()
                features, labels = next(loaded, (None, None))
                waited += time.monotonic() - requested_at
                if features is None or labels is None:
                    break
                loss = self._step(features, labels)
                symptom = self.care.symptom_of(loss)
                if symptom is not None:
                    return self.care.rollback(*symptom)
                self.at.step += 1
                rows += len(labels)
                losses.append(loss)
                progress(self.at.step, self.n_steps)
        self.at.epoch += 1
        evidence = self._choose()
        if evidence is not None:
            return self.care.rollback("dead predictions", evidence)
        finite = [loss for loss in losses if loss is not None]
        self.care.look_at_epoch(float(np.mean(finite)) if finite else math.nan)
        spent = max(time.monotonic() - begin, 1e-9)
        self.wait_share = waited / spent
        logger.info(
            "epoch %d of %d: loss %.4f, CORR %s, rate %.1e, %d rows/s, %.0f %% waiting for data, "
            "%.1f GB of memory%s",
            self.at.epoch,
            self.params.epochs,
            np.mean(finite) if finite else math.nan,
            f"{self.at.scores[-1]:.4f}" if self.valid is not None else "-",
            self._rate(),
            rows / spent,
            100 * self.wait_share,
            unshared_gb(os.getpid()),
            _vram(self.accelerator.device),
        )
        self.save()
        return None

    def _loaded(self, batches: list[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in batches:
            yield self.care.loaded(batch)

    def _step(self, features: Tensor, labels: Tensor) -> float | None:
        """One step of the optimiser; None where the batch had to be skipped."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        if hasattr(self.bare, "done"):
            self.bare.done = self.at.step / self.n_steps
        self.care.look_at_memory()
        self._fault = drill.due("step", self.at.step, self.n_steps)
        drawn = checkpoint.random_state()
        while True:
            try:
                with self._watched():
                    loss = self._backward(features, labels)
                break
            except torch.OutOfMemoryError as error:
                evidence = str(error).splitlines()[0]
            # Outside the handler, whose traceback would keep the tensors of the failed step.
            self.care.halve(evidence)
            self.optimiser.zero_grad()
            checkpoint.set_random_state(drawn)
        norm = self.accelerator.clip_grad_norm_(self.network.parameters(), self.params.clip_norm)
        scaler = self.accelerator.scaler
        if math.isfinite(loss) and bool(torch.isfinite(norm)):
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.at.skips = 0
            self.care.settled("training went on")
            self._update_ema()
            return loss
        if scaler is not None:
            self.optimiser.step()  # leaves the weights unchanged, and reduces its scale
        self.optimiser.zero_grad()
        evidence = f"loss {loss:.3g}, norm of the gradient {float(norm):.3g}"
        self.care.skipped(evidence, scaler if math.isfinite(loss) else None)
        return None

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
        """Predictions float[n, k, n_targets], and the network's penalty on the loss, float[n]."""
        with self._autocast():
            output = network(features)
        predictions, penalty = output if isinstance(output, tuple) else (output, None)
        if self._fault is not None:
            fault, self._fault = self._fault, None
            predictions = predictions * faults.happen(fault)
        if penalty is None:
            penalty = torch.zeros(len(predictions), device=predictions.device)
        return predictions.float(), penalty.float()

    def _gathered(self, predictions: Tensor) -> Tensor:
        """Predictions of all processes, in the order of the batch's rows."""
        if self.accelerator.num_processes == 1:
            return predictions
        pieces = gather_object([predictions.cpu()])
        return torch.cat(pieces).to(predictions.device)

    def _update_ema(self) -> None:
        """Update the running average of the weights; faster early on."""
        decay = min(self.params.average_decay, (1 + self.at.step) / (10 + self.at.step))
        with torch.no_grad():
            torch._foreach_lerp_(self._averages, self._followed, 1 - decay)

    def _choose(self) -> str | None:
        """Keep the averaged weights as the best, unless they are significantly worse (`_is_worse`).

        Returns evidence of dead predictions, if any.
        """
        if self.valid is not None:
            predictions = self.predict(self.valid, self.average)
            evidence = health.dead(predictions, self.valid.era_starts)
            if evidence is not None:
                return evidence
            by_era = self._corr(self.valid, predictions)
            self.at.scores.append(float(np.mean(by_era)))
            worse = self._is_worse(by_era)
            if not self.at.highest_by_era or by_era.mean() > np.mean(self.at.highest_by_era):
                self.at.highest_by_era = by_era.tolist()
            if worse:
                return None
            self.at.best_by_era = by_era.tolist()
        self.at.best_epoch = self.at.epoch
        for name, value in self.average.items():
            self.best[name].copy_(value)
        return None

    def _is_worse(self, by_era: npt.NDArray[np.float64]) -> bool:
        """Whether CORR is more than a standard error below the highest, paired by era.

        Validation eras are few and CORR is mostly noise: the highest of some epochs would be the
        luckiest, and often an early one.
        """
        if not self.at.highest_by_era:
            return False
        lost = np.asarray(self.at.highest_by_era) - by_era
        error = lost.std(ddof=1) / math.sqrt(len(lost)) if len(lost) > 1 else 0.0
        return bool(lost.mean() > error)

    def _corr(
        self, panel: EraPanel, predictions: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float64]:
        """CORR era by era, float64[n_eras]; 0 where it is not defined."""
        target = panel.target(self.target).astype(np.float64)
        columns = predictions[:, None].astype(np.float64)
        scores = rank_scores(panel.era_starts, columns, target)[0][:, 0]
        return np.nan_to_num(scores)

    def _look_at_the_gap(self) -> None:
        """Compare validation CORR with CORR on some training eras, both of the best epoch."""
        if self.valid is None:
            return
        learned = self.eras.some(ERAS_OF_THE_GAP)
        corr = float(np.mean(self._corr(learned, self.predict(learned))))
        evidence = health.gap(corr, float(np.mean(self.at.best_by_era)))
        if evidence is not None:
            remedy = f"epoch {self.at.best_epoch} of {self.at.epoch} kept"
            self.care.note("overfitted", evidence, remedy)

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

    # -- the machine -------------------------------------------------------------------------

    def _autocast(self) -> Any:
        return nullcontext() if self.at.full_precision else self.accelerator.autocast()

    def _card(self) -> Memory | None:
        """A GPU's memory, after moving the features to it if they fit; None on the CPU."""
        device = self.accelerator.device
        if device.type != "cuda":
            return None
        card = CudaMemory(device)
        resident = self.eras.keep_on(device, RESIDENT_SHARE * card.budget)
        return CudaMemory(device) if resident else card

    def _watched(self) -> Any:
        """Count memory in every step on a simulated device; a real one counts by itself."""
        memory = self.device_memory
        return memory.watch() if isinstance(memory, CountedMemory) else nullcontext()

    def save(self) -> None:
        """Save a checkpoint."""
        if self.work is None or not self.accelerator.is_main_process:
            return
        if not self.care.has_room():
            return
        tensors = {f"average.{k}": v for k, v in self.average.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        scaler = self.accelerator.scaler
        state = dataclasses.asdict(self.at) | {"scaler": scaler and scaler.state_dict()}
        try:
            checkpoint.save(self.work, self.bare, tensors, self.optimiser.optimizer, state)
        except (OSError, DiskFull) as error:  # disk full meanwhile; the previous one stays
            self.care.note("no checkpoint could be written", str(error), "none, it goes on")

    def restore(self) -> None:
        """Restore the checkpoint."""
        assert self.work is not None
        tensors = {f"average.{k}": v for k, v in self.average.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        state = checkpoint.load(self.work, self.bare, tensors, self.optimiser.optimizer)
        scaler = state.pop("scaler")
        if scaler and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(scaler)
        self.at = Position(**state)
        self.care.resume()


def predictions_of(
    network: nn.Module,
    panel: EraPanel,
    max_rows: int,
    device: torch.device,
    less: Callable[[int, str], None] = lambda rows, evidence: None,
) -> npt.NDArray[np.float32]:
    """Predict the first target for every row, at most `max_rows` at a time: float32[n_rows].

    Parameters
    ----------
    less
        Called with the new number of rows and the reason if memory allows only fewer.

    Raises
    ------
    ResourceError
        The device does not hold `LEAST_ROWS` rows.
    """
    predictions = np.empty(panel.n_rows, np.float32)
    with torch.no_grad():
        for rows, features in eras_in_parts(panel, max_rows):
            begin, again = 0, False
            while begin < len(features):
                part = slice(begin, begin + max_rows)
                try:
                    factor = faults.in_evaluation()
                    predicted = first_target(network(features[part].to(device))) * factor
                except torch.OutOfMemoryError as error:
                    evidence = str(error).splitlines()[0]
                else:
                    if not again and not np.isfinite(predicted).all():
                        again = True  # a GPU may err once; the caller refuses what stays not finite
                        continue
                    predictions[rows][part], again = predicted, False
                    begin += max_rows
                    continue
                if max_rows <= LEAST_ROWS:
                    raise ResourceError(
                        f"not enough memory to predict {LEAST_ROWS} rows ({evidence}); choose a "
                        "smaller preset."
                    )
                max_rows = max(LEAST_ROWS, max_rows // 2)
                less(max_rows, evidence)
    return predictions


def first_target(predictions: Tensor) -> npt.NDArray[np.float32]:
    """The first target's predictions, float32[n]: the mean over a network's members."""
    return predictions[..., 0].float().mean(dim=1).cpu().numpy()


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices only, not on biases and norms."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def _precision(device: str) -> str:
    """bf16 where the GPU supports it, else fp16 with a scaler; fp32 on the CPU."""
    if device == "cpu":
        return "no"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _slice(part: npt.NDArray[np.int64]) -> slice:
    return slice(int(part[0]), int(part[-1]) + 1)


def _vram(device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    return f", {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB of VRAM at most"
