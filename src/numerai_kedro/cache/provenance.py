"""What made predictions and records, so that none is paired with another model's record.

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
    """Digest of what made a frame of predictions; empty where it does not say."""
    return str(frame.attrs.get(CONFIGURATION, ""))


def values_by_model(entries: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Entries ``{model}__{kind}`` that hold a value rather than the reason why there is none."""
    ending = f"__{kind}"
    return {
        key.removesuffix(ending): entry
        for key, entry in entries.items()
        if key.endswith(ending) and not isinstance(entry, Failed)
    }


def alike(first: str, other: str) -> bool:
    """Whether two things were made by the same; what does not say by what never was."""
    return bool(first) and first == other


def version_key(data_version: str) -> str:
    """A data version as a name of a record: ``v5_3``."""
    return data_version.replace(".", "_")


def data_versions(frame: pd.DataFrame) -> set[str]:
    """Data versions that models learned from, where the live features are the round's own.

    Empty where each model has seen features of the version that it knows.
    """
    return {version for version in str(frame.attrs.get(DATA_VERSION, "")).split() if version}


def of_other_code(frame: pd.DataFrame) -> set[str]:
    """Models whose fits were made by other code than there was when they predicted."""
    return set(str(frame.attrs.get(OTHER_CODE, "")).split())


def weighed_members(weights: pd.DataFrame) -> dict[str, str]:
    """The configuration of each member whose record its weights were found from."""
    by_member = weights.attrs.get(MEMBERS, {})
    return {str(name): str(by_member.get(name, "")) for name in weights["model"].unique()}


def configuration_of_blend(weights: pd.DataFrame, neutralisation: Mapping[str, Any]) -> str:
    """Digest of what a blend is made by: its members, how they are weighed, what is taken out."""
    shares = [
        [share["first_era"], share["proportion"]] for share in neutralisation.get("shares", ())
    ]
    features = [*neutralisation["features"], *filter(None, [neutralisation.get("source")])]
    neutralised = [features, shares or neutralisation["proportion"]]
    return digest_json([weighed_members(weights), weights.attrs.get(ASKED, ""), neutralised])


def members_of(entry: str, weights: pd.DataFrame) -> list[str]:
    """Models behind an entry."""
    return [entry] if entry != ENSEMBLE else list(map(str, weights["model"].unique()))


def procedure_of(entry: str, procedures: Mapping[str, str], weights: pd.DataFrame) -> str:
    """Fingerprint of what a person chose for an entry; of a blend, with the members that finished.

    A blend without one of its members is another procedure.
    """
    if entry != ENSEMBLE:
        return procedures[entry]
    members = [procedures[name] for name in sorted(members_of(entry, weights))]
    return digest_json([procedures[ENSEMBLE], members])
