"""Variations of a recipe, compared once its parameters are chosen.

Era sub-sampling, averaged era offsets, more targets, a strength that adapts. Unlike trials, options
are scored on all the eras that they use: on a trial's fewer eras, the cost of sub-sampling would
not show.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from numerai_kedro.compute.remedies import failed_fit
from numerai_kedro.training.recipe import Option
from numerai_kedro.training.tuning.context import Search, TuningContext, TuningParams
from numerai_kedro.training.tuning.objective import NOTHING, EraScores, gain_bound, objective

logger = logging.getLogger(__name__)

INCUMBENT = "incumbent"
AS_ASKED = "as asked"  # the recipe without an option, a candidate once one was adopted


def option_of(decision: Mapping[str, Any]) -> Option:
    """The option that a decision adopted; an empty one if none."""
    return Option.model_validate(decision.get("option", {}))


def n_candidates(options: Mapping[str, Option]) -> int:
    """How many options are scored, including the incumbent."""
    return 1 + len(options) if options else 0


def decide_option(
    decision: Mapping[str, Any],
    before: Mapping[str, Any],
    score: Callable[[Option, int], tuple[EraScores, list[dict[str, Any]]]],
    search: Search,
    context: TuningContext,
    params: TuningParams,
) -> dict[str, Any]:
    """Adopt the best option by the same rule as trials: the lower bound of its paired gain is > 0.

    Parameters
    ----------
    decision, before
        The decision on parameters just made; the incumbent before it.
    score
        Called with an option and its number; fits and scores it with the parameters just decided,
        and returns its scores and recovery lines.

    Returns
    -------
    dict
        Changes to the decision: ``option``, ``verdict``, and ``trials`` with a row per option,
        including those that could not be fitted.
    """
    now = option_of(before)
    candidates = {name: option for name, option in search.options.items() if option != now}
    if now != Option():
        candidates[AS_ASKED] = Option()
    rows: dict[str, dict[str, Any]] = {}
    for number, (name, option) in enumerate([(INCUMBENT, now), *candidates.items()]):
        begin, ended = time.monotonic(), None
        try:
            scores, lines = score(option, number)
        except Exception as error:  # noqa: BLE001 - `failed_fit` raises bugs again
            failed = failed_fit("tune", error)
            scores, lines, ended = NOTHING, [*failed.remedies], failed.symptom
            logger.warning("%s: option %s: %s", search.recipe.name, name, ended)
        rows[name] = {
            "trial": search.n_trials + number,
            "state": "option",
            "params": option.model_dump(mode="json", exclude_none=True),
            **_score_row(scores, context, params),
            "ended": ended,
            "recoveries": lines,
            "seconds": round(time.monotonic() - begin, 3),
        }
    scored = {name: row for name, row in rows.items() if row["ended"] is None}
    chosen, verdict = now, "options could not be tried"
    if INCUMBENT in scored:
        best, verdict, adopted = _best(scored, context, params)
        chosen = candidates[best] if adopted else now
    return {
        "option": chosen.model_dump(mode="json", exclude_none=True),
        "verdict": f"{decision['verdict']}; {verdict}",
        "trials": [*decision["trials"], *rows.values()],
    }


def _score_row(scores: EraScores, context: TuningContext, params: TuningParams) -> dict[str, Any]:
    payoff = scores.payoff(*context.weights)
    value = objective(payoff, context.overlap_eras, params.risk_aversion) if len(payoff) else None
    return {**dataclasses.asdict(scores), "payoff": payoff.tolist(), "objective": value}


def _best(
    rows: Mapping[str, dict[str, Any]], context: TuningContext, params: TuningParams
) -> tuple[str, str, bool]:
    """Name of the best option, a clause about it, and whether it is adopted."""
    best = max(rows, key=lambda name: (rows[name]["objective"], -rows[name]["trial"]))
    if best == INCUMBENT:
        return best, "no option was better", False
    candidate, incumbent = (
        EraScores(*(rows[name][key] for key in ("eras", "corr", "bmc"))).payoff(*context.weights)
        for name in (best, INCUMBENT)
    )
    gain, low = gain_bound(candidate, incumbent, context.overlap_eras, params.adopt_level)
    if low is None:
        return best, f"option {best} gains {gain:.4f}, on too few eras to tell", False
    adopted = low > 0
    bound = f"{100 * params.adopt_level:.0f}% lower bound {low:.4f}"
    word = "adopted" if adopted else "not sure enough"
    return best, f"option {best} gains {gain:.4f} ({bound}): {word}", adopted
