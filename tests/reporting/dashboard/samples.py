"""A finished run, as the page and the summary get it."""

import json

import numpy as np
import pandas as pd

from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.features.effect_trend import effect_trend
from numerai_kedro.pipelines.reporting.nodes import LEDGER_COLUMNS
from numerai_kedro.reporting.dashboard.feature_figures import (
    effect_and_importance,
    effects_by_era,
    latent_summary,
    volcano,
)
from numerai_kedro.reporting.dashboard.figures import (
    cumulative,
    drawdown,
    importance_by_era_figure,
    importance_figure,
    live_scores_figure,
    optimisation_history,
)
from numerai_kedro.reporting.dashboard.graph_figure import feature_graph_figure
from numerai_kedro.reporting.leaderboard import leaderboard, parameter_importance


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
    line = ["tabm", "walk_forward", "2026-11-27T12:00:00+00:00", "test-1, step 3 of 60"]
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
            "version_change": "",
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
                "warnings": [],
                "checks": [
                    {
                        "label": name,
                        "value": None,
                        "side": "above",
                        "threshold": 0.0,
                        "passed": False,
                        "missed_by": None,
                        "kind": "record",
                        "why": name,
                        "remedy": name,
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
        "features": {
            "verdicts": {"0381": {"stable": 2, "null": 158}},
            "drift": [{"feature": name, "kind": "flips", "before": 0.004, "now": -0.003}],
            "latents": name,
        },
        "graph": {
            "windows": [
                {"window": "0381", "features": 160, "nodes": 20, "edges": 71, "alone": 0},
                {"window": "0385", "features": 160, "nodes": 20, "edges": 72, "alone": 0}
                | {"moved": [name], "new": 2, "gone": 1},
            ],
            "since": {"window": name, "moved": [name], "new": 1, "gone": 3}
            | {"came": [], "left": [name] * 4},
            "models": [
                {"model": name, "control": "random", "gain": ".001", "eras": [1, 80]}
                | {"verdict": "beats it"}
            ],
            "text": name,
        },
        "options": [{"model": name, "option": name, "payoff": ".1", "corr": ".0", "bmc": ".0"}],
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


def feature_report(name="lightgbm"):
    verdicts = ["stable", "unstable", "null", "untestable", "interaction"]
    names = [name, *(f"feature_{k}" for k in range(1, 5))]
    return pd.DataFrame(
        {
            "feature": names,
            "representative": [*names[:3], None, names[4]],
            "verdict": verdicts,
            "effect": [0.009, -0.004, 0.0, np.nan, 0.001],
            "p": [1e-9, 0.02, 0.7, np.nan, 0.4],
            "q": [0.0, 0.08, 0.9, np.nan, 0.6],
        }
    )


def linear_effects(name="lightgbm"):
    rng = np.random.default_rng(0)
    names = feature_report(name)["feature"]
    values = rng.normal(scale=0.01, size=(120, len(names)))
    return pd.DataFrame(values, index=pd.Index(range(1, 121), name="era"), columns=names)


def effect_trend_of(name="lightgbm"):
    return effect_trend(linear_effects(name), 40, 4)


def latent_report(text="latents"):
    window = {"n_latents": 2, "active": 1, "variances": [1.0, 0.0], "told_nats": 1.2}
    window |= {"marginal_nats": 1.6, "latents": 0.01, "components": 0.02}
    spans = [{"window": text, "first_era": 1, "last_era": 9}, {"first_era": 10, "last_era": 19}]
    return {"windows": [window | span for span in spans], "text": text}


def feature_graph(name="lightgbm"):
    edges = ((0, 1), (0, 2), (1, 2))
    return FeatureGraph((name, "b", "c"), (0, 1, 2), edges, (0.5, -0.2, 0.1), (0.4, -0.1, 0.0))


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
        "Effects of features": volcano(feature_report(name), 0.1),
        "Effects over eras": effects_by_era(
            linear_effects(name), feature_report(name), [(1, 30), (40, 60), (70, 100)], 100
        ),
        "Effect and importance": effect_and_importance(effect_trend_of(name), importance(name)),
        "Latents": latent_summary(latent_report(name)),
        "Graph of the features": feature_graph_figure({name: feature_graph(name)}, {name: name}),
        "Parameter importance": importance_figure(parameter_importance(trials(name))),
    }
