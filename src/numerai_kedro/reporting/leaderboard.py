"""Trials of all families compared: the best with intervals, and what mattered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from numerai_kedro.metrics.intervals import mean_interval

if TYPE_CHECKING:
    import optuna

LEADERS = 10
# Fewer complete trials say nothing about the importance of parameters.
TRIALS_FOR_IMPORTANCE = 6


def option_worth(history: pd.DataFrame, overlap_eras: int) -> pd.DataFrame:
    """Gains of options over the incumbent on the validation period, paired era by era.

    Parameters
    ----------
    history : pandas.DataFrame
        As `leaderboard` takes it; the first row of state ``option`` in each study is the
        incumbent.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``option``, and the gain in ``payoff``, ``corr`` and ``bmc`` with its interval;
        a dash if the two share no scored era.
    """
    rows = []
    tried = history[history["state"] == "option"]
    for (model, _), ways in tried.groupby(["model", "study"], sort=False):
        incumbent, *options = ways.sort_values("trial").itertuples()
        for other in options:
            row = {"model": str(model), "option": _in_words(other.params)}
            for score in ("payoff", "corr", "bmc"):
                mine, theirs = (
                    pd.Series(getattr(way, score), index=list(way.eras), dtype=float)
                    for way in (other, incumbent)
                )
                gain = (mine - theirs).dropna().sort_index()
                has_eras = len(gain) > 0
                row[score] = str(mean_interval(gain.to_numpy(), overlap_eras)) if has_eras else "–"
            rows.append(row)
    return pd.DataFrame(rows, columns=["model", "option", "payoff", "corr", "bmc"])


def _in_words(params: str) -> str:
    """An option's changes, such as ``features weigh + latents, era_stride 4``."""
    changes = json.loads(params).items()
    return ", ".join(f"{name} {_as_text(value)}" for name, value in changes) or "as asked"


def _as_text(value: Any) -> str:
    return " + ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def leaderboard(history: pd.DataFrame, overlap_eras: int, n: int = LEADERS) -> pd.DataFrame:
    """The best complete trials of all families, with their mean payoff per era and its interval.

    Parameters
    ----------
    history : pandas.DataFrame
        One row a trial: ``model``, ``study``, ``trial``, ``state``, ``objective``, ``params``
        (JSON), and per-era lists ``corr``, ``bmc``, ``payoff``.
    overlap_eras
        How many eras one target spans.

    Returns
    -------
    pandas.DataFrame
        Best first; each family's best trial is included even if it is not among the first `n`.
    """
    whole = history[history["state"] == "complete"]
    whole = whole.sort_values(["objective", "model", "trial"], ascending=[False, True, True])
    best = whole.groupby("model").head(1)
    leaders = pd.concat([whole.head(n), best]).loc[lambda rows: ~rows.index.duplicated()]
    leaders = leaders.sort_values("objective", ascending=False, kind="stable")
    rows = []
    for row in leaders.itertuples():
        interval = mean_interval(np.asarray(row.payoff, dtype=float), overlap_eras)
        rows.append(
            {
                "model": row.model,
                "study": row.study,
                "trial": row.trial,
                "objective": row.objective,
                "payoff": str(interval),
                "corr": float(np.nanmean(row.corr)),
                "bmc": float(np.nanmean(row.bmc)),
                "params": row.params,
            }
        )
    columns = ["model", "study", "trial", "objective", "payoff", "corr", "bmc", "params"]
    return pd.DataFrame(rows, columns=columns)


def parameter_importance(history: pd.DataFrame) -> dict[str, dict[str, float]]:
    """How much of the objective's variation each parameter explains, by family; they sum to 1.

    Families with too few complete trials, or with equal objectives, are left out.

    References
    ----------
    PED-ANOVA: Watanabe, Bansal and Hutter (2023), IJCAI; as Optuna computes it.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    importances = {}
    for model, rows in history[history["state"] == "complete"].groupby("model"):
        if len(rows) < TRIALS_FOR_IMPORTANCE or rows["objective"].nunique() == 1:
            continue
        study = _study_of(rows)
        shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        importances[str(model)] = {name: float(share) for name, share in shares.items()}
    return importances


def _study_of(rows: pd.DataFrame) -> optuna.Study:
    import optuna

    points = [json.loads(params) for params in rows["params"]]
    ranges = {name: _range_of([point[name] for point in points]) for name in points[0]}
    # A parameter that never varied explains nothing.
    moving = {
        name: distribution for name, distribution in ranges.items() if not distribution.single()
    }
    study = optuna.create_study(direction="maximize")
    for point, value in zip(points, rows["objective"], strict=True):
        values = {name: point[name] for name in moving}
        study.add_trial(
            optuna.trial.create_trial(params=values, distributions=moving, value=float(value))
        )
    return study


def _range_of(values: list[Any]) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    # So wide a range was searched on a log scale, and is divided on one here.
    log = min(values) > 0 and max(values) > 20 * min(values)
    if all(isinstance(value, int) for value in values):
        return IntDistribution(min(values), max(values), log=log)
    return FloatDistribution(min(values), max(values), log=log)
