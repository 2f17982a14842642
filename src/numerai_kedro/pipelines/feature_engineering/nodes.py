"""What features are worth before any model: effects, verdicts, latents."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute.remedies import failed_fit, until_it_fits
from numerai_kedro.data import EraPanel
from numerai_kedro.data.folds import Folds
from numerai_kedro.data.verdict import Verdict
from numerai_kedro.errors import Failed, PanelError
from numerai_kedro.features.effect_trend import effect_trend, turned_effects
from numerai_kedro.features.era_tables import corr, information_beyond_chance, spearman
from numerai_kedro.features.latent_worth import latent_worth
from numerai_kedro.features.latents import Latents, encode
from numerai_kedro.features.own_transforms import derive
from numerai_kedro.features.screening import screen, weighed
from numerai_kedro.features.stability import with_interactions
from numerai_kedro.features.sufficient import products_of, scores_of
from numerai_kedro.metrics.intervals import mean_interval
from numerai_kedro.models.registry import ENCODER
from numerai_kedro.numerai.schema import overlap_eras
from numerai_kedro.pipelines.base_model import readings_of
from numerai_kedro.pipelines.recipes import (
    asked_recipe,
    ladder,
    not_now,
    without_stopping,
    worker_of,
)
from numerai_kedro.progress import steps_bar
from numerai_kedro.runtime.parameters import EncoderParams, FeatureParams, ResourceParams
from numerai_kedro.training.engineered import record_name, window_name
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.protocol import no_progress
from numerai_kedro.training.walk_forward import with_location
from numerai_kedro.training.windows import live_windows, windows_of

logger = logging.getLogger(__name__)

SCORES = (corr, spearman, information_beyond_chance)


def tabulate(
    history: EraPanel, folds: Folds, era_tables: FoldStore
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Score every feature in every era: CORR, rank correlation, information; read each era once."""
    panel = history.select(features=folds.features)
    with steps_bar("features: eras") as bar:
        eras, tables = scores_of(panel, folds.target, era_tables, SCORES, bar)
    index, names = pd.Index(eras, name="era"), list(panel.feature_names)
    linear, rank, information = (
        pd.DataFrame(table, index=index, columns=names) for table in tables
    )
    return linear, rank, information


def find_verdicts(
    history: EraPanel,
    folds: Folds,
    linear: pd.DataFrame,
    rank: pd.DataFrame,
    information: pd.DataFrame,
    block_gram: FoldStore,
    store: FoldStore,
    plan: dict[str, Any],
    params: FeatureParams,
    resources: ResourceParams,
) -> dict[str, pd.DataFrame]:
    """Give every feature a verdict for every window, from that window's eras alone."""
    panel = history.select(features=folds.features)
    windows = {name: window.train for name, window in windows_of(folds).items()}
    rule = params.rule(folds.purge_eras, overlap_eras(folds.target))
    with steps_bar("features: products of eras") as bar:
        reports = screen(panel, windows, folds.target, linear, rule, block_gram, bar)
    if params.stability.pairs:
        reports = _interactions(reports, windows, panel, folds, store, plan, params, resources)
    for name, report in reports.items():
        inside = slice(*windows[name])
        report = report.assign(
            rank_effect=rank.loc[inside].mean().to_numpy(),
            information=information.loc[inside].mean().to_numpy(),
        )
        reports[name] = weighed(report, params.weights)
    return reports


def _interactions(
    reports: dict[str, pd.DataFrame],
    windows: dict[str, tuple[int, int]],
    panel: EraPanel,
    folds: Folds,
    store: FoldStore,
    plan: dict[str, Any],
    params: FeatureParams,
    resources: ResourceParams,
) -> dict[str, pd.DataFrame]:
    settings, with_stability = params.stability, {}
    recipe, rule = (
        settings.recipe(folds.target, plan["threads"]),
        settings.rule(folds.purge_eras),
    )
    name = "interactions"
    with (
        worker_of(name, resources) as worker,
        steps_bar(f"{name}: windows") as bar,
    ):
        for number, (window, report) in enumerate(reports.items()):
            runner = FitRunner(store, worker, bar).part(number, len(reports))
            with_stability[window] = with_interactions(
                report, panel, windows[window], recipe, rule, runner
            )
            logger.info(
                "discovery, eras up to %s: %d clusters interact; at most %g by chance",
                window,
                with_stability[window].loc[_interacts(with_stability[window]), "cluster"].nunique(),
                settings.by_chance,
            )
    return with_stability


def _interacts(report: pd.DataFrame) -> pd.Series:
    return report["verdict"] == Verdict.INTERACTION


def trace_effects(
    linear: pd.DataFrame,
    feature_report: dict[str, pd.DataFrame],
    folds: Folds,
    params: FeatureParams,
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Follow effects through all eras, and name the clusters whose effect dies or flips."""
    report = feature_report[window_name(folds.live_fit[1])]
    overlap = overlap_eras(folds.target)
    trend = effect_trend(linear, params.trend_eras, overlap)
    clusters = linear[[name for name in report["representative"].dropna().unique()]]
    gap = folds.purge_eras
    return trend, turned_effects(clusters, params.trend_eras, gap, overlap, params.q)


def compress(
    history: EraPanel,
    folds: Folds,
    plan: dict[str, Any],
    schedule: dict[str, Any],
    store: FoldStore,
    params: EncoderParams,
    resources: ResourceParams,
) -> tuple[Any, Any, Any, Any, Any]:
    """Fit an encoder for each window on its eras, and encode what the window's fits will see."""
    model = params.as_model()
    off = not_now(ENCODER, plan, schedule, model, "fits", "compress")
    if off is not None:
        return off, off, off, off, {}
    panel, windows = history.select(features=folds.features), windows_of(folds)
    recipe = asked_recipe(ENCODER, without_stopping(folds), plan, model)
    begin = time.monotonic()
    words, lighter = ladder(ENCODER, plan["models"][ENCODER], model)
    with (
        worker_of(ENCODER, resources) as worker,
        steps_bar(f"{ENCODER}: windows") as bar,
    ):

        def attempt(steps: int) -> dict[str, tuple[Latents, dict[str, Any]]]:
            encoded = {}
            for number, (name, window) in enumerate(windows.items()):
                runner = FitRunner(store, worker, bar).part(number, len(windows))
                encoded[name] = encode(
                    panel, window.train, window.newest, lighter(recipe, steps), runner
                )
                bar(number + 1, len(windows))
            return encoded

        outcome = until_it_fits("compress", ENCODER, words, attempt)
        readings = readings_of(worker, begin)
    if isinstance(outcome, Failed):
        return outcome, outcome, outcome, outcome, readings
    latents = {name: latent for name, (latent, _) in outcome.value.items()}
    encoders = {
        window_name(train[1]): latents[window_name(train[1])].fit.model(store, no_progress)
        for train in live_windows(folds)
    }
    lines = [
        line
        for name, latent in latents.items()
        for line in with_location([latent.fit], f"eras up to {name}", store)
    ]
    recovery = {"lighter": outcome.lighter, "lines": [*outcome.lines(), *lines], "rungs": {}}
    read = {name: reading for name, (_, reading) in outcome.value.items()}
    return latents, encoders, read, recovery, readings


def derive_features(
    history: EraPanel, folds: Folds, store: FoldStore, own_transforms: dict[str, str]
) -> tuple[Any, Any]:
    """Fit each own transformation on every window's eras; derive the columns its fits will see."""
    panel, windows = history.select(features=folds.features), windows_of(folds)
    live = {window_name(train[1]) for train in live_windows(folds)}
    columns: dict[str, Any] = {}
    failures: list[Failed] = []
    with steps_bar("own transformations") as bar:
        for number, (path, source) in enumerate(own_transforms.items()):
            bar(number, len(own_transforms))
            try:
                columns |= {
                    record_name(path, eras.train[1]): derive(
                        path, source, panel, eras.train, eras.newest, store
                    )
                    for eras in windows.values()
                }
            except PanelError as error:  # costs the models that learn from it
                failures.append(failed_fit("derive_features", error))
                logger.warning("own transformations: without %s", error.message)
    if failures and not columns:
        return failures[0], failures[0]
    fitted = {
        record: derived.fitted
        for record, derived in columns.items()
        if record.rpartition("-")[2] in live
    }
    return columns, fitted


def judge_latents(
    history: EraPanel,
    folds: Folds,
    latents: Any,
    encoders: Any,
    block_gram: FoldStore,
    store: FoldStore,
) -> Any:
    """Say what the latents keep, and whether they beat as many principal components."""
    if isinstance(latents, Failed):
        return latents
    panel = history.select(features=folds.features)
    windows = {
        name: window for name, window in windows_of(folds).items() if window.test is not None
    }
    ends = [window.train[1] for window in windows.values()]
    target, rows, differences = folds.paid_target, [], []
    pooled = products_of(panel, ends, block_gram)
    for (name, window), products in zip(windows.items(), pooled, strict=True):
        assert window.test is not None
        worth = latent_worth(
            panel, latents[name], products, window.train, window.test, target, store
        )
        scores = {kind: np.array(worth[kind]) for kind in ("latents", "components")}
        gain = dict(zip(worth["eras"], scores["latents"] - scores["components"], strict=True))
        differences.append(pd.Series(gain))
        rows.append(
            {
                "window": name,
                "first_era": window.test[0],
                "last_era": window.test[1],
                **encoders[name],
                **{kind: float(np.nanmean(values)) for kind, values in scores.items()},
            }
        )
    # Windows of validation and test folds may share an era: it counts once.
    by_era = pd.concat(differences).groupby(level=0).mean()
    interval = mean_interval(by_era.to_numpy(), overlap_eras(target))
    earns = interval.low is not None and interval.low > 0
    loses = interval.high is not None and interval.high < 0
    word = "earn their place" if earns else "lose to them" if loses else "are not distinguishable"
    return {
        "windows": rows,
        "gain": str(interval),
        "earns": earns,
        "text": "CORR of a ridge on latents less that on as many principal components: "
        f"{interval}, so that by this measure latents {word}",
    }
