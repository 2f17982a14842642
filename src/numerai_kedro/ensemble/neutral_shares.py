"""Which share of a blend is taken out from which era on: one choice for each decision of tuning.

decisions of every model ─► eras from which on models are made otherwise
trials' predictions up to a purge before such an era ─► its share ─► kept, and never revised
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.data import EraPanel
from numerai_kedro.ensemble.blending import blend
from numerai_kedro.ensemble.neutralisation import neutralised
from numerai_kedro.ensemble.weighting import EnsembleParams
from numerai_kedro.files import digest_json
from numerai_kedro.metrics.backtest import align
from numerai_kedro.metrics.intervals import mean_interval
from numerai_kedro.metrics.payout import PayoutRule
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.numerai.schema import benchmark_of, overlap_eras

Share = dict[str, Any]  # first_era, proportion, verdict
NO_SHARE: Share = {"proportion": 0.0, "verdict": "nothing: no share was chosen then"}


def choices_by_era(
    decisions: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[int, dict[str, str]]:
    """What each tuned model is made by, from each era on in which that changes, oldest first.

    Parameters
    ----------
    decisions
        By model, oldest first, as `training.tuning.decide.tune` returns them; a model that was
        never tuned has none with a ``study``, and is left out.

    Returns
    -------
    dict
        First era -> model -> study, and digest of the parameters and option that it came to: they
        change where a choice is found overfitted later.
    """
    tuned = {
        name: [decision for decision in of_model if "study" in decision]
        for name, of_model in decisions.items()
    }
    eras = sorted({decision["first_era"] for of_model in tuned.values() for decision in of_model})
    return {
        era: {name: _choice_at(of_model, era) for name, of_model in tuned.items() if of_model}
        for era in eras
    }


def share_of(kept: Sequence[Share], first_era: int, choices: Mapping[str, str]) -> Share:
    """The share effective from an era on, by which models were tuned then.

    Of those that were chosen for that era from no other choices, the one that was chosen from the
    most of these: a model that came or went since changes no share of then.
    """
    fitting = [
        share
        for share in kept
        if share["first_era"] == first_era
        and all(choices.get(name, choice) == choice for name, choice in share["choices"].items())
        and share["choices"].items() & choices.items()
    ]
    # Sorting is stable: of equals the newest is the last.
    fitting.sort(
        key=lambda share: (
            len(share["choices"].items() & choices.items()),
            share["choices"] == choices,
        )
    )
    newest = fitting[-1] if fitting else NO_SHARE
    return {"first_era": first_era} | {name: newest[name] for name in NO_SHARE}


def missing_share(
    kept: Sequence[Share], first_era: int, choices: Mapping[str, str], frames: Mapping[str, Any]
) -> dict[str, str]:
    """The choices that a share from an era on is yet to be chosen from, by model; else none.

    What was chosen from all models, or from all that have predicted, is never chosen again.
    """
    present = {name: choice for name, choice in choices.items() if name in frames}
    chosen_from = [share["choices"] for share in kept if share["first_era"] == first_era]
    return {} if choices in chosen_from or present in chosen_from else present


def effective_share(shares: Sequence[Share], era: int) -> Share:
    """The newest share that is effective in an era."""
    return next((share for share in reversed(shares) if share["first_era"] <= era), NO_SHARE)


def shares_taken_out(
    blends: npt.NDArray[np.float64],
    panel: EraPanel,
    benchmarks: pd.DataFrame,
    paid_target: str,
    features: list[str],
    shares: Sequence[Share],
) -> npt.NDArray[np.float64]:
    """Neutralise each era by the share effective in it; eras without one stay as they are.

    Parameters
    ----------
    blends : float[n_rows, n_columns]
        Of the panel's rows.
    shares
        Oldest first.
    """
    neutral = blends.copy()
    proportions = np.array([effective_share(shares, int(era))["proportion"] for era in panel.eras])
    for proportion in np.unique(proportions[proportions > 0]):
        eras = panel.eras[proportions == proportion]
        rows = np.isin(panel.era_of_rows(), eras)
        inputs = (blends[rows], panel.select(eras=eras), benchmarks, paid_target, features)
        neutral[rows] = neutralised(*inputs, [float(proportion)])
    return neutral


def choose_share(
    frames: Mapping[str, pd.DataFrame],
    before: int,
    features: list[str],
    history: EraPanel,
    paid_target: str,
    benchmarks: pd.DataFrame,
    rule: PayoutRule,
    params: EnsembleParams,
) -> dict[str, Any]:
    """Choose a share by what an equal blend of trials' predictions would have earned with it.

    Parameters
    ----------
    frames
        ``id``, ``era`` and ``prediction`` of every model's trials.
    before
        Nothing is looked at from this era on: a purge before the share's first effective era.
    features
        Names; none for the benchmark.

    Returns
    -------
    dict
        ``proportion`` and ``verdict``.
    """
    common = set.intersection(*(set(frame["era"]) for frame in frames.values()))
    panel = history.select(eras=[era for era in sorted(common) if era < before])
    ids = np.asarray(panel.ids(), dtype=object)
    columns = np.column_stack(
        [frame.set_index("id")["prediction"].reindex(ids) for frame in frames.values()]
    ).astype(float)
    blended = blend(columns, np.ones(len(frames)), panel.era_starts)[:, None]
    proportions = [0.0, *params.proportions]
    candidates = neutralised(blended, panel, benchmarks, paid_target, features, proportions)
    benchmark = align(benchmark_of(benchmarks, paid_target), ids)
    target = panel.target(paid_target).astype(float)
    payoff = rule.returns(*rank_scores(panel.era_starts, candidates, target, [benchmark]))
    best = int(np.nanmean(payoff, axis=0).argmax())
    if best == 0:
        return {"proportion": 0.0, "verdict": "nothing: no share earned more"}
    level = 2 * params.adopt_level - 1
    gain = mean_interval(payoff[:, best] - payoff[:, 0], overlap_eras(paid_target), level=level)
    low = "too few eras" if gain.low is None else f"lower bound {gain.low:.4f}"
    adopted = gain.low is not None and gain.low > 0
    verdict = f"{proportions[best]:g} gains {gain.mean:.4f} ({low})"
    return {
        "proportion": proportions[best] if adopted else 0.0,
        "verdict": f"{verdict}: {'' if adopted else 'not '}adopted",
    }


def _choice_at(decisions: Sequence[Mapping[str, Any]], era: int) -> str:
    """The choice effective in an era; the first one, where none is as old."""
    before = [decision for decision in decisions if decision["first_era"] <= era]
    chosen = (before or decisions[:1])[-1]
    return f"{chosen['study']} {digest_json([chosen['params'], chosen.get('option', {})])}"
