"""A run that came to something, as the page and the summary get it."""

import json

import numpy as np
import pandas as pd

from numerai_kedro.dashboard.figures import (
    cumulative,
    drawdown,
    importance_by_era_figure,
    importance_figure,
    live_scores_figure,
    optimisation_history,
)
from numerai_kedro.pipelines.reporting.nodes import LEDGER_COLUMNS
from numerai_kedro.statistics.leaderboard import leaderboard, parameter_importance


def scores(text=".0213 [.0031, .0395]"):
    mean = {"mean": 0.02, "low": 0.0, "high": 0.04, "text": text}
    names = ("corr", "mmc", "bmc", "fnc", "payoff", "max_exposure")
    burn = {
        "weeks": 12,
        "mean": 0.1,
        "low": -0.2,
        "high": 0.4,
        "probability": 0.23,
        "n_windows": 10.0,
    }
    return {name: mean for name in names} | {
        "sharpe": 1.31,
        "overlap_sharpe": 0.45,
        "deflated_sharpe": 0.93,
        "max_drawdown": 0.05,
        "burn": burn,
    }


def outcome(remedies=(), refit_failed=None):
    return {
        "status": "finished",
        "source": "preset example",
        "option": {},
        "tuning": "no trial was better than preset example, which stays",
        "remedies": list(remedies),
        "refit_failed": refit_failed,
    }


def leaders(name="lightgbm"):
    return leaderboard(trials(name), overlap_eras=12)


def ledger(evidence="2 GB wanted"):
    line = ["tabm", "walk_forward", "2026-11-27T12:00:00+00:00", "judged-1, step 3 of 60"]
    line += ["out of memory in loading", evidence, "rows are picked before", "training went on"]
    return pd.DataFrame([line], columns=LEDGER_COLUMNS)


def trials(name="lightgbm", n=8):
    rng = np.random.default_rng(0)
    points = [{"max_depth": 3 + k % 5, "learning_rate": 0.01 + k / 100} for k in range(n)]
    return pd.DataFrame(
        {
            "model": name,
            "study": f"{name}-0088",
            "trial": np.arange(n),
            "state": "complete",
            "objective": rng.normal(size=n),
            "params": [json.dumps(point) for point in points],
            "corr": [list(rng.normal(size=70)) for _ in range(n)],
            "bmc": [list(rng.normal(size=70)) for _ in range(n)],
            "payoff": [list(rng.normal(size=70)) for _ in range(n)],
        }
    )


def importance(name="lightgbm"):
    blocks = pd.DataFrame({"first_era": [268, 308], "last_era": [307, 347]})
    rows = blocks.merge(pd.DataFrame({"feature": [name, "other"]}), how="cross")
    return rows.assign(model=name, drop=[0.001, 0.002, 0.0, np.nan], drop_error=0.0001)


def summary(name="lightgbm", detail="accepted for model demo", status="accepted"):
    return {
        "round": {"number": 1412, "text": "round 1412, open for another 47 min"},
        "data": {
            "tournament": "demo",
            "version": "v5.3",
            "target": "target_ender_60",
            "trained_on": "target_ender_60",
            "first_era": 1,
            "last_era": 400,
            "resolved_to": 387,
            "n_features": 160,
        },
        "scores": {"ensemble": scores(), name: scores(), "benchmark": scores()},
        "eras": [268, 387],
        "outcomes": {name: outcome()},
        "gate": {
            "1412-demo": {
                "slot": name,
                "entry": "ensemble",
                "feeds": "ensemble",
                "passed": True,
                "reasons": [],
                "checks": [
                    {
                        "label": name,
                        "value": None,
                        "side": "above",
                        "threshold": 0.0,
                        "passed": False,
                        "missed_by": None,
                        "why": name,
                    }
                ],
            }
        },
        "receipts": {"1412-demo": {"slot": name, "status": status, "detail": detail}},
        "cuts": [],
        "weights": {"corr": 3.0, "mmc": 15.0},
        "schemes": [
            {"scheme": name, "corr": ".02", "mmc": ".01", "payoff": ".2", "payoff_gain": ".0"}
        ],
        "champions": {name: {"entry": name, "round": 1412, "procedure": "a"}},
        "neutralisation": {"proportion": 0.0, "verdict": name},
        "worth": {
            "n_procedures": 4,
            "superior_to_benchmark": 0.03,
            "overfitting": {name: {"study": {"probability": 0.2, "n_trials": 8, "n_pruned": 1}}},
        },
        "drift": {name: [{"feature": name, "kind": "dies", "before": 0.002, "now": 0.0001}]},
        "live": [
            {
                "slot": name,
                "entry": "ensemble",
                "score": "corr60",
                "n_rounds": 14,
                "n_resolved": 12,
                "n_independent": 1,
                "promised": 0.0495,
                "came": 0.0312,
                "gap": None,
                "running": None,
            }
        ],
    }


def figures(name="lightgbm"):
    era_scores = pd.DataFrame(
        {"era": [1, 2, 1, 2], "model": ["ensemble"] * 2 + [name] * 2, "corr": np.arange(4.0)}
    )
    live = pd.DataFrame(
        {
            "roundNumber": [1400],
            "displayName": [name],
            "day": [3],
            "value": [0.01],
            "resolved": [False],
        }
    )
    return {
        "Cumulative CORR": cumulative(era_scores, "corr", {name: ".02"}),
        "Drawdown": drawdown(era_scores),
        "Live scores": live_scores_figure(live),
        "Optimisation history": optimisation_history(trials(name)),
        "Feature importance over time": importance_by_era_figure(importance(name)),
        "Parameter importance": importance_figure(parameter_importance(trials(name))),
    }
