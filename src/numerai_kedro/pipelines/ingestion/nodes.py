"""Bring the week's data in: round, files, panel, folds, and what of the work fits."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from numerai_kedro.errors import LeakError, SchemaError
from numerai_kedro.files import RemoteFile
from numerai_kedro.files.remote_reader import RemoteReader
from numerai_kedro.incremental import FoldStore
from numerai_kedro.models import family
from numerai_kedro.panel import EraPanel
from numerai_kedro.panel.convert import ParquetEras
from numerai_kedro.panel.walk_forward import Fold, live_fit_eras, walk_forward_folds
from numerai_kedro.pipelines.parameters import IngestionParams, ModelParams
from numerai_kedro.resilience.machine import Machine
from numerai_kedro.resilience.plan import Work, era_stride, plan_resources
from numerai_kedro.tournament.client import Client
from numerai_kedro.tournament.round_info import minutes, too_late_for
from numerai_kedro.tournament.schema import (
    ALIAS,
    LIVE_ERA,
    FeatureMetadata,
    overlap_eras,
    parse_era,
)
from numerai_kedro.training.probe import lightgbm_work_per_second
from numerai_kedro.training.walk_forward import Recipe

logger = logging.getLogger(__name__)

AFTER_THE_DEADLINE = (
    "what comes now is late, which is scored, not staked, and queued for the next round; so "
    "nothing will be uploaded. kedro tournament wait waits for the next opening."
)


def find_round(tournament: Client, params: IngestionParams) -> dict[str, Any]:
    """Ask which round it is, until when it is open, how it is scored, and for our data version."""
    tournament.data_files()
    info = tournament.round_info()
    if info.get("target") not in (None, params.paid_target):
        logger.warning(
            "round %s pays %s, and backtest and gate score %s (paid_target in "
            "parameters_ingestion.yml)",
            info["number"],
            info["target"],
            params.paid_target,
        )
    if info["is_open"]:
        logger.info("%s", info["text"])
    else:
        logger.warning("round %s is closed: %s", info["number"], AFTER_THE_DEADLINE)
    return info


def offer(name: str) -> Callable[..., RemoteFile]:
    """Make a node that offers one file of the data version; its dataset downloads it."""

    def offer_file(tournament: Client, *after: Any) -> RemoteFile:
        """Name the file to download; `after` is what must be said or known before."""
        return tournament.remote_file(name)

    return offer_file


def plan(
    tournament: Client,
    feature_metadata: dict[str, Any],
    machine: Machine,
    fold_store: FoldStore,
    params: IngestionParams,
    **models: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit the work to the machine from the files' footers, before anything is downloaded."""
    metadata = FeatureMetadata.read(feature_metadata)
    metadata.check_target(params.target)
    metadata.check_target(params.paid_target)
    footers = {name: _footer(tournament, name) for name in ("train.parquet", "validation.parquet")}
    n_rows = sum(rows for rows, _, _ in footers.values())
    last_era = max(era for _, era, _ in footers.values())
    features = _features(metadata, params)
    recipes = [_preset_recipe(name, raw, params) for name, raw in models.items()]
    costs = [one.family.cost(one.params, n_rows, len(features)) for one in recipes]
    fit_memory_gb = max(cost.memory_gb for cost in costs)
    stride = era_stride(fit_memory_gb, machine)
    windows = _windows(params, last_era)
    work = Work(
        download_bytes=sum(size for _, _, size in footers.values()),
        missing_bytes=sum(
            size for name, (_, _, size) in footers.items() if machine.downloaded.get(name) != size
        ),
        n_rows=n_rows,
        n_features=len(features) + len(_neutral_features(metadata, params)),
        n_fits=sum(
            fold_store.find(dataclasses.replace(one, era_stride=stride).plan_key(eras, features))
            is None
            for one in recipes
            for eras in windows
        ),
        fit_work=max(cost.work for cost in costs),
        fit_memory_gb=fit_memory_gb,
        fit_disk_gb=max(cost.disk_gb for cost in costs),
    )
    # Without a fit to come there is nothing to time: the probe takes seconds itself.
    speed = lightgbm_work_per_second(machine.cores) if work.n_fits else math.inf
    made = plan_resources(work, machine, speed)
    for step in made.steps:
        logger.info(
            "plan: %-8s  memory %5.1f GB  disk %5.1f GB  download %5.1f GB  about %s",
            step.name,
            step.memory_gb,
            step.disk_gb,
            step.download_gb,
            minutes(step.seconds),
        )
    for cut in made.cuts:
        logger.warning("plan: cut: %s", cut)
    hurry = too_late_for(tournament.newest_round(), sum(step.seconds for step in made.steps))
    if hurry is not None:
        logger.warning("plan: %s", hurry)
    return made.decisions(), {"machine": machine.readings(), "steps": made.predictions()}


def _preset_recipe(name: str, raw: Any, params: IngestionParams) -> Recipe:
    """The fit that the parameters ask for, before any data is there."""
    model, model_class = ModelParams.model_validate(raw), family(name)
    chosen = model.chosen(model_class.params_type, name)
    return Recipe(name, model_class, chosen, params.target, 1, model.seed, threads=1)


def _windows(params: IngestionParams, last_era: int) -> list[tuple[int, int]]:
    """Training eras of every fit of a week whose newest era is `last_era`."""
    stretch = params.stretches[params.size]
    frontier = last_era - overlap_eras(params.paid_target) - 1
    judged = (stretch.judged_begin, max(stretch.judged_begin, frontier))
    folds = walk_forward_folds(judged, stretch.judged_fold_eras, params.purge_eras, "judged")
    return [*(fold.train for fold in folds), _live_fit(params, last_era)]


def _live_fit(params: IngestionParams, last_era: int) -> tuple[int, int]:
    begin = params.stretches[params.size].judged_begin
    return live_fit_eras(begin, last_era + 1, params.refit_eras, params.purge_eras)


def read_history(
    train: Path, validation: Path, feature_metadata: dict[str, Any], params: IngestionParams
) -> ParquetEras:
    """Stream every era that has features, checked row by row, into the panel."""
    metadata = FeatureMetadata.read(feature_metadata)
    return ParquetEras(
        [train, validation],
        features=_panel_features(metadata, params),
        targets=[name for name in metadata.targets if name != ALIAS],
        parse_era=parse_era,
    )


def read_live(
    live: Path, feature_metadata: dict[str, Any], history: EraPanel, params: IngestionParams
) -> ParquetEras:
    """Stream the live stocks into a panel of one era, the one after history."""
    metadata = FeatureMetadata.read(feature_metadata)
    era = int(history.eras[-1]) + 1
    return ParquetEras(
        [live],
        features=_panel_features(metadata, params),
        targets=[],
        parse_era=functools.partial(_live_era, era),
    )


def join_benchmarks(train: pd.DataFrame, validation: pd.DataFrame) -> pd.DataFrame:
    """Put the benchmark models' predictions of all eras into one table, indexed by id."""
    joined = pd.concat([train, validation])
    if joined.index.has_duplicates:
        raise SchemaError(
            "validation_benchmark_models.parquet: repeats ids of train_benchmark_models.parquet; "
            "delete both files and run ingestion again."
        )
    return joined.assign(era=joined["era"].map(parse_era).astype("int32"))


def cut_folds(
    history: EraPanel, feature_metadata: dict[str, Any], params: IngestionParams
) -> dict[str, Any]:
    """Cut history into stretches and folds; only the judged end follows the label frontier."""
    if params.purge_eras <= overlap_eras(params.target):
        raise LeakError(
            f"purge_eras: {params.purge_eras}: one {params.target} spans "
            f"{overlap_eras(params.target)} eras; purge more than that "
            "(parameters_ingestion.yml)."
        )
    metadata = FeatureMetadata.read(feature_metadata)
    stretch = params.stretches[params.size]
    resolved = history.resolved_eras(params.paid_target)
    if not len(resolved) or resolved[-1] < stretch.judged_begin:
        raise SchemaError(
            f"validation.parquet: {params.paid_target} is resolved in no era from "
            f"{stretch.judged_begin:04d} on, so there is nothing to judge by; check paid_target "
            "and stretches (parameters_ingestion.yml)."
        )
    frontier = int(resolved[-1])
    judged = (stretch.judged_begin, frontier)
    cut = functools.partial(walk_forward_folds, purge_eras=params.purge_eras)
    return {
        "target": params.target,
        "paid_target": params.paid_target,
        "purge_eras": params.purge_eras,
        "features": _features(metadata, params),
        "neutral_features": _neutral_features(metadata, params),
        "history": [int(history.eras[0]), int(history.eras[-1])],
        "stretches": {
            "warm_up": [int(history.eras[0]), stretch.warm_up_end],
            "tuning": list(stretch.tuning),
            "judged": list(judged),
        },
        "resolved_to": {
            name: int(max(history.resolved_eras(name), default=0)) for name in history.target_names
        },
        "tuning": _as_json(cut(stretch.tuning, stretch.tuning_fold_eras, name="tuning")),
        "judged": _as_json(cut(judged, stretch.judged_fold_eras, name="judged")),
        "live_fit": list(_live_fit(params, int(history.eras[-1]))),
    }


def _as_json(folds: list[Fold]) -> list[dict[str, Any]]:
    return [{"name": f.name, "train": list(f.train), "test": list(f.test)} for f in folds]


def _features(metadata: FeatureMetadata, params: IngestionParams) -> list[str]:
    """Names of the set that models learn from; `auto` is what a 16 GB machine holds easily."""
    name = params.feature_set
    if name == "auto":
        name = "all" if params.tournament == "demo" else "medium"
    return metadata.features(name)


def _neutral_features(metadata: FeatureMetadata, params: IngestionParams) -> list[str]:
    return metadata.features(params.neutral_feature_set)


def _panel_features(metadata: FeatureMetadata, params: IngestionParams) -> list[str]:
    """Both sets, in the order of the set `all`, each feature once."""
    wanted = {*_features(metadata, params), *_neutral_features(metadata, params)}
    return [name for name in metadata.features("all") if name in wanted]


def _live_era(era: int, text: str) -> int:
    if text != LIVE_ERA:
        raise SchemaError(
            f'live.parquet: era is "{text}", expected "{LIVE_ERA}"; delete the file and run '
            "kedro run --pipeline=ingestion to download it again."
        )
    return era


def _footer(tournament: Client, name: str) -> tuple[int, int, int]:
    """Rows, newest era and bytes of a remote parquet file, from its footer alone."""
    with RemoteReader(tournament.remote_file(name)) as reader:
        metadata = pq.read_metadata(reader)
        size = reader.size
    column = metadata.schema.names.index("era")
    newest = [
        group.column(column).statistics
        for group in (metadata.row_group(number) for number in range(metadata.num_row_groups))
    ]
    eras = [parse_era(stats.max) for stats in newest if stats is not None and stats.has_min_max]
    return metadata.num_rows, max(eras, default=0), size
