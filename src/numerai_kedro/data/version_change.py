"""How a new data version changes the eras, features and targets that both versions have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from numerai_kedro.data.era_panel import EraPanel
from numerai_kedro.data.store import EraRows, EraStream
from numerai_kedro.errors import PanelError

N_COMPARED = 24  # eras, evenly spread; comparing all would take as long as building the panel
N_NAMED = 5  # features that are named, most changed first


class VersionChange:
    """Passes rows through, and compares some eras with the panel that they will replace.

    Parameters
    ----------
    before
        The panel to be replaced; None if there is none.
    rows
        The new rows.

    Attributes
    ----------
    compares
        Whether the two have different data versions; otherwise nothing is compared.
    """

    def __init__(self, before: EraPanel | None, rows: EraStream) -> None:
        self._before, self._rows = before, rows
        old_version = "" if before is None else before.version
        self.compares = bool(old_version and rows.version and old_version != rows.version)
        self._picked = _spread(before.eras) if before is not None and self.compares else set()
        self._seen: list[int] = []
        self._n_eras = self._n_either = self._n_both = 0
        self._features: list[str] = []
        self._targets: dict[str, _TargetChange] = {}
        self._target_names: list[str] = []
        self._differ: npt.NDArray[np.int64] | None = None
        self._damage = ""

    def __iter__(self) -> Iterator[EraRows]:
        for rows in self._rows:
            self._seen.append(rows.era)
            self._features = list(rows.features.names)
            self._target_names = list(rows.targets.schema.names)
            if self._before is not None and rows.era in self._picked and not self._damage:
                try:
                    self._compare(self._before, rows)
                except PanelError as damaged:  # which is being replaced anyway
                    self._damage = str(damaged)
            yield rows

    def about(self) -> dict[str, Any]:
        """What the new panel's index records: its version, and the last change of versions."""
        if self.compares:
            return {"version": self._rows.version, "version_change": self.result()}
        before = {} if self._before is None else self._before.about
        version = self._rows.version or before.get("version", "")
        return {"version": version, "version_change": before.get("version_change", {})}

    def result(self) -> dict[str, Any]:
        """The differences; complete after all rows.

        Returns
        -------
        dict
            ``before`` and ``after``, the versions; ``damage``, why the comparison is incomplete;
            ``eras`` ``compared``, ``added`` and ``removed``; ``rows_in_both``, a share of the rows
            in either, of the eras compared; ``features`` and ``targets`` with how many were
            ``added`` and ``removed``; ``features.differ``, by name the share of rows with another
            value; ``targets.differ``, by name that of the rows whose target was known and is
            another now, or none, with the ``correlation`` of both, which is None where one of them
            does not vary.
        """
        old = self._before
        assert old is not None, "only what compares has a result"
        common = _common(old, self._features) if self._n_eras else []
        shares = np.zeros(0) if self._differ is None else self._differ / max(self._n_both, 1)
        return {
            "before": old.version,
            "after": self._rows.version,
            "damage": self._damage,
            "eras": {"compared": self._n_eras} | _counts(old.eras.tolist(), self._seen),
            "rows_in_both": self._n_both / self._n_either if self._n_either else None,
            "features": _counts(old.feature_names, self._features)
            | {"differ": {n: float(s) for n, s in zip(common, shares, strict=True) if s}},
            "targets": _counts(old.target_names, self._target_names)
            | {"differ": {n: t.as_json() for n, t in self._targets.items() if t.n_differ}},
        }

    def _compare(self, before: EraPanel, rows: EraRows) -> None:
        old, common = before.select(eras=[rows.era]), _common(before, self._features)
        place = pd.Index(old.ids()).get_indexer(rows.ids.to_pylist())
        here, there = np.flatnonzero(place >= 0), place[place >= 0]
        number = {name: k for k, name in enumerate(rows.features.names)}
        new_values = rows.features.matrix[here][:, [number[name] for name in common]]
        old_values = old.select(features=common).features(rows.era)[there]
        differ = (new_values != old_values).sum(axis=0)
        for name in sorted(set(rows.targets.schema.names) & set(old.target_names)):
            new_target = rows.targets.column(name).to_numpy(zero_copy_only=False)[here]
            change = self._targets.setdefault(name, _TargetChange())
            change.add(new_target, old.target(name)[there])
        self._n_eras += 1
        self._n_both += len(here)
        self._n_either += old.n_rows + len(place) - len(here)
        self._differ = differ if self._differ is None else self._differ + differ


def _spread(eras: npt.NDArray[np.int64]) -> set[int]:
    """Eras to compare, the first and the last among them."""
    picked = np.linspace(0, len(eras) - 1, N_COMPARED).round().astype(int)
    return {int(era) for era in eras[np.unique(picked)]}


def _common(before: EraPanel, features: list[str]) -> list[str]:
    new = set(features)
    return [name for name in before.feature_names if name in new]


class _TargetChange:
    """Changes of one target, accumulated era by era."""

    def __init__(self) -> None:
        self.n_known = self.n_differ = 0
        self._correlations: list[float] = []

    def add(self, new: npt.NDArray[np.float32], old: npt.NDArray[np.float32]) -> None:
        """Add one era; only rows that were resolved before count."""
        resolved = np.isfinite(old)
        self.n_known += int(resolved.sum())
        self.n_differ += int((new[resolved] != old[resolved]).sum())  # NaN differs from everything
        both = resolved & np.isfinite(new)
        x, y = new[both].astype(np.float64), old[both].astype(np.float64)
        if len(x) > 1 and x.std() and y.std():
            self._correlations.append(float(np.corrcoef(x, y)[0, 1]))

    def as_json(self) -> dict[str, Any]:
        """Share of rows that differ, and the mean correlation of the eras."""
        correlation = float(np.mean(self._correlations)) if self._correlations else None
        return {"rows": self.n_differ / self.n_known, "correlation": correlation}


def change_text(change: dict[str, Any]) -> str:
    """One line for the log and the report."""
    eras, features, targets = change["eras"], change["features"], change["targets"]
    head = f"data {change['after']} compared with {change['before']}"
    if change["damage"]:
        return f"{head}: not possible: {change['damage']}"
    if not eras["compared"]:
        return f"{head}: they have no era in common"
    most = sorted(features["differ"].items(), key=lambda item: (-item[1], item[0]))
    named = [f"{name} in {share:.1%} of rows" for name, share in most[:N_NAMED]]
    if len(most) > N_NAMED:
        named.append(f"and {len(most) - N_NAMED} more")
    parts = [
        f"{head} in {eras['compared']} eras",
        _added(eras, "eras"),
        f"{change['rows_in_both']:.1%} of rows are in both",
        _added(features, "features"),
        f"values changed in {', '.join(named)}" if named else "values of features unchanged",
        _added(targets, "targets"),
        *(
            _target_text(name, target_change)
            for name, target_change in sorted(targets["differ"].items())
        ),
    ]
    return "; ".join(filter(None, parts)) + ("" if targets["differ"] else "; targets unchanged")


def is_grave(change: dict[str, Any]) -> bool:
    """Whether anything that both versions have differs, or anything was removed."""
    parts = (change["eras"], change["features"], change["targets"])
    return (
        bool(change["damage"])
        or change["rows_in_both"] != 1.0
        or any(part["removed"] or part.get("differ") for part in parts)
    )


def _target_text(name: str, change: dict[str, Any]) -> str:
    correlation = change["correlation"]
    clause = "cannot be correlated" if correlation is None else f"correlates {correlation:.3f}"
    return f"{name} changed in {change['rows']:.1%} of rows, and {clause} with what it was"


def _added(counts: dict[str, int], what: str) -> str:
    if not (counts["added"] or counts["removed"]):
        return ""
    return f"{what}: {counts['added']} added, {counts['removed']} removed"


def _counts(old: list[Any], new: list[Any]) -> dict[str, int]:
    return {"added": len(set(new) - set(old)), "removed": len(set(old) - set(new))}
