"""Remedies of a training run, in order; each one taken is a line of recovery.

skip the batch ─► back to the checkpoint, half the rate, another order ─► full precision ─► give up
half the rows at once ─► the backward pass computes again what it does not keep ─► give up

After the last memory remedy, the caller tries the CPU or a smaller preset; a diverged run is a
failed fit.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor

from numerai_kedro.compute import health, pressure
from numerai_kedro.compute.recovery import noted
from numerai_kedro.errors import NumeraiKedroError, ResourceError
from numerai_kedro.training.network_params import LEAST_ROWS
from numerai_kedro.training.torch import checkpoint, faults
from numerai_kedro.training.torch.batches import Batch
from numerai_kedro.training.torch.microbatch import CudaMemory, Memory, rows_that_fit

if TYPE_CHECKING:
    from numerai_kedro.training.torch.loop import TrainingRun

logger = logging.getLogger(__name__)

OUT_OF_MEMORY = "out of memory"
SKIPS_IN_A_ROW = 3  # after so many the run is rolled back
SCALER_SKIPS_IN_A_ROW = 12  # fp16 starts with too large a scale, and halves it
RESTORES_BEFORE_FULL_PRECISION, RESTORES = 1, 3
LEAST_VIDEO = 0.02  # of a card's memory
LOOK_S, LOOK_AGAIN_S = 5.0, 60.0  # between checks of memory, and after a check that led to a remedy


class Diverged(NumeraiKedroError):
    """Training did not lead to a usable model, after all remedies."""


@dataclass
class Position:
    """Position of a run at the end of an epoch; with a checkpoint's tensors, its whole state."""

    epoch: int = 0
    step: int = 0
    rate_factor: float = 1.0
    order: int = 0
    full_precision: bool = False
    restores: int = 0
    skips: float = 0
    best_epoch: int = 0
    micro_rows: int = 0
    keeps_less: bool = False
    usual: dict[str, Any] = field(default_factory=dict)
    highest_by_era: list[float] = field(default_factory=list)
    best_by_era: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    recoveries: list[dict[str, Any]] = field(default_factory=list)


def video_pressure(device: torch.device) -> str | None:
    """Evidence that a GPU's memory is nearly full, as when another program uses it; else None."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if free + cached > LEAST_VIDEO * total:
        return None
    return f"{(free + cached) / 2**30:.2f} GB of video memory left"


class Care:
    """Watches one run and applies remedies."""

    def __init__(self, run: TrainingRun) -> None:
        self._run = run
        self._losses = health.LossWatch()
        self.held_rows: int | None = None  # rows at once, if limited by the device's memory
        self._look_at = time.monotonic() + LOOK_S
        self._no_room = self._keeping_less = False

    def resume(self) -> None:
        """Restore the state that a checkpoint holds."""
        at = self._run.at
        self._losses = health.LossWatch(**at.usual)
        if at.keeps_less and not self._keeping_less:
            self._run.bare.checkpoint_activations()
            self._keeping_less = True

    def note(self, symptom: str, evidence: str, remedy: str) -> None:
        """Add a recovery line; `settled` adds its result."""
        run = self._run
        place = f"step {run.at.step} of {run.n_steps}"
        run.at.recoveries.append(noted(place, symptom, evidence, remedy).as_json())

    def settled(self, result: str) -> None:
        """Set the result of the newest lines that have none."""
        for line in reversed(self._run.at.recoveries):
            if line["result"]:
                return
            line["result"] = result

    # -- values that are not finite ---------------------------------------------------------------

    def skipped(self, evidence: str, scaler: Any | None) -> None:
        """Count a skipped batch; with a scaler, it may still be finding its scale."""
        at = self._run.at
        if scaler is None:
            at.skips += 1
            self.note("not finite", evidence, "batch skipped")
            return
        # fp16 finds its scale this way: a fault only if it does not end.
        at.skips += SKIPS_IN_A_ROW / SCALER_SKIPS_IN_A_ROW
        logger.info("step %d: %s, scale %g", at.step, evidence, scaler.get_scale())

    def symptom_of(self, loss: float | None) -> tuple[str, str] | None:
        """Why the run must be rolled back, and the evidence; None if it goes on."""
        if loss is None:
            skips = self._run.at.skips
            in_a_row = skips >= SKIPS_IN_A_ROW
            return ("not finite again and again", f"{skips:g} in a row") if in_a_row else None
        evidence = self._losses.exploded(loss)
        self._run.at.usual = dataclasses.asdict(self._losses)
        return None if evidence is None else ("loss exploded", evidence)

    def rollback(self, symptom: str, evidence: str) -> None:
        """Go back to the last checkpoint, with half the rate and another order; at last, give up.

        Raises
        ------
        Diverged
            After `RESTORES` rollbacks, or without a checkpoint.
        """
        run = self._run
        recoveries, restores = run.at.recoveries, run.at.restores + 1
        if recoveries and recoveries[-1]["symptom"] == symptom:
            recoveries[-1]["result"] = "it came back"
        rate, order = run.at.rate_factor / 2, run.at.order + 1
        rows, keeps_less = run.at.micro_rows, run.at.keeps_less
        has_checkpoint = run.work is not None and (run.work / "state.json").exists()
        if restores > RESTORES or not has_checkpoint:
            self.settled("it did not help")
            self.note(symptom, evidence, "given up")
            self._give_up(
                Diverged(
                    f"training came to nothing at step {run.at.step} ({symptom}: {evidence}), "
                    f"after {restores - 1} restores; choose a lower learning_rate, or leave the "
                    "model out."
                )
            )
        self.settled("it did not help")
        run.restore()
        run.optimiser.zero_grad()
        run.at.recoveries, run.at.restores = recoveries, restores
        run.at.rate_factor, run.at.order, run.at.skips = rate, order, 0
        run.at.micro_rows, run.at.keeps_less = rows, keeps_less
        run.at.full_precision |= restores > RESTORES_BEFORE_FULL_PRECISION
        self._losses, run.at.usual = health.LossWatch(), {}
        words = ", in full precision" if run.at.full_precision else ""
        self.note(symptom, evidence, f"back to epoch {run.at.epoch}, half the rate{words}")

    def look_at_epoch(self, loss: float) -> None:
        """Halve the rate if the loss has stopped falling."""
        watch = health.EpochWatch(self._run.at.losses)
        evidence = watch.plateau(loss) if math.isfinite(loss) else None
        self._run.at.losses = watch.losses
        if evidence is not None:
            self._run.at.rate_factor /= 2
            self.note("plateau", evidence, "half the rate")

    # -- memory and disk ---------------------------------------------------------------------

    def fit_to(self, memory: Memory) -> None:
        """Choose how many rows the device holds at once."""
        run = self._run
        batch = max(run.eras.epoch(0, run.seed), key=lambda candidate: len(candidate.rows))

        def step(rows: int) -> None:
            few = Batch(batch.era, batch.rows[:rows])
            try:
                run._backward(*run.eras.load(few, run.accelerator.device))
            finally:
                run.optimiser.zero_grad()

        drawn = checkpoint.random_state()
        most = min(run.params.batch_rows, len(batch.rows))
        trained = [p for p in run.bare.parameters() if p.requires_grad]
        # CountedMemory has the optimiser's two moments in its fixed part.
        moments = 2 * sum(p.numel() * p.element_size() for p in trained)
        later = moments if isinstance(memory, CudaMemory) else 0
        try:
            run.fitted_to = rows_that_fit(memory, step, most, later)
        except ResourceError as error:
            self._keep_less(str(error))
            run.fitted_to = rows_that_fit(memory, step, most, later)
        run.micro_rows = run.fitted_to.rows
        self.held_rows = run.micro_rows if run.micro_rows < most else None
        checkpoint.set_random_state(drawn)

    def halve(self, evidence: str, symptom: str = OUT_OF_MEMORY) -> None:
        """Halve the rows at once; if they are few already, recompute activations instead.

        Raises
        ------
        ResourceError
            No remedy is left.
        """
        run = self._run
        if run.micro_rows <= LEAST_ROWS:
            self._keep_less(evidence)
            return
        if run.accelerator.device.type == "cuda":
            torch.cuda.empty_cache()
        longest = max(len(batch.rows) for batch in run.eras.epoch(0, run.seed))
        run.micro_rows = max(LEAST_ROWS, min(run.micro_rows, longest) // 2)
        if symptom == OUT_OF_MEMORY:
            self.held_rows = run.micro_rows
        self.note(symptom, evidence, f"{run.micro_rows} rows at once")

    def _keep_less(self, evidence: str) -> None:
        run = self._run
        enable = getattr(run.bare, "checkpoint_activations", None)
        if enable is None or run.at.keeps_less:
            self.settled("it did not help")
            self._give_up(
                ResourceError(
                    f"not enough memory for {LEAST_ROWS} rows ({evidence}); choose a smaller "
                    "preset."
                )
            )
        enable()
        run.at.keeps_less = self._keeping_less = True
        self.note(OUT_OF_MEMORY, evidence, "the backward pass computes again what it needs")

    def _give_up(self, error: NumeraiKedroError) -> NoReturn:
        """Raise an error that carries the recovery lines."""
        error.lines = tuple(self._run.at.recoveries)
        raise error

    def less_to_predict(self, rows: int, evidence: str) -> None:
        """Note that fewer rows are predicted at once."""
        self.note("out of memory in evaluation", evidence, f"{rows} rows at once")

    def loaded(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Load a batch on the device; if its era does not fit, only its rows."""
        eras, device = self._run.eras, self._run.accelerator.device
        try:
            faults.in_loading()
            return eras.load(batch, device)
        except torch.OutOfMemoryError as error:
            evidence = str(error).splitlines()[0]
        eras.let_go()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        self.note("out of memory in loading", evidence, "rows are picked before they are moved")
        return eras.load(batch, device)

    def look_at_memory(self) -> None:
        """From time to time, halve the rows at once if memory is nearly full."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_S
        evidence = pressure.memory_pressure() or video_pressure(self._run.accelerator.device)
        if evidence is not None and self._run.micro_rows > LEAST_ROWS:
            self.halve(evidence, "little memory left")
            self._look_at = time.monotonic() + LOOK_AGAIN_S

    def has_room(self) -> bool:
        """Whether a checkpoint fits on the disk; noted the first time it does not."""
        run = self._run
        assert run.work is not None
        # Weights, average, best, two moments; the previous checkpoint stays until it is replaced.
        n_bytes = 5.0 * sum(v.numel() * v.element_size() for v in run.bare.state_dict().values())
        evidence = pressure.disk_pressure(run.work, n_bytes)
        if evidence is not None and not self._no_room:
            self._no_room = True
            self.note("little disk left", evidence, "no checkpoint")
        return evidence is None
