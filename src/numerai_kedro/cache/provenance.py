"""The origin of predictions and records: predictions are paired with their own model's record only.

Frames carry it as attributes, which parquet keeps: out-of-fold predictions, live predictions,
weights. `era_scores` carries it as a column.

    LiveFit.configuration ─► live predictions ─┐
                                               ├─ equal, or the member is left out
    out-of-fold predictions ─► weights ────────┘
                            └► era_scores ─────── equal to the blend's, or scored again
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from numerai_kedro.errors import Failed
from numerai_kedro.files import digest_json

ENSEMBLE = "ensemble"
CONFIGURATION, DATA_VERSION = "configuration", "data_version"
MEMBERS, ASKED = "members", "asked"
OTHER_CODE = "other_code"


def configuration(frame: pd.DataFrame) -> str:
    """Digest of what made a frame of predictions; empty if unknown."""
    return str(frame.attrs.get(CONFIGURATION, ""))


def values_by_model(entries: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Values of the entries ``{model}__{kind}`` by model, without those that failed."""
    ending = f"__{kind}"
    return {
        key.removesuffix(ending): entry
        for key, entry in entries.items()
        if key.endswith(ending) and not isinstance(entry, Failed)
    }


def alike(first: str, other: str) -> bool:
    """Whether two digests of origin are equal; an empty one, of unknown origin, equals none."""
    return bool(first) and first == other


def version_key(data_version: str) -> str:
    """A data version as the key of a record, such as ``v5_3`` for v5.3."""
    return data_version.replace(".", "_")


def data_versions(frame: pd.DataFrame) -> set[str]:
    """Data versions of models that predicted from the round's own live features.

    Models that predicted from live features of an older version, which they learned from, are left
    out: their features are right.
    """
    return {version for version in str(frame.attrs.get(DATA_VERSION, "")).split() if version}


def of_other_code(frame: pd.DataFrame) -> set[str]:
    """Models that were fitted by other code than they predicted with."""
    return set(str(frame.attrs.get(OTHER_CODE, "")).split())


def weighed_members(weights: pd.DataFrame) -> dict[str, str]:
    """Each member's configuration, as it was when the weights were computed from its record."""
    by_member = weights.attrs.get(MEMBERS, {})
    return {str(name): str(by_member.get(name, "")) for name in weights["model"].unique()}


def configuration_of_blend(weights: pd.DataFrame, neutralisation: Mapping[str, Any]) -> str:
    """Digest of a blend's members, its settings, and its neutralisation."""
    shares = [
        [share["first_era"], share["proportion"]] for share in neutralisation.get("shares", ())
    ]
    features = [*neutralisation["features"], *filter(None, [neutralisation.get("source")])]
    neutralised = [features, shares or neutralisation["proportion"]]
    return digest_json([weighed_members(weights), weights.attrs.get(ASKED, ""), neutralised])


def members_of(entry: str, weights: pd.DataFrame) -> list[str]:
    """Models of an entry: itself, or the members of the ensemble."""
    return [entry] if entry != ENSEMBLE else list(map(str, weights["model"].unique()))


def procedure_of(entry: str, procedures: Mapping[str, str], weights: pd.DataFrame) -> str:
    """Fingerprint of the settings that the user chose for an entry.

    That of the ensemble includes its members: without one of them, it is another procedure.
    """
    if entry != ENSEMBLE:
        return procedures[entry]
    members = [procedures[name] for name in sorted(members_of(entry, weights))]
    return digest_json([procedures[ENSEMBLE], members])
