"""Verdicts on features by window; no era after a window is used for it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.cache import FoldStore, code_of
from numerai_kedro.data import EraPanel
from numerai_kedro.data.verdict import Verdict
from numerai_kedro.features.discovery import DiscoveryRule, discover
from numerai_kedro.features.sufficient import Products, effects_of, products_of
from numerai_kedro.training.protocol import FitProgress, no_progress

logger = logging.getLogger(__name__)

Windows = Mapping[str, tuple[int, int]]  # first and newest training era, by name


def screen(
    panel: EraPanel,
    windows: Windows,
    target: str,
    effects: pd.DataFrame,
    rule: DiscoveryRule,
    store: FoldStore,
    progress: FitProgress = no_progress,
) -> dict[str, pd.DataFrame]:
    """Give every feature a verdict for every window.

    Parameters
    ----------
    panel : EraPanel
        The features that models learn.
    windows
        All begin with the panel's first era.
    effects : pandas.DataFrame
        CORR of each feature (a column) in each era (the index), as `sufficient.effects_of` has it.
    store : FoldStore
        Stores products of features, and finished reports.

    Returns
    -------
    dict of pandas.DataFrame
        `features.discovery.discover`, by window.
    """
    by_end = sorted(windows, key=lambda name: windows[name][1])
    keys = {name: _key(panel, windows[name], target, rule) for name in by_end}

    def report(name: str, pooled: Callable[[], Products]) -> pd.DataFrame:
        def build(path: Path) -> None:
            inside = effects.loc[slice(*windows[name])].to_numpy(np.float64)
            correlation = pooled().correlation()
            discover(list(panel.feature_names), inside, correlation, rule).to_parquet(path)

        return pd.read_parquet(store.file(keys[name], build))

    missing = [name for name in by_end if not store.has_file(keys[name])]
    ends = [windows[name][1] for name in missing]
    one_pass = products_of(panel, ends, store, progress) if ends else iter(())
    reports = {
        name: report(name, partial(_itself, products))
        for name, products in zip(missing, one_pass, strict=True)
    }
    for name in by_end:
        if name not in reports:  # stored; a damaged one is computed again from its own products
            own = products_of(panel, [windows[name][1]], store)
            reports[name] = report(name, partial(next, own))
    _say({name: reports[name] for name in by_end}, rule)
    return {name: reports[name] for name in by_end}


def _itself(products: Products) -> Products:
    return products


def weighed(report: pd.DataFrame, weights: Mapping[Verdict, float]) -> pd.DataFrame:
    """The report with a column ``weight``, each feature's weight by its verdict."""
    return report.assign(weight=report["verdict"].map(dict(weights)).astype(np.float64))


def _key(
    panel: EraPanel, window: tuple[int, int], target: str, rule: DiscoveryRule
) -> dict[str, Any]:
    return {
        "report": panel.between(*window).digest(targets=[target]),
        "target": target,
        "rule": dataclasses.asdict(rule),
        "code": code_of(discover, effects_of, products_of, reads=("correlation",)),
    }


def _say(reports: Mapping[str, pd.DataFrame], rule: DiscoveryRule) -> None:
    short = []
    for name, report in reports.items():
        counted = report["verdict"].value_counts()
        counts = ", ".join(
            f"{counted[verdict]} {verdict}" for verdict in Verdict if verdict in counted
        )
        logger.info("discovery, eras up to %s: %s", name, counts)
        if (report["verdict"] == Verdict.UNTESTABLE).all():
            short.append(name)
    if short:
        logger.warning(
            "discovery: nothing can be tested in eras up to %s: regimes of targets that span %d "
            "eras need %d eras with an effect; models may use all features there",
            ", ".join(short),
            rule.overlap_eras,
            rule.eras_needed,
        )
