"""When to tune, on which eras, and whether the best trial replaces the incumbent.

Parameters are chosen on the validation period; a later re-tuning may also use test eras up to a
purge before the first fold that it applies to. Finished folds keep their parameters, so that the
out-of-fold record is what would have been submitted.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from numerai_kedro.cache import code_of
from numerai_kedro.errors import ResourceError
from numerai_kedro.files import digest_bytes, digest_json
from numerai_kedro.metrics.intervals import short
from numerai_kedro.metrics.overfitting import probability_of_overfitting
from numerai_kedro.training.fit_runner import FitRunner, sub_progress
from numerai_kedro.training.recipe import Option, Recipe
from numerai_kedro.training.tuning.context import Search, TuningContext, TuningParams
from numerai_kedro.training.tuning.objective import NOTHING, EraScores, gain_bound
from numerai_kedro.training.tuning.options import decide_option, n_candidates, option_of
from numerai_kedro.training.tuning.space import distributions, params_at, point_of
from numerai_kedro.training.tuning.store import StudyStore
from numerai_kedro.training.tuning.study import open_study, run_study, trial_numbers
from numerai_kedro.training.tuning.trials import RECOVERIES, SCORES, Trials

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)


def tune(
    search: Search,
    context: TuningContext,
    params: TuningParams,
    runner: FitRunner,
    study_store: StudyStore,
) -> tuple[list[dict[str, Any]], pd.DataFrame, pd.DataFrame]:
    """Return parameters with the eras they apply to, all trials, and predictions of the choice.

    Tunes if that is due, else reads the study store.

    Returns
    -------
    list of dict, pandas.DataFrame, pandas.DataFrame
        Decisions, oldest first, each with ``first_era`` and ``params``; one row a trial; columns
        ``id``, ``era``, ``prediction`` of the newest choice on the validation folds.
    """
    untuned = _untuned(search, context)
    if search.n_trials == 0:
        return [untuned], _trials_frame([]), _no_predictions()
    procedure = _procedure(search, context, params)

    def kept() -> list[dict[str, Any]]:
        return without_overfitted(
            study_store.decisions(procedure), untuned, search, context, params
        )

    decisions = kept()
    before: Mapping[str, Any] = untuned
    if decisions:
        before = {**decisions[-1], "first_era": context.calendar.next_fold_begin()}
    if not decisions or context.calendar.is_due(decisions[-1], params.retune_weeks):
        name = f"{search.recipe.name}-{before['first_era']:04d}-{digest_json(procedure)[:12]}"
        study = open_study(name, study_store.journal(name), study_store.storage_url)
        decision = _study_and_decide(study, before, search, context, params, runner)
        study_store.decide(procedure, decision)
    decisions = kept()
    trials = [
        {"study": decision["study"], "first_era": decision["first_era"], **trial}
        for decision in decisions
        for trial in decision["trials"]
    ]
    study_store.note(search.plan_key(params), _without_trials(decisions))
    newest = decisions[-1]
    exact = (newest["point"], search.recipe.family.params_type.model_validate(newest["params"]))
    chosen = Trials(search, context, params, runner, exact)
    validation_folds = context.calendar.validation_folds(newest["first_era"])
    predictions = chosen.predictions(newest["point"], option_of(newest), validation_folds)
    return _without_trials(decisions), _trials_frame(trials), predictions


def incumbent_decisions(
    search: Search, context: TuningContext, params: TuningParams, study_store: StudyStore
) -> list[dict[str, Any]]:
    """The stored decisions, without tuning; the preset if there are none."""
    untuned = _untuned(search, context)
    if search.n_trials == 0:
        return [untuned]
    decisions = study_store.decisions(_procedure(search, context, params))
    sound = without_overfitted(decisions, untuned, search, context, params)
    return _without_trials(sound) or [untuned]


def without_overfitted(
    decisions: Sequence[Mapping[str, Any]],
    untuned: Mapping[str, Any],
    search: Search,
    context: TuningContext,
    params: TuningParams,
) -> list[dict[str, Any]]:
    """The stored decisions, with overfitted parameters taken back.

    An overfitted decision, adopted before this rule or under another `max_overfitting`, falls back
    to the source before it; so do later decisions that kept its parameters.
    """
    kind = search.recipe.family.params_type
    before, stored = dict(untuned), dict(untuned)
    sound = []
    for decision in decisions:
        now = dict(decision)
        luck = (
            _overfitted(_overfitting(decision["trials"], context), params)
            if decision["adopted"]
            else ""
        )
        stayed = not decision["adopted"] and decision["source"] == stored["source"]
        if luck or (stayed and before["source"] != stored["source"]):
            point = point_of(kind.model_validate(before["params"]), search.space)
            now |= {"source": before["source"], "params": before["params"], "point": point}
        if luck:
            verdict = f"{decision['verdict']}; since then it is {luck}, so {before['source']} stays"
            now |= {"adopted": False, "verdict": verdict}
        sound.append(now)
        before, stored = now, dict(decision)
    return sound


def _untuned(search: Search, context: TuningContext) -> dict[str, Any]:
    return {
        "first_era": context.folds.periods.test[0],
        "source": f"preset {next(iter(search.presets))}",
        "params": search.recipe.params.model_dump(mode="json"),
    }


def _without_trials(decisions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in decision.items() if k != "trials"} for decision in decisions]


def recipe_at(asked: Recipe, decisions: Sequence[Mapping[str, Any]], era: int) -> Recipe:
    """The recipe with the newest decision that is effective at `era`."""
    effective = [candidate for candidate in decisions if candidate["first_era"] <= era]
    decision = (effective or decisions[:1])[-1]
    params = asked.family.params_type.model_validate(decision["params"])
    return asked.with_params(params).with_option(option_of(decision))


def _procedure(search: Search, context: TuningContext, params: TuningParams) -> dict[str, Any]:
    """Everything that a choice depends on; if any of it changes, the model is tuned again."""
    first, last = context.folds.periods.validation
    eras = context.history.eras[context.history.eras <= last]
    judging = context.history.select(eras=eras[eras >= first])
    benchmark = context.benchmark.reindex(judging.ids()).to_numpy(dtype="float64")
    recipe = search.recipe
    targets = tuple(dict.fromkeys((*recipe.targets, context.folds.paid_target)))
    return (
        {
            "code": code_of(_study_and_decide),
            "model": recipe.name,
            "era_stride": recipe.era_stride,
            "folds": [dataclasses.asdict(fold) for fold in context.folds.validation],
            "benchmark": digest_bytes(benchmark.tobytes()),
            "cache_keys": [recipe.cache_key(target) for target in recipe.targets],
            "presets": {
                name: preset.model_dump(mode="json") for name, preset in search.presets.items()
            },
            "space": {name: span.model_dump() for name, span in search.space.items()},
            "n_trials": search.n_trials,
            "tuning": params.model_dump(
                exclude={"retune_weeks", "weights", "adaptive", "max_overfitting"}
            ),
            "weights": list(context.weights),
            "purge_eras": context.folds.purge_eras,
            "data": context.history.select(eras=eras).digest(targets=targets),
        }
        | _procedure_of_options(search, params)
        | _procedure_of_features(search)
    )


def _procedure_of_options(search: Search, params: TuningParams) -> dict[str, Any]:
    """What a choice among options depends on as well; empty without options."""
    if not search.options:
        return {}
    options = {name: option.model_dump(mode="json") for name, option in search.options.items()}
    ensemble = [search.recipe.n_offsets, search.recipe.adaptive]
    return {"options": options, "made": ensemble, "adaptive": params.adaptive.model_dump()}


def _procedure_of_features(search: Search) -> dict[str, Any]:
    """Parameters of feature engineering, for a choice that may depend on them.

    Not their results: a week without latents must not lose decisions made with them.
    """
    recipe = search.recipe
    if not recipe.engineered_by:
        return {}
    return {"engineered": [list(recipe.transforms), recipe.engineered_by]}


def _study_and_decide(
    study: optuna.Study,
    before: Mapping[str, Any],
    search: Search,
    context: TuningContext,
    params: TuningParams,
    runner: FitRunner,
) -> dict[str, Any]:
    recipe, first_era = search.recipe, int(before["first_era"])
    folds = context.calendar.validation_folds(first_era)
    kind = recipe.family.params_type
    base = kind.model_validate(before["params"])
    points: list[dict[str, Any]] = []
    for start in (base, *search.presets.values()):
        point = point_of(start, search.space)
        points += [point] if point not in points else []
    trials = Trials(search, context, params, runner, (points[0], base))
    n_steps = search.n_trials + n_candidates(search.options)

    def evaluate(trial: optuna.Trial) -> float:
        number = trial_numbers(study)[trial.number]
        step = sub_progress(runner.progress, min(number, search.n_trials - 1), n_steps)
        return trials.evaluate(trial, number, folds, step, may_prune=trial.params != points[0])

    run_study(
        study,
        search.n_trials,
        distributions(search.space, base, recipe.name),
        points,
        evaluate,
        params.seed,
    )
    decision = _decide(study, points[0], before, search, context, params)
    if search.options:

        def score(option: Option, number: int) -> tuple[EraScores, list[dict[str, Any]]]:
            step = sub_progress(runner.progress, search.n_trials + number, n_steps)
            return trials.scores_of(option, decision["params"], folds, step)

        decision |= decide_option(decision, before, score, search, context, params)
    runner.progress(n_steps, n_steps)
    logger.info("%s: %s", recipe.name, decision["verdict"])
    of_study = {"study": study.study_name, "tuned_for": context.folds.live_era}
    return {**decision, **of_study, "first_era": first_era}


def _decide(
    study: optuna.Study,
    incumbent_point: Mapping[str, Any],
    before: Mapping[str, Any],
    search: Search,
    context: TuningContext,
    params: TuningParams,
) -> dict[str, Any]:
    """Adopt the best trial if its gain is significant and its study is not overfitted."""
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    incumbent = next((trial for trial in complete if trial.params == incumbent_point), None)
    if incumbent is None:
        raise ResourceError(
            f"{search.recipe.name}: the incumbent parameters could not be tried on the validation "
            "period, so nothing can be compared with them (see the trials above)."
        )
    best = max(complete, key=lambda trial: (trial.value, -trial.number))
    number = trial_numbers(study)[best.number]
    of_best, of_incumbent = (
        EraScores(**trial.user_attrs[SCORES]).payoff(*context.weights)
        for trial in (best, incumbent)
    )
    gain, low = gain_bound(of_best, of_incumbent, context.overlap_eras, params.adopt_level)
    rows = _trial_rows(study, context)
    probability = _overfitting(rows, context)
    luck = _overfitted(probability, params)
    adopted = best is not incumbent and low is not None and low > 0 and not luck
    recipe = search.recipe
    decision = {
        "source": f"trial {number}" if adopted else before["source"],
        "params": before["params"],
        "point": incumbent.params,
        "best_trial": number,
        "gain": gain,
        "gain_low": low,
        "overfitting": probability,
        "adopted": adopted,
        "trials": rows,
    }
    if adopted:
        tuned = recipe.params.model_copy(update=params_at(best.params, recipe.params))
        decision |= {"params": tuned.model_dump(mode="json"), "point": best.params}
    decision["verdict"] = verdict(decision, params)
    return decision


def _overfitting(trials: Sequence[Mapping[str, Any]], context: TuningContext) -> float | None:
    """Probability that the best of a study's complete trials is best by luck."""
    payoffs = [trial["payoff"] for trial in trials if trial["state"] == "complete"]
    scores = np.array(payoffs, dtype=float).T
    return probability_of_overfitting(scores, context.overlap_eras) if payoffs else None


def _overfitted(probability: float | None, params: TuningParams) -> str:
    """A clause if the probability of overfitting is too high, else empty."""
    if probability is None or probability <= params.max_overfitting:
        return ""
    limit = short(params.max_overfitting)
    return f"found overfitted (probability {short(probability)}, wanted at most {limit})"


def verdict(decision: Mapping[str, Any], params: TuningParams) -> str:
    """The result of tuning in one sentence."""
    if decision["best_trial"] == 0:
        return f"no trial was better than {decision['source']}, which stays"
    gain = f"trial {decision['best_trial']} gains {decision['gain']:.4f} an era"
    if decision["gain_low"] is None:
        return f"{gain}, on too few eras to tell; {decision['source']} stays"
    bound = f"{100 * params.adopt_level:.0f}% lower bound {decision['gain_low']:.4f}"
    if decision["adopted"]:
        return f"{gain} ({bound}): adopted"
    if decision["gain_low"] > 0:
        luck = _overfitted(decision["overfitting"], params)
        return f"{gain} ({bound}), and is {luck}; {decision['source']} stays"
    return f"{gain} ({bound}, must be above 0); {decision['source']} stays"


def _trial_rows(study: optuna.Study, context: TuningContext) -> list[dict[str, Any]]:
    rows, numbers = [], trial_numbers(study)
    for trial in study.get_trials(deepcopy=False):
        if not trial.state.is_finished() or trial.number not in numbers:
            continue
        scores = EraScores(**trial.user_attrs.get(SCORES, dataclasses.asdict(NOTHING)))
        rows.append(
            {
                "trial": numbers[trial.number],
                "state": trial.state.name.lower(),
                "objective": trial.value,
                "params": trial.params,
                **dataclasses.asdict(scores),
                "payoff": scores.payoff(*context.weights).tolist(),
                "ended": trial.user_attrs.get("ended"),
                "recoveries": trial.user_attrs.get(RECOVERIES, []),
                "seconds": trial.user_attrs.get("seconds"),
            }
        )
    return rows


COLUMNS = (
    "study",
    "first_era",
    "trial",
    "state",
    "objective",
    "params",
    "eras",
    "corr",
    "bmc",
    "payoff",
    "ended",
    "recoveries",
)
AS_JSON = ("params", "recoveries")  # families have different ones; lists of dicts are no column


def _trials_frame(trials: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per trial; parameters and recoveries as sorted JSON."""
    rows = [
        [json.dumps(row[c], sort_keys=True) if c in AS_JSON else row[c] for c in COLUMNS]
        for row in ({"recoveries": [], **trial} for trial in trials)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _no_predictions() -> pd.DataFrame:
    return pd.DataFrame({"id": pd.Series(dtype=object), "era": pd.Series(dtype="int32")}).assign(
        prediction=pd.Series(dtype="float32")
    )
