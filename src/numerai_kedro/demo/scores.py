"""Scores of a submission, day by day, on the demo's truth.

The submission itself is scored by numerai-tools, which is Numerai's own definition. Percentiles are
its places in a synthetic field of `FIELD` participants, each of whom knows a little of what the
meta model knows.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from numerai_kedro.metrics.corr import corr_of_era
from numerai_kedro.metrics.mmc import contribution_of_era
from numerai_kedro.metrics.ranks import percentile_rank

if TYPE_CHECKING:
    from numerai_kedro.demo.world import World

CORR, MMC = "corr60", "mmc60"
SCORE_NAMES = (CORR, MMC)
FIELD = 100
# Correlation of the field's predictions with the meta model: official benchmarks have .63 to .69.
FIELD_LIKENESS = (0.2, 0.8)

Scores = dict[tuple[int, str], tuple[float, float]]
Floats = npt.NDArray[np.float64]


def score_submission(
    content: bytes,
    world: World,
    era: int,
    round_number: int,
    days: list[int],
) -> Scores:
    """Score one submission for some score days.

    Parameters
    ----------
    content
        The csv; ids of the round's live rows.
    world
        Reaches `era`.
    era, round_number
        The round's live era; together they name the ids.
    days
        Score days, 1 to 60: business days that the target has run.

    Returns
    -------
    dict
        (day, display name) to (value, percentile in [0, 1]).
    """
    from numerai_tools.scoring import correlation_contribution, numerai_corr

    ids = world.ids(era, salt=str(round_number))
    frame = pd.read_csv(io.BytesIO(content))
    submitted = frame.set_index(frame.columns[0]).iloc[:, 0].reindex(ids)
    predictions = submitted.to_frame("prediction").sort_index()
    meta_model = pd.Series(world.meta_model(era), index=ids, name="meta_model")
    field = _field(world, era, round_number)
    scores: Scores = {}
    for day in days:
        target = world.target_after(era, day)
        # Without a name, numerai-tools fails with `KeyError: None`.
        targets = pd.Series(target, index=ids, name="target")
        corr = float(numerai_corr(predictions, targets)["prediction"])
        mmc = float(correlation_contribution(predictions, meta_model, targets)["prediction"])
        of_field = _scores_of_field(field, world, era, day)
        scores[day, CORR] = (corr, _share_below(corr, of_field[0]))
        scores[day, MMC] = (mmc, _share_below(mmc, of_field[1]))
    return scores


def score_field(world: World, era: int, round_number: int, day: int) -> tuple[Floats, Floats]:
    """CORR and MMC of every participant of the field after some score days, float64[FIELD] each.

    Parameters
    ----------
    era, round_number
        As for `score_submission`.
    """
    return _scores_of_field(_field(world, era, round_number), world, era, day)


def _scores_of_field(field: Floats, world: World, era: int, day: int) -> tuple[Floats, Floats]:
    target = world.target_after(era, day).astype(np.float64)
    reference = world.meta_model(era).astype(np.float64)
    corr = corr_of_era(field, target).astype(np.float64)
    return corr, contribution_of_era(field, reference, target).astype(np.float64)


def _field(world: World, era: int, round_number: int) -> Floats:
    """Predictions of the field, float64[n, FIELD]; the same for every submission of a round."""
    rng = np.random.default_rng([world.seed, 13, round_number])
    meta_model = world.meta_model(era).astype(np.float64)
    consensus = ndtri(percentile_rank(meta_model[:, None]))
    likeness = rng.uniform(*FIELD_LIKENESS, size=FIELD)
    noise = rng.standard_normal((len(meta_model), FIELD))
    mixed: Floats = likeness * consensus + np.sqrt(1 - likeness**2) * noise
    return mixed


def _share_below(value: float, field_scores: npt.NDArray[np.floating[Any]]) -> float:
    return float((field_scores < value).mean())
