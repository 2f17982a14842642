"""A trial's objective: its payoff in the validation eras, less a penalty for uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from numerai_kedro.data import EraPanel
from numerai_kedro.metrics.intervals import degrees_of_freedom, long_run_variance, mean_interval
from numerai_kedro.metrics.ranks import Vector
from numerai_kedro.metrics.scoring import rank_scores


@dataclass(frozen=True)
class EraScores:
    """CORR and BMC of one model, era by era; NaN where an era is not resolved."""

    eras: tuple[int, ...]
    corr: tuple[float, ...]
    bmc: tuple[float, ...]

    def payoff(self, w_corr: float, w_mmc: float) -> npt.NDArray[np.float64]:
        """Payoff of each era, with BMC in place of MMC, whose history is too short."""
        return w_corr * np.array(self.corr) + w_mmc * np.array(self.bmc)

    def __add__(self, later: EraScores) -> EraScores:
        """The eras of two folds, one after the other."""
        return EraScores(self.eras + later.eras, self.corr + later.corr, self.bmc + later.bmc)


NOTHING = EraScores((), (), ())


def era_scores(panel: EraPanel, predictions: Vector, benchmark: Vector, target: str) -> EraScores:
    """Score predictions of a panel's rows.

    Parameters
    ----------
    panel : EraPanel
        The eras that are scored; `target` is the paid target.
    predictions : float[n_rows]
        Any scale.
    benchmark : float[n_rows]
        The benchmark model's predictions; NaN where it has none.
    """
    columns = predictions.astype(np.float64)[:, None]
    labels = panel.target(target).astype(np.float64)
    corr, bmc = rank_scores(panel.era_starts, columns, labels, [benchmark])[:, :, 0]
    # A model that is constant in a resolved era scores 0 there, not NaN: otherwise parameters that
    # flatten a model would have no score at all.
    resolved = np.isin(panel.eras, panel.resolved_eras(target))
    corr = np.where(np.isnan(corr) & resolved, 0.0, corr)
    eras = tuple(int(era) for era in panel.eras)
    return EraScores(eras, tuple(map(float, corr)), tuple(map(float, bmc)))


def objective(payoff: Vector, overlap_eras: int, risk_aversion: float) -> float:
    """Mean payoff less a multiple of its overlap-robust standard error.

    With fewer eras than two spans of a target there is no standard error: it is the mean.
    """
    resolved = payoff[~np.isnan(payoff)]
    if not len(resolved):
        return float("nan")
    if len(resolved) < 2 * overlap_eras:
        return float(resolved.mean())
    n_cosines = degrees_of_freedom(len(resolved), overlap_eras)
    error = np.sqrt(long_run_variance(resolved, n_cosines) / len(resolved))
    return float(resolved.mean() - risk_aversion * error)


def block_means(payoff: Vector, block_eras: int) -> list[float]:
    """Means of blocks at least one target span long: nearly independent values of one fold."""
    resolved = payoff[~np.isnan(payoff)]
    n_blocks = max(1, len(resolved) // block_eras)
    return [float(block.mean()) for block in np.array_split(resolved, n_blocks) if len(block)]


def gain_bound(
    candidate: Vector, incumbent: Vector, overlap_eras: int, level: float
) -> tuple[float, float | None]:
    """Mean gain of one model over another, paired by era, and its one-sided lower bound.

    The bound is None with too few eras for an interval.
    """
    interval = mean_interval(candidate - incumbent, overlap_eras, level=2 * level - 1)
    return interval.mean, interval.low
