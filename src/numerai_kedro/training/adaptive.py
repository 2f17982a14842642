"""Tune one regularisation strength by how much of the training CORR survives out of sample.

Each rung fits a cheap model on the older training eras and scores it on them and on the newest
ones, after a purge. The strength rises where little of the training CORR survives and falls towards
0 where most does. Only the fold's own training eras are used.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from numerai_kedro.cache import code_of
from numerai_kedro.data import EraPanel
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.strict import Strict
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.walk_forward import predict_by_fits

logger = logging.getLogger(__name__)

BEGIN = 0.5
LARGEST_GAP = 1.5  # beyond it one noisy rung would decide alone
TRAINING_ERAS = 20  # training eras that are scored, spread over all of them: enough for a mean


class AdaptiveParams(Strict):
    """How the strength is steered; see parameters_tuning.yml."""

    rungs: int = Field(gt=0)
    valid_eras: int = Field(gt=0)
    target_gap: float = Field(gt=0, lt=1)
    rate: float = Field(gt=0)
    low_fidelity_stride: int = Field(gt=0)
    low_fidelity_trees: int = Field(gt=0)


@dataclass(frozen=True)
class Rung:
    """One step: a strength, and the mean CORR of its fit on training eras and on later ones."""

    strength: float
    train_corr: float
    valid_corr: float

    @property
    def gap(self) -> float:
        """Share of the training CORR that is lost on later eras, at most `LARGEST_GAP`."""
        if self.train_corr <= 0:
            return 1.0
        return float(np.clip(1 - self.valid_corr / self.train_corr, 0, LARGEST_GAP))


def adapted(
    recipe: Recipe,
    history: EraPanel,
    eras: tuple[int, int],
    purge_eras: int,
    params: AdaptiveParams,
    runner: FitRunner,
) -> tuple[Recipe, list[Rung]]:
    """Return the recipe with the strength chosen on its training eras, and the rungs.

    Parameters
    ----------
    recipe
        Its parameters have a field ``strength``.
    eras
        Range that the fit may learn from; its newest `valid_eras` eras score the rungs.

    Notes
    -----
    With too few eras to hold any out, the recipe is returned unchanged.
    """
    key = _key(recipe, history, eras, purge_eras, params)
    stored = runner.store.find(key)
    if stored is None:
        rungs = _climb(recipe, history, eras, purge_eras, params, runner)
        stored = runner.store.value(key, lambda: [dataclasses.asdict(rung) for rung in rungs])
    rungs = [Rung(**rung) for rung in stored]
    if not rungs:
        return recipe, []
    strength = next_strength(rungs[-1], params)
    logger.info(
        "%s: strength %.2f for eras up to %04d (%.0f%% of the training CORR survived)",
        recipe.name,
        strength,
        eras[1],
        100 * (1 - rungs[-1].gap),
    )
    return recipe.with_params(recipe.params.model_copy(update={"strength": strength})), rungs


def next_strength(rung: Rung, params: AdaptiveParams) -> float:
    """Raise the strength where the gap is above its target, else lower it; clipped to 0..1."""
    moved = rung.strength + params.rate * (rung.gap - params.target_gap)
    return round(min(1.0, max(0.0, moved)), 4)


def _climb(
    recipe: Recipe,
    history: EraPanel,
    eras: tuple[int, int],
    purge_eras: int,
    params: AdaptiveParams,
    runner: FitRunner,
) -> list[Rung]:
    target = recipe.targets[0]
    resolved = history.resolved_eras(target)
    inside = resolved[(resolved >= eras[0]) & (resolved <= eras[1])]
    valid = inside[-params.valid_eras :]
    learned = inside[inside < valid[0] - purge_eras] if len(valid) else inside
    if not len(learned) or len(inside) < 2 * params.valid_eras:
        return []
    sample = learned[:: max(1, len(learned) // TRAINING_ERAS)]
    seen = recipe.columns.of(history)
    pieces = [seen.select(eras=sample), seen.select(eras=valid)]
    rungs: list[Rung] = []
    strength = BEGIN
    for number in range(params.rungs):
        runner.progress(number, params.rungs)
        cheap = low_fidelity_strength(recipe, strength, params)
        fits = cheap.fits(history, (int(learned[0]), int(learned[-1])), keep=False)
        predictions, _ = predict_by_fits(fits, pieces, runner.quiet())
        cut = pieces[0].n_rows
        train_corr = _mean_corr(pieces[0], predictions[:cut], target)
        rungs.append(Rung(strength, train_corr, _mean_corr(pieces[1], predictions[cut:], target)))
        strength = next_strength(rungs[-1], params)
    return rungs


def low_fidelity_strength(recipe: Recipe, strength: float, params: AdaptiveParams) -> Recipe:
    """The cheap fit that a rung scores."""
    stride = max(params.low_fidelity_stride, recipe.era_stride)
    stronger = recipe.params.model_copy(update={"strength": strength})
    cheap = stronger.low_fidelity(params.low_fidelity_trees, recipe.era_stride / stride)
    return dataclasses.replace(
        recipe, params=cheap, era_stride=stride, n_offsets=1, targets=recipe.targets[:1]
    )


def _mean_corr(panel: EraPanel, predictions: np.ndarray, target: str) -> float:
    columns = predictions.astype(np.float64)[:, None]
    label = panel.target(target).astype(np.float64)
    return float(np.nanmean(rank_scores(panel.era_starts, columns, label)[0]))


def _key(
    recipe: Recipe,
    history: EraPanel,
    eras: tuple[int, int],
    purge_eras: int,
    params: AdaptiveParams,
) -> dict[str, Any]:
    inside = history.eras[(history.eras >= eras[0]) & (history.eras <= eras[1])]
    rows = recipe.columns.of(history.select(eras=inside)).digest(targets=recipe.targets[:1])
    return {
        "strength_of": [recipe.cache_key(recipe.targets[0]), recipe.era_stride, purge_eras],
        "rows": rows,
        "adaptive": params.model_dump(),
        "code": code_of(_climb),
    }
