"""What the tournament's files must be; the only place that knows eras as strings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd
from pydantic import BaseModel, Field, ValidationError

from numerai_kedro.errors import ConfigurationError, LeakError, SchemaError

# `target` has moved from the 20-day to the 60-day target inside one data version.
ALIAS = "target"
META_MODEL = "numerai_meta_model"
LIVE_ERA = "X"
# Feature sets that share no feature: where a feature comes from.
FEATURE_GROUPS = (
    "constitution",
    "charisma",
    "agility",
    "wisdom",
    "strength",
    "serenity",
    "dexterity",
    "intelligence",
)


def parse_era(text: str | None) -> int:
    """Era "0573" as the int 573.

    Raises
    ------
    SchemaError
        It is no zero-padded number.
    """
    if not (text and text.isascii() and text.isdigit() and len(text) >= 4 and int(text) > 0):
        raise SchemaError(
            f'era "{text}" is no positive number such as "0573"; delete the file and run kedro run '
            "--pipeline=ingestion to download it again."
        )
    return int(text)


def format_era(era: int) -> str:
    """Era 573 as the string "0573"."""
    return f"{era:04d}"


def horizon_days(target: str) -> int:
    """Business days that a target looks ahead, from its name: ``target_ender_60`` is 60.

    Raises
    ------
    ConfigurationError
        The alias ``target`` or a name without horizon.
    """
    days = target.rpartition("_")[2]
    if target == ALIAS or days not in {"20", "60"}:
        raise ConfigurationError(
            f'target "{target}": name the target with its horizon, such as target_ender_60; the '
            'alias "target" has changed its meaning inside a data version.'
        )
    return int(days)


def overlap_eras(target: str) -> int:
    """Weekly eras that one target spans: 4 for 20 days, 12 for 60."""
    return horizon_days(target) // 5


def check_horizons(targets: Collection[str], purge_eras: int) -> None:
    """Refuse targets that look ahead as far as the purge reaches, or further.

    Raises
    ------
    LeakError
        Names target, span and purge.
    """
    for target in targets:
        span = overlap_eras(target)
        if span >= purge_eras:
            raise LeakError(
                f"target {target} spans {span} weekly eras, and purge_eras is {purge_eras}: folds "
                "would learn from what their test eras overlap; set ingestion.purge_eras to at "
                f"least {span + 1}, or leave the target out of more_targets."
            )


class FeatureMetadata(BaseModel):
    """features.json: which features and targets there are."""

    feature_sets: dict[str, list[str]] = Field(min_length=1)
    targets: list[str] = Field(min_length=1)

    @classmethod
    def read(cls, content: dict[str, Any]) -> FeatureMetadata:
        """Check the file's content.

        Raises
        ------
        SchemaError
            It lacks a part, or a part is of another kind.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise SchemaError(
                f"features.json: {where}: {first['msg']}; delete the file and run ingestion again."
            ) from None

    def features(self, name: str, parameters: str = "ingestion") -> list[str]:
        """Names of a feature set, in the file's order.

        Raises
        ------
        ConfigurationError
            There is no such set; lists those there are.
        """
        if name not in self.feature_sets:
            raise ConfigurationError(
                f'feature set "{name}" is not in features.json; there are: '
                f"{', '.join(sorted(self.feature_sets))} (parameters_{parameters}.yml)."
            )
        return self.feature_sets[name]

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        """Features by official group, each once, in the order given; those of none come last."""
        left = list(names)
        made = []
        for group in FEATURE_GROUPS:
            members = set(self.feature_sets.get(group, ()))
            made.append([name for name in left if name in members])
            left = [name for name in left if name not in members]
        return [group for group in (*made, left) if group]

    def group_of(self) -> dict[str, str]:
        """Official group of each feature; those of none are missing."""
        made: dict[str, str] = {}
        for group in FEATURE_GROUPS:
            for name in self.feature_sets.get(group, ()):
                made.setdefault(name, group)
        return made

    def check_target(self, name: str) -> None:
        """Refuse a target that the data does not have.

        Raises
        ------
        ConfigurationError
            Unknown, or the alias; lists those there are.
        """
        horizon_days(name)
        if name not in self.targets:
            raise ConfigurationError(
                f'target "{name}" is not in features.json; there are: '
                f"{', '.join(sorted(self.targets))} (parameters_ingestion.yml)."
            )


def meta_model_of(table: pd.DataFrame) -> pd.Series:
    """The stake-weighted meta model's predictions, by id.

    Raises
    ------
    SchemaError
        The file has no such column; lists those it has.
    """
    if META_MODEL not in table:
        raise SchemaError(
            f'meta_model.parquet: column "{META_MODEL}" is missing; it has '
            f"{', '.join(map(str, table.columns))}; delete the file and run ingestion again."
        )
    return table[META_MODEL]


def benchmark_of(benchmarks: pd.DataFrame, target: str) -> pd.Series:
    """The benchmark model that was trained for a target: ``v53_lgbm_ender60`` for the 60 days.

    Raises
    ------
    SchemaError
        There is none, or more than one; names those there are.
    """
    ending = "_lgbm_" + target.removeprefix("target_").replace("_", "")
    names = [str(name) for name in benchmarks.columns if str(name).endswith(ending)]
    if len(names) != 1:
        raise SchemaError(
            f'validation_benchmark_models.parquet: not one column ends in "{ending}"; it has '
            f"{', '.join(map(str, benchmarks.columns))} (paid_target in parameters_ingestion.yml)."
        )
    return benchmarks[names[0]]
