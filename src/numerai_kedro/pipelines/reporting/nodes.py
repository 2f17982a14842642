"""Scores of finished rounds, figures, the page, and the summary that ends a run."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from numerai_kedro.cache.provenance import ENSEMBLE, procedure_of
from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.data.folds import Folds
from numerai_kedro.data.version_change import change_text
from numerai_kedro.datasets.atomic_file import without_nan
from numerai_kedro.ensemble.holdout import returns_of
from numerai_kedro.errors import Failed, NumeraiKedroError
from numerai_kedro.gate.champion_store import VersionStore
from numerai_kedro.metrics.intervals import mean_interval
from numerai_kedro.metrics.payout import PayoutRule, forecast_burn, growth
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.schema import FeatureMetadata, overlap_eras
from numerai_kedro.reporting.dashboard.feature_figures import (
    effect_and_importance,
    effects_by_era,
    latent_summary,
    volcano,
)
from numerai_kedro.reporting.dashboard.figures import (
    burn_density,
    cumulative,
    drawdown,
    exposure,
    importance_by_era_figure,
    importance_figure,
    live_scores_figure,
    optimisation_history,
    payout_growth,
    strength_figure,
    version_trend,
    weights_over_time,
)
from numerai_kedro.reporting.dashboard.graph_figure import feature_graph_figure
from numerai_kedro.reporting.dashboard.page import render_page
from numerai_kedro.reporting.importance import drifting
from numerai_kedro.reporting.leaderboard import (
    leaderboard,
    option_worth,
    parameter_importance,
)
from numerai_kedro.reporting.live_record import (
    expected_vs_realized,
    live_record,
    newest_versions,
)
from numerai_kedro.reporting.versions import code_version, paired_versions
from numerai_kedro.runtime.parameters import FeatureParams, IngestionParams
from numerai_kedro.training.engineered import window_name
from numerai_kedro.training.importance import COLUMNS as IMPORTANCE_COLUMNS
from numerai_kedro.training.tuning.decide import COLUMNS

logger = logging.getLogger(__name__)

PLOT_TITLES = (
    "Cumulative CORR",
    "Cumulative MMC",
    "Drawdown",
    "Weights over time",
    "Feature exposure",
    "Payout simulation",
    "Burn forecast",
    "Live scores",
    "Optimisation history",
    "Parameter importance",
    "Effects of features",
    "Effects over eras",
    "Feature importance over time",
    "Effect and importance",
    "Latents",
    "Graph of the features",
    "Strength of regularisation",
    "Trend across versions",
)
LEDGER_COLUMNS = (
    "model",
    "stage",
    "time",
    "place",
    "symptom",
    "evidence",
    "remedy",
    "result",
)
SCORE_COLUMNS = (
    "roundNumber",
    "displayName",
    "version",
    "day",
    "value",
    "percentile",
    "resolved",
)


def fetch_live_scores(tournament: Client, slots: dict[str, str]) -> dict[str, pd.DataFrame]:
    """All daily scores of this account's slots, by slot.

    Scores that cannot be fetched stay as they were: the report neither fails nor loses any.
    """
    fetched: dict[str, pd.DataFrame] = {}
    try:
        models = tournament.models()
        for slot in [slot for slot in slots if slot in models]:
            scores = tournament.scores(models[slot])
            if len(scores):
                order = ["roundNumber", "displayName", "day"]
                newest = newest_versions(scores)[[*SCORE_COLUMNS]]
                fetched[slot] = newest.sort_values(order, ignore_index=True)
    except NumeraiKedroError as error:
        logger.warning("live scores: %s", error)
    return fetched


def join_history(
    live_scores: dict[str, pd.DataFrame], gate_decision: dict[str, dict[str, Any]]
) -> pd.DataFrame:
    """Compare expected scores of the backtest with realised ones, round by round."""
    return live_record(live_scores, gate_decision)


def draw_cumulative(
    era_scores: pd.DataFrame, backtest_report: dict[str, Any]
) -> tuple[go.Figure, go.Figure]:
    """Cumulative CORR and MMC of ensemble, members and benchmark."""
    models = backtest_report["models"]
    corr, mmc = (
        cumulative(
            era_scores, score, {name: scores[score]["text"] for name, scores in models.items()}
        )
        for score in ("corr", "mmc")
    )
    return corr, mmc


def draw_weights(ensemble_weights: pd.DataFrame) -> go.Figure:
    """Weights of the members, era by era."""
    return weights_over_time(ensemble_weights)


def draw_exposure(era_scores: pd.DataFrame) -> go.Figure:
    """Largest feature exposure, era by era."""
    return exposure(era_scores)


def draw_payout(
    era_scores: pd.DataFrame, score_weights: dict[str, float], folds: Folds
) -> tuple[go.Figure, go.Figure]:
    """What a stake would have become, and what the next weeks may earn or burn."""
    rule, overlap = PayoutRule(**score_weights), overlap_eras(folds.paid_target)
    grown, forecasts = {}, {}
    names = sorted(era_scores["model"].unique(), key=lambda name: (name != "ensemble", name))
    for name in names:
        rows = era_scores[era_scores["model"] == name].sort_values("era")
        paid = returns_of(rows, rule, overlap)
        grown[name] = (rows["era"].tolist(), growth(paid).tolist())
        forecast = forecast_burn(paid, overlap)
        if forecast is not None:
            values = np.linspace(forecast.quantile(0.001), forecast.quantile(0.999), 121)
            density = forecast.density(values)
            forecasts[name] = {"returns": values.tolist(), "density": density.tolist()}
    return payout_growth(grown), burn_density(forecasts)


def compare_schemes(scheme_scores: pd.DataFrame, folds: Folds) -> pd.DataFrame:
    """Every weighting scheme compared with equal weights, paired era by era."""
    overlap = overlap_eras(folds.paid_target)
    table = scheme_scores.pivot(index="era", columns="scheme")
    rows = []
    for scheme in scheme_scores["scheme"].unique():
        row = {"scheme": str(scheme)}
        for score in ("corr", "mmc", "payoff"):
            values = table[score][scheme].to_numpy()
            row[score] = str(mean_interval(values, overlap))
            against = values - table[score]["equal"].to_numpy()
            row[f"{score}_gain"] = str(mean_interval(against, overlap))
        rows.append(row)
    return pd.DataFrame(rows)


def note_version(
    era_scores: pd.DataFrame,
    procedures: dict[str, str],
    weights: pd.DataFrame,
    score_weights: dict[str, float],
    folds: Folds,
    version_store: VersionStore,
    **readings: Any,
) -> pd.DataFrame:
    """Store the results of this code and configuration, and compare all versions.

    Readings are ``{model}__fold`` and so on, each from the newest run in which its node worked.
    """
    rule, overlap = PayoutRule(**score_weights), overlap_eras(folds.paid_target)
    rows = era_scores[era_scores["model"] == "ensemble"].sort_values("era")
    paid = rows.assign(payoff=returns_of(rows, rule, overlap)).dropna(subset=["payoff"])
    # A stage that is off, postponed or failed may have no seconds to report.
    measured = [
        reading
        for reading in readings.values()
        if isinstance(reading, dict) and "seconds" in reading
    ]
    record = {
        "seconds": sum(reading["seconds"] for reading in measured),
        "peak_gb": max(
            (m["peak_gb"] for reading in measured for m in reading["memory"]), default=0.0
        ),
        "scores": {
            score: dict(zip(paid["era"].astype(str), paid[score], strict=True))
            for score in ("payoff", "corr", "mmc")
        },
    }
    procedure = procedure_of(ENSEMBLE, procedures, weights)
    version_store.keep(code_version(), procedure, without_nan(record))
    return paired_versions(version_store.all())


def draw_versions(version_history: pd.DataFrame) -> go.Figure:
    """Payoff, CORR, MMC, minutes and memory by version."""
    return version_trend(version_history)


def draw_drawdown(era_scores: pd.DataFrame) -> go.Figure:
    """Drawdown of cumulative CORR."""
    return drawdown(era_scores)


def draw_live_scores(live_scores: dict[str, pd.DataFrame]) -> go.Figure:
    """Newest live score of each round."""
    frames = [
        frame.assign(
            displayName=frame["displayName"] + (f" · {slot}" if len(live_scores) > 1 else "")
        )
        for slot, frame in live_scores.items()
    ]
    empty = pd.DataFrame(columns=[*SCORE_COLUMNS])
    return live_scores_figure(pd.concat(frames) if frames else empty)


def build_summary(
    round_info: dict[str, Any],
    folds: Folds,
    report: dict[str, Any],
    gate_decision: dict[str, Any],
    receipts: dict[str, Any],
    slots: dict[str, str],
    resource_plan: dict[str, Any],
    run_history: pd.DataFrame,
    importance_history: pd.DataFrame,
    score_weights: dict[str, float],
    payout_notes: list[str],
    version_change: dict[str, Any],
    scheme_report: pd.DataFrame,
    champions: dict[str, Any],
    neutralisation: dict[str, Any],
    feature_report: dict[str, pd.DataFrame],
    drifting_effects: list[dict[str, Any]],
    latent_report: Any,
    graph_changes: Any,
    graph_report: Any,
    option_report: pd.DataFrame,
    params: IngestionParams,
    **outcomes: dict[str, Any],
) -> dict[str, Any]:
    """Gather the results of the run for its last lines and for the page."""
    # Decisions and receipts of earlier rounds are inputs, too, but not part of this report.
    current = [f"{round_info['number']}-{slot}" for slot in slots]
    return {
        "round": round_info,
        "data": {
            "tournament": params.tournament,
            "version": round_info["data_version"],
            "target": folds.paid_target,
            "trained_on": folds.target,
            "first_era": folds.history[0],
            "last_era": folds.history[1],
            "resolved_to": folds.resolved_to[folds.paid_target],
            "n_features": len(folds.features),
            "version_change": change_text(version_change) if version_change else "",
        },
        "scores": report["models"],
        "eras": report["eras"],
        "outcomes": outcomes,
        "gate": {key: gate_decision[key] for key in current if key in gate_decision},
        "receipts": {key: receipts[key] for key in current if key in receipts},
        "cuts": resource_plan["cuts"],
        "weights": score_weights,
        "payout_notes": payout_notes,
        "drift": {
            str(model): drifting(rows) for model, rows in importance_history.groupby("model")
        },
        "live": expected_vs_realized(run_history),
        "schemes": scheme_report.to_dict("records"),
        "champions": champions,
        "neutralisation": neutralisation,
        "features": {
            "verdicts": {
                name: report["verdict"].value_counts().to_dict()
                for name, report in sorted(feature_report.items())
            },
            "drift": drifting_effects,
            "latents": latent_report.symptom
            if isinstance(latent_report, Failed)
            else latent_report["text"],
        },
        "graph": _graph_summary(graph_changes, graph_report),
        "options": option_report.to_dict("records"),
        "worth": {
            name: report[name] for name in ("n_procedures", "superior_to_benchmark", "overfitting")
        },
    }


def _graph_summary(changes: Any, report: Any) -> dict[str, Any]:
    """The page's data on the graph, or why there are none."""
    failed = [entry.symptom for entry in (changes, report) if isinstance(entry, Failed)]
    comparison = {"models": [], "text": failed[0]} if failed else report
    if isinstance(changes, Failed):
        return {"windows": [], "since": None, **comparison}
    return {**changes, **comparison}


def join_trials(**trials: Any) -> pd.DataFrame:
    """All trials of all families over all weeks, one row each."""
    finished = {name: frame for name, frame in trials.items() if not isinstance(frame, Failed)}
    frames = [frame.assign(model=name) for name, frame in sorted(finished.items()) if len(frame)]
    empty = pd.DataFrame(columns=["model", *COLUMNS])
    return pd.concat(frames, ignore_index=True)[empty.columns] if frames else empty


def join_recovery(**entries: Any) -> pd.DataFrame:
    """All faults and their remedies, by time; inputs are named ``{model}__{entry}``."""
    stages = {"trials": "tune", "recovery": "walk_forward", "fit_report": "fit"}
    rows = []
    for key, entry in entries.items():
        model, _, kind = key.partition("__")
        rows += [{"model": model, "stage": stages[kind], **line} for line in _lines(entry)]
    ledger = pd.DataFrame(rows, columns=[*LEDGER_COLUMNS])
    return ledger.sort_values(["time", "model", "stage"], kind="stable", ignore_index=True)


def _lines(entry: Any) -> list[dict[str, Any]]:
    if isinstance(entry, Failed):
        return list(entry.remedies)
    if isinstance(entry, pd.DataFrame):
        return [line for lines in entry["recoveries"] for line in json.loads(lines)]
    return list(entry["lines"])


def join_importance(**importance: Any) -> pd.DataFrame:
    """Importance of every feature in every model and block of eras."""
    finished = {n: frame for n, frame in importance.items() if not isinstance(frame, Failed)}
    frames = [frame.assign(model=name) for name, frame in sorted(finished.items()) if len(frame)]
    empty = pd.DataFrame(columns=["model", *IMPORTANCE_COLUMNS])
    return pd.concat(frames, ignore_index=True)[empty.columns] if frames else empty


def draw_importance(importance_history: pd.DataFrame) -> go.Figure:
    """What CORR loses without a feature, by block of eras."""
    return importance_by_era_figure(importance_history)


def draw_effects(
    linear: pd.DataFrame,
    feature_report: dict[str, pd.DataFrame],
    folds: Folds,
    params: FeatureParams,
) -> tuple[go.Figure, go.Figure]:
    """Effects of features against their significance, and over eras with the tests' regimes."""
    newest = folds.live_fit[1]
    report = feature_report[window_name(newest)]
    eras = linear.index[linear.index <= newest]
    rule = params.rule(folds.purge_eras, overlap_eras(folds.target))
    regimes = [(int(eras[regime][0]), int(eras[regime][-1])) for regime in rule.regimes(len(eras))]
    return volcano(report, params.q), effects_by_era(linear, report, regimes, newest)


def draw_trend(effect_trend: pd.DataFrame, importance_history: pd.DataFrame) -> go.Figure:
    """Effects of single features, and what models lose without them."""
    return effect_and_importance(effect_trend, importance_history)


def draw_latents(latent_report: Any) -> go.Figure:
    """What the autoencoders keep, and whether that beats principal components."""
    return latent_summary(None if isinstance(latent_report, Failed) else latent_report)


def draw_graph(feature_graph: Any, feature_metadata: dict[str, Any]) -> go.Figure:
    """Clusters of features and the edges between them, window by window."""
    groups = FeatureMetadata.read(feature_metadata).group_of()
    if isinstance(feature_graph, Failed):
        return feature_graph_figure({}, groups)
    graphs = {name: FeatureGraph.from_json(graph) for name, graph in sorted(feature_graph.items())}
    return feature_graph_figure(graphs, groups)


def compare_options(history: pd.DataFrame, folds: Folds) -> pd.DataFrame:
    """Paired gains of the options of each model on the validation period."""
    return option_worth(history, overlap_eras(folds.paid_target))


def rank_trials(history: pd.DataFrame, folds: Folds) -> pd.DataFrame:
    """The best trials of all families, with intervals."""
    return leaderboard(history, overlap_eras(folds.paid_target))


def draw_optimisation_history(history: pd.DataFrame) -> go.Figure:
    """Objective of every trial."""
    return optimisation_history(history)


def draw_parameter_importance(history: pd.DataFrame) -> go.Figure:
    """The share of the objective's variation that each parameter explains."""
    return importance_figure(parameter_importance(history))


def draw_strength(**outcomes: dict[str, Any]) -> go.Figure:
    """Strengths that each fold of an adaptive model tried, in order."""
    rungs = {
        f"{model} · {fold}": [[rung["strength"] for rung in climb]]
        for model, outcome in sorted(outcomes.items())
        for fold, climb in outcome.get("rungs", {}).items()
    }
    return strength_figure(rungs)


def build_dashboard(
    summary: dict[str, Any], leaders: pd.DataFrame, ledger: pd.DataFrame, *plots: go.Figure
) -> str:
    """Put verdict, tables and plots on one page that opens offline."""
    drawn = dict(zip(PLOT_TITLES, plots, strict=True))
    return render_page(
        summary, {t: plot for t, plot in drawn.items() if not _is_empty(plot)}, leaders, ledger
    )


def _is_empty(plot: go.Figure) -> bool:
    """Whether a plot shows neither data nor a note."""
    return not plot.data and not plot.layout.annotations
