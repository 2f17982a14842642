"""What weights need to know of members: kilobytes an era in place of rows.

A blend of columns with unit variance, z = Z w, scores w's / sqrt(w'Pw), where s are its members'
own scores and P is the matrix of their products: exactly so for MMC and BMC before the blend is
ranked again, nearly for CORR, whose power of 1.5 is not linear, and exactly for a single member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from numerai_kedro.metrics.ranks import Matrix, Vector, rank_columns, tables
from numerai_kedro.metrics.scoring import IntVector, over_eras, rank_scores

# Independent eras at which MMC of the meta model weighs as much as BMC of all eras.
EVEN_AT = 40


@dataclass(frozen=True)
class MemberScores:
    """Era by era, what each member scores, and how alike members are.

    Parameters
    ----------
    eras : int64[n_eras]
    corr, mmc, bmc : float64[n_eras, n_members]
        NaN where an era, or its reference, is not there.
    products : float64[n_eras, n_members, n_members]
        Means over rows of products of members, each with unit variance.
    """

    eras: IntVector
    corr: Matrix
    mmc: Matrix
    bmc: Matrix
    products: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        eras: IntVector,
        era_starts: IntVector,
        predictions: Matrix,
        target: Vector,
        meta_model: Vector,
        benchmark: Vector,
    ) -> Self:
        """Score float[n_rows, n_members]; see `rank_scores` for what may be NaN."""
        corr, mmc, bmc = rank_scores(era_starts, predictions, target, [meta_model, benchmark])
        # Who says the same of every stock of a resolved era earned nothing there, which is a score.
        resolved = ~np.isnan(corr).all(axis=1, keepdims=True)
        corr = np.where(np.isnan(corr) & resolved, 0.0, corr)
        n_members = predictions.shape[1]
        products = np.empty((len(eras), n_members, n_members))

        def one(era: int) -> None:
            block = predictions[int(era_starts[era]) : int(era_starts[era + 1])]
            columns = rank_columns(block).columns(tables(len(block)).gaussian)
            deviations = columns.std(axis=0)
            columns /= np.where(deviations > 0, deviations, 1.0)
            products[era] = columns.T @ columns / len(columns)

        for _ in over_eras(one, range(len(eras))):
            pass
        return cls(np.asarray(eras), corr, mmc, bmc, products)

    def until(self, era: int) -> Self:
        """Eras up to and with `era`."""
        resolved = self.eras <= era
        return type(self)(
            self.eras[resolved],
            self.corr[resolved],
            self.mmc[resolved],
            self.bmc[resolved],
            self.products[resolved],
        )

    def earned(self, w_corr: float, w_mmc: float, overlap_eras: int) -> tuple[Matrix, Matrix]:
        """What each member would have been paid for CORR, and for what is beyond others.

        MMC complements BMC, which reaches back further, with a weight that grows with the number
        of independent eras of the meta model.

        Returns
        -------
        float64[n_eras, n_members], float64[n_eras, n_members]
        """
        scored = ~np.isnan(self.mmc)
        share = mmc_share(int(scored.all(axis=1).sum()), overlap_eras)
        mixed = np.where(scored, (1 - share) * self.bmc + share * self.mmc, self.bmc)
        return w_corr * self.corr, w_mmc * mixed

    def payoff(self, w_corr: float, w_mmc: float, overlap_eras: int) -> Matrix:
        """What each member would have been paid in each era: float64[n_eras, n_members]."""
        corr, beyond = self.earned(w_corr, w_mmc, overlap_eras)
        return corr + beyond


def mmc_share(n_eras: int, overlap_eras: int) -> float:
    """Weight of MMC relative to BMC: n / (n + 40) for n independent eras of the meta model."""
    independent = n_eras / overlap_eras
    return independent / (independent + EVEN_AT)


def blend_scores(weights: Matrix, scores: Matrix, products: npt.NDArray[np.float64]) -> Matrix:
    """What blends score in each era: float64[..., n_eras].

    Parameters
    ----------
    weights : float64[..., n_members]
        Of each blend; of any scale.
    scores : float64[n_eras, n_members]
        Of the members, any sum of CORR, MMC and BMC.
    """
    raw = weights @ scores.T
    variances = np.einsum("...i,eij,...j->...e", weights, products, weights)
    return raw / np.sqrt(np.maximum(variances, 1e-12))
