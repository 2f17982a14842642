"""What the tournament's files must look like; the only place that knows eras as strings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from numerai_kedro.errors import ConfigurationError, LeakError, SchemaError

# `target` has moved from the 20-day to the 60-day target inside one data version.
ALIAS = "target"
META_MODEL = "numerai_meta_model"
LIVE_ERA = "X"
# Feature sets that select features; all others are groups, which tell where a feature comes from.
CHOICES = {"small", "medium", "all", "fncv3_features"}
OLDER_VERSION = "_equivalent_features"  # how the name of such a selection ends

# The order of names in the file means nothing: we sort them, and keep each once.
Names = Annotated[list[str], AfterValidator(lambda names: sorted(set(names)))]


def parse_era(text: str | None) -> int:
    """Era "0573" as the int 573.

    Raises
    ------
    SchemaError
        It is not a zero-padded number.
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

    feature_sets: dict[str, Names] = Field(min_length=1)
    targets: Names = Field(min_length=1)

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
        """Names of a feature set, in alphabetical order.

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

    @property
    def group_names(self) -> list[str]:
        """Every set that is a group, in alphabetical order: 13 in v5.3."""
        return [
            name
            for name in sorted(self.feature_sets)
            if name not in CHOICES and not name.endswith(OLDER_VERSION)
        ]

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        """Features by group, each once, in the given order; those without a group come last."""
        group_of = self.group_of()
        by_group: dict[str, list[str]] = {group: [] for group in (*self.group_names, "")}
        for name in names:
            by_group[group_of.get(name, "")].append(name)
        return [group for group in by_group.values() if group]

    def group_of(self) -> dict[str, str]:
        """Group of each feature, the first of several; features without one are left out."""
        groups: dict[str, str] = {}
        for group in self.group_names:
            for name in self.feature_sets[group]:
                groups.setdefault(name, group)
        return groups

    def group_text(self) -> str:
        """How groups divide the features: ``13 groups; 90 features in several, 5 in none``."""
        times = Counter(name for group in self.group_names for name in self.feature_sets[group])
        several = sum(count > 1 for count in times.values())
        none = len(self._sets_of().keys() - times.keys())
        return f"{len(self.group_names)} groups; {several} features in several, {none} in none"

    def change_since(self, earlier: FeatureMetadata) -> str:
        """What became of the features: ``807 added, 0 removed, 3 moved between sets``."""
        old, new = earlier._sets_of(), self._sets_of()
        moved = sum(old[name] != new[name] for name in old.keys() & new.keys())
        return (
            f"{len(new.keys() - old.keys())} features added, {len(old.keys() - new.keys())} "
            f"removed, {moved} moved between sets"
        )

    def _sets_of(self) -> dict[str, set[str]]:
        """Every set that a feature is in."""
        sets: dict[str, set[str]] = {}
        for group, names in self.feature_sets.items():
            for name in names:
                sets.setdefault(name, set()).add(group)
        return sets

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


def read_metadata(path: Path) -> FeatureMetadata:
    """Read features.json.

    Raises
    ------
    SchemaError
        It is not JSON, or lacks what it must have.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(f"{path}: is no JSON ({error}); download it again.") from None
    return FeatureMetadata.read(content)


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
