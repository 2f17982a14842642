"""How training is doing, by numbers that it has anyway: explosion, plateau, dead predictions, gap.

Thresholds are far outside of what healthy runs show: a remedy that is not needed costs an epoch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

HALF_LIFE = 30.0  # steps, of the loss that counts as usual
WARM_STEPS = 20  # before it, nothing is usual yet
DEVIATIONS, IN_A_ROW = 8.0, 3
PLATEAU_EPOCHS = 3
DEAD_SPREAD = 1e-6  # of predictions inside an era, relative to their size
DEAD_SHARE = 0.5  # of eras
LARGEST_GAP = 10.0  # training CORR over validation CORR: small data is overfitted, and useful
SURE_CORR = 0.05
BENCHMARK_CORR = 0.995


@dataclass
class LossWatch:
    """Sees losses one by one, and says when they have left where they usually are."""

    mean: float = 0.0
    variance: float = 0.0
    seen: int = 0
    far: int = 0

    def exploded(self, loss: float) -> str | None:
        """Evidence of an explosion; None while the loss is where it usually is."""
        above = loss - self.mean
        usual = math.sqrt(self.variance) + 1e-3 * abs(self.mean)
        if self.seen >= WARM_STEPS and above > DEVIATIONS * usual:
            self.far += 1
            if self.far < IN_A_ROW:
                return None
            return f"loss {loss:.3g}, usually {self.mean:.3g} ± {math.sqrt(self.variance):.2g}"
        self.far = 0
        # Early on, a plain mean; later the newest count most.
        rate = max(1 / (self.seen + 1), 1 - 0.5 ** (1 / HALF_LIFE))
        self.variance = (1 - rate) * (self.variance + rate * above * above)
        self.mean += rate * above
        self.seen += 1
        return None


@dataclass
class EpochWatch:
    """Sees the mean loss of each epoch, and says when it does not fall any more."""

    losses: list[float] = field(default_factory=list)

    def plateau(self, loss: float) -> str | None:
        """Evidence of a plateau; told once, then a new one may begin."""
        self.losses.append(loss)
        before, newest = self.losses[:-PLATEAU_EPOCHS], self.losses[-PLATEAU_EPOCHS:]
        if not before or min(newest) < min(before):
            return None
        self.losses = []
        return "loss of the newest epochs " + ", ".join(f"{one:.4f}" for one in newest)


def dead(predictions: npt.NDArray[np.floating], era_starts: npt.NDArray[np.integer]) -> str | None:
    """Evidence that a model says the same of every stock of an era, in most eras."""
    eras = [predictions[i:j] for i, j in itertools.pairwise(era_starts) if j - i > 1]
    if not eras:
        return None
    n_dead = sum(bool(np.ptp(era) <= DEAD_SPREAD * max(1.0, np.abs(era).max())) for era in eras)
    return f"constant in {n_dead} of {len(eras)} eras" if n_dead > DEAD_SHARE * len(eras) else None


def gap(train_corr: float, valid_corr: float) -> str | None:
    """Evidence that next to nothing of what was learned is true of later eras."""
    if train_corr < SURE_CORR or train_corr < LARGEST_GAP * max(valid_corr, 0.0):
        return None
    return f"CORR {train_corr:.3f} on training eras, {valid_corr:.3f} on later ones"


def collapsed(correlations: Sequence[float]) -> str | None:
    """Evidence that predictions are the benchmark's; by their rank correlations, era by era."""
    known = [correlation for correlation in correlations if not math.isnan(correlation)]
    if not known or float(np.median(known)) < BENCHMARK_CORR:
        return None
    return f"correlates {np.median(known):.4f} with the benchmark in the median era"
