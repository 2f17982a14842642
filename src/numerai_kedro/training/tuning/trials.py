"""One trial: cheap fits on the validation folds, scored fold by fold, pruned when hopeless."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from numerai_kedro.compute.remedies import failed_fit
from numerai_kedro.compute.worker_pool import WorkerPool
from numerai_kedro.data.folds import Fold
from numerai_kedro.errors import PredictionError
from numerai_kedro.training.adaptive import adapted
from numerai_kedro.training.fit_runner import FitRunner, Progress, sub_progress
from numerai_kedro.training.protocol import no_progress
from numerai_kedro.training.recipe import Option, Recipe
from numerai_kedro.training.tuning.context import (
    Search,
    TuningContext,
    TuningParams,
    low_fidelity_option,
    low_fidelity_trial,
)
from numerai_kedro.training.tuning.objective import (
    NOTHING,
    EraScores,
    block_means,
    era_scores,
    objective,
)
from numerai_kedro.training.tuning.space import params_at
from numerai_kedro.training.walk_forward import (
    Part,
    fit_ahead,
    frame_of,
    predict_fold,
    with_location,
)

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

SCORES, RECOVERIES = "scores", "recoveries"


class Trials:
    """Evaluates points of the space on validation folds, by low-fidelity fits.

    `exact` is a point and the parameters that it stands for, which may lie outside the space.
    """

    def __init__(
        self,
        search: Search,
        context: TuningContext,
        params: TuningParams,
        runner: FitRunner,
        exact: tuple[Mapping[str, Any], Any],
    ) -> None:
        self._search, self._context, self._params = search, context, params
        self._runner = runner
        self._exact_point, self._exact_params = exact

    def evaluate(
        self,
        trial: optuna.Trial,
        trial_number: int,
        folds: Sequence[Fold],
        progress: Progress,
        may_prune: bool,
    ) -> float:
        """Fit and score fold by fold; prune a trial that is worse than the best so far."""
        import optuna

        begin, scores, step = time.monotonic(), NOTHING, 0
        lines: list[dict[str, Any]] = []
        context, params = self._context, self._params
        for number, fold in enumerate(folds):
            within = sub_progress(progress, number, len(folds))
            try:
                cheap = self._low_fidelity(trial.params)
                lines += self._fit_ahead(cheap, folds, number, progress)
                parts = self._predict(cheap, fold, within)
            except Exception as error:
                # A trial that cannot be fitted counts as pruned; the incumbent's is tried again in
                # a later run, as nothing is decided without it.
                failed = failed_fit("tune", error)
                trial.set_user_attr(RECOVERIES, [*lines, *failed.remedies])
                if not may_prune:
                    raise
                trial.set_user_attr("ended", failed.symptom)
                name = self._search.recipe.name
                logger.warning("%s: trial %d: %s", name, trial_number, failed.symptom)
                raise optuna.TrialPruned from error
            scores += self._scores(parts)
            lines += self._lines(parts, fold)
            trial.set_user_attr(RECOVERIES, lines)
            payoff = scores.payoff(*context.weights)
            value = objective(payoff, context.overlap_eras, params.risk_aversion)
            n_eras = sum(len(part.test.eras) for part in parts)
            for mean in block_means(payoff[-n_eras:], context.overlap_eras):
                trial.report(mean, step)
                step += 1
            trial.set_user_attr(SCORES, dataclasses.asdict(scores))
            trial.set_user_attr("seconds", round(time.monotonic() - begin, 3))
            if np.isnan(value):
                raise PredictionError(
                    f"{self._search.recipe.name}, fold {fold.name}: no era has both a target and "
                    "the benchmark's predictions, so trials cannot be scored; choose a later "
                    "validation period (parameters_ingestion.yml), or n_trials: 0."
                )
            if may_prune and number + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        corr, bmc = (np.nanmean(column) for column in (scores.corr, scores.bmc))
        logger.info(
            "%s: trial %d: objective %.4f (CORR %.4f, BMC %.4f), %.0f s",
            self._search.recipe.name,
            trial_number,
            value,
            corr,
            bmc,
            time.monotonic() - begin,
        )
        return value

    def predictions(
        self, point: Mapping[str, Any], option: Option, folds: Sequence[Fold]
    ) -> pd.DataFrame:
        """Out-of-fold predictions on validation folds, by low-fidelity fits of a point."""
        cheap = self._low_fidelity(point).with_option(option)
        frames = [
            frame_of(part.test, part.predictions)
            for fold in folds
            for part in self._predict(cheap, fold, no_progress)
        ]
        return pd.concat(frames, ignore_index=True)

    def scores_of(
        self, option: Option, params: Mapping[str, Any], folds: Sequence[Fold], progress: Progress
    ) -> tuple[EraScores, list[dict[str, Any]]]:
        """Score an option fold by fold, by fits on all eras that it uses.

        Returns
        -------
        EraScores, list of dict
            The scores, and the fits' lines of recovery.

        Raises
        ------
        Exception
            A fit's error; its `lines` begin with those of the folds before.
        """
        lines: list[dict[str, Any]] = []
        try:
            return self._scored(option, params, folds, progress, lines), lines
        except Exception as error:
            error.lines = (*lines, *getattr(error, "lines", ()))  # type: ignore[attr-defined]
            raise

    def _scored(
        self,
        option: Option,
        params: Mapping[str, Any],
        folds: Sequence[Fold],
        progress: Progress,
        lines: list[dict[str, Any]],
    ) -> EraScores:
        base, scores = self._search.recipe, NOTHING
        recipe = base.with_params(base.family.params_type.model_validate(params))
        recipe = recipe.with_option(option)
        purge = self._context.folds.purge_eras
        for number, fold in enumerate(folds):
            strong = recipe
            if not recipe.adaptive:
                cheap = low_fidelity_option(recipe, self._params)
                lines += self._fit_ahead(cheap, folds, number, progress)
            else:
                strong, _ = adapted(
                    self._engineered(recipe, fold),
                    self._context.history,
                    fold.train,
                    purge,
                    self._params.adaptive,
                    self._runner.quiet(),
                )
            within = sub_progress(progress, number, len(folds))
            parts = self._predict(low_fidelity_option(strong, self._params), fold, within)
            scores += self._scores(parts)
            lines += self._lines(parts, fold)
        return scores

    def _fit_ahead(
        self, cheap: Recipe, folds: Sequence[Fold], number: int, progress: Progress
    ) -> list[dict[str, Any]]:
        """Fit as many folds at once as the pool has workers, when the first of them is due.

        So a pruned trial wastes few fits. Returns the pool's recovery lines.
        """
        pool, context = self._runner.executor, self._context
        if not isinstance(pool, WorkerPool) or number % pool.size:
            return []
        due = folds[number : number + pool.size]
        recipes = [self._engineered(cheap, fold) for fold in due]
        within = lambda done, of: progress(number + len(due) * done / of, len(folds))  # noqa: E731
        runner = dataclasses.replace(self._runner, progress=within)
        fit_ahead(recipes, context.history, due, context.folds.purge_eras, runner)
        return pool.taken_lines()

    def _predict(self, cheap: Recipe, fold: Fold, progress: Progress) -> list[Part]:
        context, purge = self._context, self._context.folds.purge_eras
        cheap = self._engineered(cheap, fold)
        runner = dataclasses.replace(self._runner, progress=progress)
        return list(predict_fold(cheap, context.history, fold, purge, runner, keep=False))

    def _engineered(self, recipe: Recipe, fold: Fold) -> Recipe:
        context = self._context
        return context.engineered.applied(recipe, fold.train, context.history.feature_names)

    def _lines(self, parts: Sequence[Part], fold: Fold) -> list[dict[str, Any]]:
        store = self._runner.store
        return [line for part in parts for line in with_location(part.fits, fold.name, store)]

    def _low_fidelity(self, point: Mapping[str, Any]) -> Recipe:
        recipe = self._search.recipe
        # Incumbent parameters may lie outside the space; their trial uses them unchanged.
        whole = (
            self._exact_params
            if point == self._exact_point
            else recipe.params.model_copy(update=params_at(point, recipe.params))
        )
        return low_fidelity_trial(recipe, whole, self._params)

    def _scores(self, parts: Sequence[Part]) -> EraScores:
        scores, context = NOTHING, self._context
        for part in parts:
            benchmark = context.benchmark.reindex(part.test.ids()).to_numpy(dtype=np.float64)
            paid = context.folds.paid_target
            scores += era_scores(part.test, part.predictions, benchmark, paid)
        return scores
