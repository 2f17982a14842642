"""Health checks of training: loss explosion, plateau, dead predictions, overfitting.

Thresholds are far outside the range of healthy runs: a needless remedy costs an epoch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

HALF_LIFE = 30.0  # steps, of the running mean of the loss
WARM_STEPS = 20  # no check before these steps
DEVIATIONS, IN_A_ROW = 8.0, 3  # a loss so far above its mean, in so many steps, has exploded
PLATEAU_EPOCHS = 3  # without a new lowest loss
DEAD_SPREAD = 1e-6  # of predictions inside an era, relative to their size
DEAD_SHARE = 0.5  # of eras
LARGEST_GAP = 10.0  # training CORR over validation CORR; overfitting of small data is normal
SURE_CORR = 0.05  # of training; a smaller one is no sign of overfitting
BENCHMARK_CORR = 0.995  # rank correlation from which predictions count as the benchmark's


@dataclass
class LossWatch:
    """Tracks the loss step by step, and detects explosions."""

    mean: float = 0.0
    variance: float = 0.0
    seen: int = 0
    far: int = 0

    def exploded(self, loss: float) -> str | None:
        """Evidence of an explosion; None while the loss is in its usual range."""
        above = loss - self.mean
        usual = math.sqrt(self.variance) + 1e-3 * abs(self.mean)
        # Outliers do not enter mean and variance: an explosion would soon look usual.
        if self.seen >= WARM_STEPS and above > DEVIATIONS * usual:
            self.far += 1
            if self.far < IN_A_ROW:
                return None
            return f"loss {loss:.3g}, usually {self.mean:.3g} ± {math.sqrt(self.variance):.2g}"
        self.far = 0
        # A plain mean over the first steps, an exponential one later.
        rate = max(1 / (self.seen + 1), 1 - 0.5 ** (1 / HALF_LIFE))
        self.variance = (1 - rate) * (self.variance + rate * above * above)
        self.mean += rate * above
        self.seen += 1
        return None


@dataclass
class EpochWatch:
    """Tracks the mean loss of each epoch, and detects plateaus."""

    losses: list[float] = field(default_factory=list)

    def plateau(self, loss: float) -> str | None:
        """Evidence of a plateau; the losses are then forgotten, so that it is reported once."""
        self.losses.append(loss)
        before, newest = self.losses[:-PLATEAU_EPOCHS], self.losses[-PLATEAU_EPOCHS:]
        if not before or min(newest) < min(before):
            return None
        self.losses = []
        return "loss of the newest epochs " + ", ".join(f"{value:.4f}" for value in newest)


def dead(predictions: npt.NDArray[np.floating], era_starts: npt.NDArray[np.integer]) -> str | None:
    """Evidence that predictions are constant inside most eras; else None."""
    eras = [predictions[i:j] for i, j in itertools.pairwise(era_starts) if j - i > 1]
    if not eras:
        return None
    n_dead = sum(bool(np.ptp(era) <= DEAD_SPREAD * max(1.0, np.abs(era).max())) for era in eras)
    return f"constant in {n_dead} of {len(eras)} eras" if n_dead > DEAD_SHARE * len(eras) else None


def gap(train_corr: float, valid_corr: float) -> str | None:
    """Evidence that almost none of the training CORR is left on later eras; else None."""
    if train_corr < SURE_CORR or train_corr < LARGEST_GAP * max(valid_corr, 0.0):
        return None
    return f"CORR {train_corr:.3f} on training eras, {valid_corr:.3f} on later ones"


def collapsed(correlations: Sequence[float]) -> str | None:
    """Evidence that predictions equal the benchmark's, by the rank correlation of each era."""
    finite = [correlation for correlation in correlations if not math.isnan(correlation)]
    if not finite or float(np.median(finite)) < BENCHMARK_CORR:
        return None
    return f"correlates {np.median(finite):.4f} with the benchmark in the median era"
