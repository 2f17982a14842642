"""A folder of previously downloaded files in place of the tournament: no network.

The files are treated like downloads: read completely, checked, kept with their digest. Whatever
else a tournament is asked for is answered here: the round is the newest at the modification time of
the live file, and nothing is submitted.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from numerai_kedro.errors import ConfigurationError, SchemaError, TournamentRefused
from numerai_kedro.files import RemoteFile
from numerai_kedro.files.local_answer import path_of
from numerai_kedro.numerai.calendar import (
    EARLIEST_OPENING,
    opening_day,
    round_of_day,
    staking_deadline,
)
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.round_info import RoundInfo
from numerai_kedro.numerai.schema import FeatureMetadata, read_metadata
from numerai_kedro.numerai.transport import Reply

FEATURES, LIVE = "features.json", "live.parquet"
BENCHMARKS = "validation_benchmark_models.parquet"
NEEDED = (
    FEATURES,
    "train.parquet",
    "validation.parquet",
    LIVE,
    "meta_model.parquet",
    "train_benchmark_models.parquet",
    BENCHMARKS,
)
ROWS_BY_ERA = ("train.parquet", "validation.parquet", LIVE)
OTHER_TOURNAMENTS = {
    "numerai_ticker": "Signals",
    "bloomberg_ticker": "Signals",
    "composite_figi": "Signals",
    "friday_date": "Signals",
    "symbol": "Crypto",
}
# Rounds open at noon: a file from the morning belongs to the day before.
OPENS = timedelta(hours=EARLIEST_OPENING.hour)
# How names of benchmark models begin, by data version: v53_lgbm_ender20.
OF_VERSION = re.compile(r"v(\d+)_")
NO_SUBMISSION = (
    "a folder of files takes no submissions; upload the csv by hand, or choose with kedro "
    "tournament use numerai."
)


class FileSource(Client):
    """The files of a folder, as the client of a tournament that offers nothing else.

    Parameters
    ----------
    url
        ``file://`` and the folder.
    data_version
        Of the files.

    Raises
    ------
    ConfigurationError
        The address is not that of a folder on this machine.
    """

    def __init__(self, url: str, data_version: str) -> None:
        super().__init__(url, data_version)
        try:
            self.folder = path_of(url)
        except ValueError as error:
            raise ConfigurationError(f"globals.yml: api_url {error}.") from None

    def data_files(self) -> list[str]:
        """Names of the files, after checking each.

        Raises
        ------
        SchemaError
            A file is missing, or of another tournament, another year or another data version.
        """
        check_folder(self.folder, self.data_version)
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())

    def listed_versions(self) -> set[str]:
        """The one version that there is."""
        return {self.data_version}

    def remote_file(
        self, name: str, round_number: int | None = None, version: str | None = None
    ) -> RemoteFile:
        """A file of the folder."""
        address = (self.folder.absolute() / name).as_uri()
        return RemoteFile(f"{version or self.data_version}/{name}", lambda: address)

    def newest_round(self) -> RoundInfo:
        """The newest round at the modification time of the live file."""
        _check_there(self.folder)
        modified = datetime.fromtimestamp((self.folder / LIVE).stat().st_mtime, UTC)
        number = round_of_day((modified - OPENS).date())
        opens = datetime.combine(opening_day(number), EARLIEST_OPENING)
        now = datetime.now(UTC)
        return RoundInfo(number, opens, staking_deadline(number), None, [], now)

    def round_info(self) -> dict[str, Any]:
        """That round as JSON, with the data version."""
        newest = self.newest_round()
        text = f"round {newest.number}, by the time of {LIVE}; nothing is submitted"
        details = {"data_version": self.data_version, "is_open": True, "text": text}
        return newest.as_json() | details

    def _send(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        authorization: bool = False,
        attempts: int = 1,
        lists: Collection[str] = (),
    ) -> Reply:
        """Refuse: there is nobody to ask."""
        raise TournamentRefused(f"{self.folder}: {NO_SUBMISSION}")

    def models(self) -> dict[str, str]:
        """None."""
        return {}


def check_folder(folder: Path, data_version: str) -> None:
    """Refuse a folder with a file that the pipelines could not read; only footers are read.

    Raises
    ------
    SchemaError
        Names file, column and value.
    """
    _check_there(folder)
    metadata = read_metadata(folder / FEATURES)
    for name in NEEDED[1:]:
        _check_table(folder / name, metadata)
    _check_version(folder / BENCHMARKS, data_version)


def _check_there(folder: Path) -> None:
    for name in NEEDED:
        if not (folder / name).is_file():
            raise SchemaError(
                f"{folder / name}: is missing; put all files of one data version into the folder: "
                f"{', '.join(NEEDED)}."
            )


def _check_table(path: Path, metadata: FeatureMetadata) -> None:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise SchemaError(f"{path}: no whole parquet file ({error}); download it again.") from None
    for column, tournament in OTHER_TOURNAMENTS.items():
        if column in schema.names:
            raise SchemaError(
                f'{path}: column "{column}" is of the tournament {tournament}; this project reads '
                "files of Numerai's classic tournament."
            )
    if len(set(schema.names)) < len(schema.names):
        raise SchemaError(f"{path}: has two columns of one name; download it again.")
    if "era" not in schema.names:
        raise SchemaError(
            f'{path}: column "era" is missing; it is no file of Numerai\'s classic tournament.'
        )
    if path.name in ROWS_BY_ERA:
        _check_rows(path, schema, metadata)


def _check_version(path: Path, data_version: str) -> None:
    """Refuse if all benchmark models are of other versions: no other file names its version."""
    matches = [OF_VERSION.match(name) for name in pq.read_schema(path).names]
    versions = {match[1] for match in matches if match}
    if versions and data_version.removeprefix("v").replace(".", "") not in versions:
        raise SchemaError(
            f"{path}: its models are of v{', v'.join(sorted(versions))}, and data_version is "
            f"{data_version} (globals.yml); choose the files' own with kedro tournament use files "
            "--data-version."
        )


def _check_rows(path: Path, schema: pa.Schema, metadata: FeatureMetadata) -> None:
    names = sorted({name for group in metadata.feature_sets.values() for name in group})
    if path.name == LIVE:  # the live panel checks that all columns it reads exist
        names = [name for name in names if name in schema.names]
    for column in names if path.name == LIVE else (*names, *metadata.targets):
        if column not in schema.names:
            raise SchemaError(
                f'{path}: column "{column}" of {FEATURES} is missing, so the two are of different '
                "data versions; put files of one version into the folder."
            )
    for column in names:
        if schema.field(column).type != pa.int8():
            raise SchemaError(
                f'{path}: column "{column}" is {schema.field(column).type}, not int8: it is a file '
                "of another year; download the data version of globals.yml."
            )
