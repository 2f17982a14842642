"""Code versions and configurations side by side, over the eras that all of them have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.files import digest_bytes

SCORES = ("payoff", "corr", "mmc")
COLUMNS = ("version", *SCORES, "minutes", "peak_gb", "n_eras")
SHOWN = 30  # newest versions


def code_version() -> str:
    """Eight digits of the digest of this package's sources."""
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    return digest_bytes(b"".join(path.read_bytes() for path in sources))[:8]


def paired_versions(versions: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row per version, oldest first; means over the eras that all versions scored.

    Parameters
    ----------
    versions
        As `VersionStore.all` returns them: ``code``, ``procedure``, ``seconds``, ``peak_gb``, and
        ``scores`` by score and era; versions without any era are left out.
    """
    newest = [version for version in versions if version["scores"]["payoff"]][-SHOWN:]
    rows = []
    common = (
        set.intersection(*(set(record["scores"]["payoff"]) for record in newest))
        if newest
        else set()
    )
    for record in newest:
        means = {name: _mean(record["scores"][name], common) for name in SCORES}
        rows.append(
            {
                "version": f"{record['code']} {record['procedure'][:6]}",
                **means,
                "minutes": record["seconds"] / 60,
                "peak_gb": record["peak_gb"],
                "n_eras": len(common),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _mean(by_era: dict[str, float | None], eras: set[str]) -> float:
    values = [value for era in sorted(eras) if (value := by_era.get(era)) is not None]
    return float(np.mean(values)) if values else math.nan
