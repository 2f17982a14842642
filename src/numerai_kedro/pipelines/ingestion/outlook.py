"""What the files hold by their footers, and the folds to come, before any download."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from numerai_kedro.compute.machine import Machine
from numerai_kedro.compute.plan import Data
from numerai_kedro.data.folds import (
    EraRange,
    Folds,
    Periods,
    live_fit_eras,
    walk_forward_folds,
)
from numerai_kedro.errors import DownloadError, TournamentError
from numerai_kedro.files.remote_reader import RemoteReader
from numerai_kedro.files.verified import is_as_verified
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.schema import FeatureMetadata, overlap_eras, parse_era
from numerai_kedro.runtime.parameters import IngestionParams
from numerai_kedro.training import Cost
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.transforms import derives_columns

logger = logging.getLogger(__name__)

FILES = ("train.parquet", "validation.parquet")


@dataclass(frozen=True)
class History:
    """What the files hold, by their footers.

    Parameters
    ----------
    last_era
        The newest era with features.
    features
        Those that models learn from.
    groups
        The same by official group.
    derived
        Columns that a transformation adds, by its name.
    """

    data: Data
    last_era: int
    features: list[str]
    groups: list[list[str]]
    derived: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        tournament: Client,
        machine: Machine,
        metadata: FeatureMetadata,
        params: IngestionParams,
    ) -> History:
        """Read the footers of the history files; if unavailable, of the files verified earlier."""
        footers = {name: _footer(tournament, machine, name) for name in FILES}
        features = features_of(metadata, params)
        missing = {
            name: size
            for name, (_, _, size) in footers.items()
            if machine.downloaded.get(name) != size
        }
        data = Data(
            download_bytes=sum(size for _, _, size in footers.values()),
            missing_bytes=sum(missing.values()),
            n_rows=sum(rows for rows, _, _ in footers.values()),
            n_features=len(features) + len(neutral_features(metadata, params)),
            replaced_bytes=max((machine.downloaded.get(name, 0) for name in missing), default=0),
        )
        last_era = max(era for _, era, _ in footers.values())
        return cls(data, last_era, features, metadata.groups(features))

    def cost(self, recipe: Recipe, eras: tuple[int, int]) -> Cost:
        """Cost of one fit on a range of eras, taking eras as equally long."""
        share = (eras[1] - eras[0] + 1) / self.last_era
        n_rows = round(self.data.n_rows * share / recipe.era_stride)
        return recipe.cost(n_rows, self.n_columns(recipe.transforms))

    def n_columns(self, transforms: Sequence[str]) -> int:
        """How many columns a model learns from."""
        derived = (self.derived[name] for name in derives_columns(transforms))
        return len(self.features) + sum(derived)


def folds_to_be(params: IngestionParams, history: History) -> Folds:
    """What `cut_folds` will return, as far as it follows from numbers and names alone."""
    period = _test_period(params, history.last_era)
    names: tuple[list[str], list[str], list[list[str]]] = (history.features, [], history.groups)
    return folds_of(params, names, (1, history.last_era), period, {})


def folds_of(
    params: IngestionParams,
    names: tuple[list[str], list[str], list[list[str]]],
    history: EraRange,
    test: EraRange,
    resolved_to: dict[str, int],
) -> Folds:
    """Cut history into periods and folds.

    Parameters
    ----------
    names
        Features that models learn, those that FNC neutralises to, and the former by group.
    test
        The test period.
    """
    borders = params.borders
    cut = functools.partial(walk_forward_folds, purge_eras=params.purge_eras)
    features, neutral, groups = names
    return Folds(
        size=params.size,
        target=params.target,
        paid_target=params.paid_target,
        features=features,
        neutral_features=neutral,
        groups=groups,
        purge_eras=params.purge_eras,
        valid_eras=borders.valid_eras,
        refit_eras=params.refit_eras,
        test_fold_eras=borders.test_fold_eras,
        history=history,
        periods=Periods(
            warm_up=(history[0], borders.warm_up_end), validation=borders.validation, test=test
        ),
        resolved_to=resolved_to,
        validation=cut(borders.validation, borders.validation_fold_eras, name="validation"),
        test=cut(test, borders.test_fold_eras, name="test"),
        live_fit=live_fit(params, history[1]),
    )


def windows_to_be(params: IngestionParams, last_era: int) -> list[tuple[int, int]]:
    """Training eras of every fit of a week whose newest era is `last_era`."""
    period = _test_period(params, last_era)
    fold_eras = params.borders.test_fold_eras
    folds = walk_forward_folds(period, fold_eras, params.purge_eras, "test")
    return [*(fold.train for fold in folds), live_fit(params, last_era)]


def live_fit(params: IngestionParams, last_era: int) -> tuple[int, int]:
    """Eras that the model which predicts live learns from."""
    begin = params.borders.test_begin
    return live_fit_eras(begin, last_era + 1, params.refit_eras, params.purge_eras)


def features_of(metadata: FeatureMetadata, params: IngestionParams) -> list[str]:
    """Names of the set that models learn from; `auto` is what a 16 GB machine holds easily."""
    name = params.feature_set
    if name == "auto":
        name = "all" if params.tournament == "demo" else "medium"
    return metadata.features(name)


def neutral_features(metadata: FeatureMetadata, params: IngestionParams) -> list[str]:
    """Names of the set that FNC neutralises to."""
    return metadata.features(params.neutral_feature_set)


def _test_period(params: IngestionParams, last_era: int) -> tuple[int, int]:
    """The test period, up to where targets should be resolved."""
    begin = params.borders.test_begin
    return begin, max(begin, last_era - overlap_eras(params.paid_target) - 1)


def _footer(tournament: Client, machine: Machine, name: str) -> tuple[int, int, int]:
    """Rows, newest era and bytes of a parquet file, from its footer alone.

    Of the remote file; if that is unavailable, of the one verified earlier, which the download
    then falls back to as well.
    """
    remote = tournament.remote_file(name)
    try:
        with RemoteReader(remote) as reader:
            return _read_footer(_remote_metadata(reader, name), reader.size)
    except (DownloadError, TournamentError) as missing:
        before = machine.raw_folder / name
        # The download compares its bytes.
        if not is_as_verified(before, remote.name, math.inf):
            raise
        logger.warning("plan: %s: uses the file verified earlier: %s", name, missing)
        return _read_footer(pq.read_metadata(before), before.stat().st_size)


def _remote_metadata(reader: RemoteReader, name: str) -> pq.FileMetaData:
    try:
        return pq.read_metadata(reader)
    except pa.ArrowException as damaged:
        raise DownloadError(
            f"{name}: what the server offers is no parquet file ({damaged}); try again later."
        ) from None


def _read_footer(metadata: pq.FileMetaData, size: int) -> tuple[int, int, int]:
    column = metadata.schema.names.index("era")
    newest = [
        group.column(column).statistics
        for group in (metadata.row_group(number) for number in range(metadata.num_row_groups))
    ]
    eras = [parse_era(stats.max) for stats in newest if stats is not None and stats.has_min_max]
    return metadata.num_rows, max(eras, default=0), size
