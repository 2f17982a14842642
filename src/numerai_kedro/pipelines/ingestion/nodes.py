"""Bring in the week's data: round, files, panels and folds."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from numerai_kedro.cache.provenance import version_key
from numerai_kedro.cache.rule_store import RuleStore
from numerai_kedro.data import EraPanel
from numerai_kedro.data.convert import ParquetEras
from numerai_kedro.data.folds import Folds
from numerai_kedro.errors import ConfigurationError, LeakError, SchemaError
from numerai_kedro.files import RemoteFile
from numerai_kedro.files.verified import data_version_of
from numerai_kedro.metrics.payout import PayoutRule
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.payout_rule import read_rule
from numerai_kedro.numerai.schema import (
    ALIAS,
    LIVE_ERA,
    FeatureMetadata,
    horizon_days,
    overlap_eras,
    parse_era,
)
from numerai_kedro.pipelines.ingestion.outlook import features_of, folds_of, neutral_features
from numerai_kedro.runtime.parameters import IngestionParams
from numerai_kedro.training.tuning.context import TuningParams

logger = logging.getLogger(__name__)

FEATURE = "feature_"

MAIN_TARGET = "main"  # what a round may call the target that it is scored on
AFTER_THE_DEADLINE = (
    "what comes now is late, which is scored, not staked, and queued for the next round "
    "(submission.late). kedro tournament wait waits for the next opening."
)


def find_round(tournament: Client, params: IngestionParams) -> dict[str, Any]:
    """Ask for the round, its deadline, how it is scored, and our data version.

    Raises
    ------
    ConfigurationError
        The size belongs to another tournament than the connected one.
    """
    if params.tournament != tournament.name:
        raise ConfigurationError(
            f"ingestion.size: {params.size}: this is a size of the tournament {params.tournament}, "
            f"and {tournament.name} is connected; choose both at once with kedro tournament use."
        )
    tournament.data_files()
    info = tournament.round_info()
    if info.get("target") not in (None, MAIN_TARGET, params.paid_target):
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


def offer(name: str, of_round: bool = False) -> Callable[..., RemoteFile]:
    """Make a node that offers one file of the data version; its dataset downloads it.

    Parameters
    ----------
    of_round
        Whether the file changes with every round; the run's own round's is then offered.
    """

    def offer_file(
        tournament: Client, round_info: dict[str, Any], params: IngestionParams, *after: Any
    ) -> RemoteFile:
        """Name the file to download; `after` only orders it behind other nodes."""
        remote = tournament.remote_file(name, round_info["number"] if of_round else None)
        return replace(remote, recheck_days=params.recheck_days)

    return offer_file


def name_weights(
    round_info: dict[str, Any],
    params: IngestionParams,
    tuning: TuningParams,
    rule_store: RuleStore,
) -> tuple[dict[str, float], list[str]]:
    """Name how this round pays CORR and MMC, and what else it pays that we do not weigh.

    An unfamiliar payout score is a warning on page, receipt and notification. If CORR and MMC of
    the paid target's horizon are clear beside it, those weigh; else the last rule that was
    understood does (`tuning.weights` if there was none). Submissions go on, unless
    `submission.unfamiliar_rule: refuse`. A round that has set no multipliers yet is no warning: the
    last rule goes on weighing.

    Returns
    -------
    dict, list of str
        ``corr``, ``mmc``, ``clip``, ``factor``; and one text for each unfamiliar score, with what
        weighs. They are entries of their own, so that they rarely change.
    """
    number, days = round_info["number"], horizon_days(params.paid_target)
    reading = read_rule(round_info["score_configs"], round_info["payout_factor"], days)
    if reading.rule is not None:
        rule_store.keep(days, number, reading.rule)
        rule, origin = reading.rule, "the rest of its rule weighs"
    elif (last := rule_store.newest(days, number)) is not None:
        rule, origin = last[1], f"the rule of round {last[0]} goes on weighing"
    else:
        rule, origin = PayoutRule(**tuning.weights.model_dump()), "tuning.weights weigh"
    weighs = f"{origin}: {rule.corr:g} x CORR + {rule.mmc:g} x MMC"
    if reading.unfamiliar:
        logger.warning("round %s: %s; %s", number, "; ".join(reading.unfamiliar), weighs)
    elif reading.rule is None:
        logger.info("round %s has not set its multipliers; %s", number, weighs)
    return asdict(rule), [f"{score} ({weighs})" for score in reading.unfamiliar]


def name_version(round_info: dict[str, Any], history: EraPanel) -> dict[str, str]:
    """The data version that models learn from; they must not meet live data of another."""
    return {"data_version": round_info["data_version"]}


def read_history(
    train: Path, validation: Path, feature_metadata: dict[str, Any], params: IngestionParams
) -> ParquetEras:
    """Stream every era that has features, checked row by row, into the panel.

    Raises
    ------
    SchemaError
        The two files are of different data versions.
    """
    versions = [data_version_of(path) for path in (train, validation)]
    if len(set(versions)) > 1:
        raise SchemaError(
            f"train.parquet is of data version {versions[0] or 'unknown'} and validation.parquet "
            f"of {versions[1] or 'unknown'}; run kedro run --pipeline=ingestion, which brings both."
        )
    metadata = FeatureMetadata.read(feature_metadata)
    return ParquetEras(
        [train, validation],
        features=_panel_features(metadata, params),
        targets=[name for name in metadata.targets if name != ALIAS],
        parse_era=parse_era,
        version=versions[0],
    )


def compare_versions(history: EraPanel) -> dict[str, Any]:
    """What the data version changed against the one before; empty without one."""
    change: dict[str, Any] = history.about["version_change"]
    return change


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


def offer_learned_live(
    tournament: Client,
    round_info: dict[str, Any],
    learned_versions: dict[str, str],
    *after: Any,
) -> dict[str, RemoteFile]:
    """Name this round's live file of every other data version that a live fit has learned from.

    A version that is not listed any more has none: the gate blocks what learned from it.
    """
    older = set(learned_versions.values()) - {round_info["data_version"]}
    listed = tournament.listed_versions() if older else set()
    for version in sorted(older - listed):
        logger.warning("data version %s is not listed any more; fits of it cannot predict", version)
    return {
        version_key(version): tournament.remote_file("live.parquet", round_info["number"], version)
        for version in sorted(older & listed)
    }


def read_learned_live(files: dict[str, Path], history: EraPanel) -> dict[str, ParquetEras]:
    """Stream the live stocks of older data versions into panels of one era, with all features.

    The models of a version choose what they read of it, and report what is missing.
    """
    era = int(history.eras[-1]) + 1
    return {
        key: ParquetEras(
            [path],
            features=[
                field.name
                for field in pq.read_schema(path)
                if field.name.startswith(FEATURE) and pa.types.is_int8(field.type)
            ],
            targets=[],
            parse_era=functools.partial(_live_era, era),
        )
        for key, path in files.items()
    }


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
) -> Folds:
    """Cut history into periods and folds; only the test period's end follows the label frontier."""
    if params.purge_eras <= overlap_eras(params.target):
        raise LeakError(
            f"purge_eras: {params.purge_eras}: one {params.target} spans "
            f"{overlap_eras(params.target)} eras; purge more than that "
            "(parameters_ingestion.yml)."
        )
    metadata = FeatureMetadata.read(feature_metadata)
    logger.info("features.json: %s", metadata.group_text())
    period = params.borders
    resolved = history.resolved_eras(params.paid_target)
    if not len(resolved) or resolved[-1] < period.test_begin:
        raise SchemaError(
            f"validation.parquet: {params.paid_target} is resolved in no era from "
            f"{period.test_begin:04d} on, so there is nothing to judge by; check paid_target "
            "and periods (parameters_ingestion.yml)."
        )
    names = (features_of(metadata, params), neutral_features(metadata, params))
    return folds_of(
        params,
        (*names, metadata.groups(names[0])),
        (int(history.eras[0]), int(history.eras[-1])),
        (period.test_begin, int(resolved[-1])),
        {name: int(max(history.resolved_eras(name), default=0)) for name in history.target_names},
    )


def _panel_features(metadata: FeatureMetadata, params: IngestionParams) -> list[str]:
    """Both sets, in alphabetical order, each feature once."""
    return sorted({*features_of(metadata, params), *neutral_features(metadata, params)})


def _live_era(era: int, text: str) -> int:
    if text != LIVE_ERA:
        raise SchemaError(
            f'live.parquet: era is "{text}", expected "{LIVE_ERA}"; delete the file and run '
            "kedro run --pipeline=ingestion to download it again."
        )
    return era
