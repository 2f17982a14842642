"""Write a panel: only eras that are new or whose content changed are written.

    index.json            for each era: number of rows, places in the segments, digests
    features-<n>.arrow    int8 columns, one record batch an era
    rows-<n>.arrow        id and float32 targets, one record batch an era

A weekly update appends one segment of each kind with the eras that changed; the index, replaced
last, points to it, and unused segments are deleted afterwards. A kill at any moment leaves
the old panel readable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from numerai_kedro.data.segment import FeatureBlock, Place, SegmentWriter, new_segment, rows_schema
from numerai_kedro.errors import LabelFrontierError
from numerai_kedro.files import atomic_write, digest_bytes, digest_json

FORMAT = 3
INDEX = "index.json"


@dataclass(frozen=True)
class EraRows:
    """The rows of one era.

    Parameters
    ----------
    era
        Positive, increasing from block to block.
    data_type
        ``train``, ``validation``, ``test`` or ``live``.
    ids : string array, [n_rows]
    features : FeatureBlock
    targets : RecordBatch of float32 columns
        NaN or null where not resolved; may have no column.
    """

    era: int
    data_type: str
    ids: pa.Array
    features: FeatureBlock
    targets: pa.RecordBatch


class EraStream(Protocol):
    """What a panel is built from."""

    @property
    def version(self) -> str:
        """The data version of the rows; empty if they have none."""

    def __iter__(self) -> Iterator[EraRows]: ...


@dataclass(frozen=True)
class PanelChange:
    """What an update did, in eras."""

    new_eras: tuple[int, ...]
    changed_features: tuple[int, ...]
    changed_targets: tuple[int, ...]
    unchanged: int

    def __str__(self) -> str:
        """One line for the log."""
        parts = [f"{self.unchanged} eras unchanged"]
        for label, eras in (
            ("new", self.new_eras),
            ("with changed features", self.changed_features),
            ("with changed targets", self.changed_targets),
        ):
            if eras:
                span = f"{eras[0]:04d}" if len(eras) == 1 else f"{eras[0]:04d}-{eras[-1]:04d}"
                parts.append(f"{len(eras)} {label} ({span})")
        return ", ".join(parts)


@dataclass
class _Change:
    new: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    unchanged: int = 0

    def frozen(self) -> PanelChange:
        return PanelChange(
            tuple(self.new), tuple(self.features), tuple(self.targets), self.unchanged
        )


def write_panel(
    folder: str | Path,
    source: Iterable[EraRows],
    progress: Callable[[int, int], None] = lambda done, total: None,
    about: Callable[[], dict[str, Any]] = dict,
) -> PanelChange:
    """Make the panel in `folder` hold exactly the eras of `source`.

    Parameters
    ----------
    folder : path
        Created if need be; an existing panel stays readable until the new one is complete.
    source : iterable of EraRows
        Eras increasing.
    progress : callable
        Gets (eras so far, eras in all or 0).
    about : callable
        Returns what else the index records; called after the last era.

    Raises
    ------
    LabelFrontierError
        A target that was resolved up to some era no longer is; nothing was overwritten.
    SchemaError
        From the source; nothing was overwritten.
    """
    folder = Path(folder)
    old = read_index(folder)
    number = _next_number(folder)
    total = len(source) if isinstance(source, Sized) else 0
    with ExitStack() as stack:
        update = _Update(folder, old, number, stack)
        for done, rows in enumerate(source, start=1):
            update.add(rows)
            progress(done, total)
        update.check_frontier()
    with atomic_write(folder / INDEX) as handle:
        index = update.index | {"about": about()}
        handle.write(json.dumps(index | {"digest": digest_json(index)}).encode())
    _delete_orphans(folder, update.index)
    return update.change.frozen()


def read_index(folder: Path) -> dict[str, Any] | None:
    """The panel's index; None if there is no panel, or one of another format.

    And where it is torn or a bit of it flipped: the source of truth is at hand, so that the panel
    is simply built again.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        return None
    content = {name: value for name, value in index.items() if name != "digest"}
    return index if index.get("digest") == digest_json(content) else None


def has_segments(folder: Path, index: dict[str, Any]) -> bool:
    """Whether every segment exists with the length in the index; reads no content."""
    ends: dict[str, int] = {}
    for entry in index["eras"]:
        for name, offset, length in (entry["features_at"], entry["rows_at"]):
            ends[name] = max(ends.get(name, 0), offset + length)
    paths = {folder / name: end for name, end in ends.items()}
    return all(path.is_file() and path.stat().st_size >= end for path, end in paths.items())


def condemn(folder: Path, index: dict[str, Any]) -> None:
    """Remove the index of a panel that was found damaged, so that the next run builds it anew.

    Not where the panel has been replaced since.
    """
    now = read_index(folder)
    if now is not None and now["digest"] == index.get("digest"):
        (folder / INDEX).unlink(missing_ok=True)


class _Update:
    """Decides era by era what has to be written, and collects the new index."""

    def __init__(
        self, folder: Path, old: dict[str, Any] | None, number: int, stack: ExitStack
    ) -> None:
        self.folder, self.stack, self.number = folder, stack, number
        self.change = _Change()
        self.index: dict[str, Any] = {"format": FORMAT, "features": [], "targets": [], "eras": []}
        self._old = old
        self._old_eras: dict[int, dict[str, Any]] = {}
        self._writers: dict[str, SegmentWriter] = {}

    def add(self, rows: EraRows) -> None:
        """Write the parts of an era that the old panel lacks, and add it to the index."""
        if not self.index["eras"]:
            self._begin(rows)
        old = self._old_eras.get(rows.era, {})
        targets = _plain_targets(rows.targets)
        entry = {
            "era": rows.era,
            "n_rows": len(rows.ids),
            "data_type": rows.data_type,
            "ids_digest": digest_bytes(_bytes_of(rows.ids)),
            "features_digest": rows.features.digest,
            "targets_digest": {
                name: digest_bytes(_bytes_of(targets.column(name))) for name in targets.schema.names
            },
            "resolved": [
                name
                for name in targets.schema.names
                if not np.isnan(targets.column(name).to_numpy()).all()
            ],
        }
        same_ids = old.get("ids_digest") == entry["ids_digest"]
        same_features = same_ids and old.get("features_digest") == entry["features_digest"]
        same_targets = same_ids and old.get("targets_digest") == entry["targets_digest"]
        entry["features_at"] = (
            old["features_at"] if same_features else self._append("features", rows.features.batch())
        )
        entry["rows_at"] = (
            old["rows_at"] if same_targets else self._append("rows", _rows_batch(rows.ids, targets))
        )
        self.index["eras"].append(entry)
        self._count(rows.era, bool(old), same_features, same_targets)

    def check_frontier(self) -> None:
        """Refuse to forget targets; their column may have moved to another horizon."""
        if self._old is None:
            return
        if not self.index["eras"]:
            raise LabelFrontierError(
                f"{self.folder}: the source holds no era, the panel {len(self._old['eras'])}; "
                "nothing was overwritten; delete the files in 01_raw and run again."
            )
        before, after = _frontiers(self._old), _frontiers(self.index)
        for name in self.index["targets"]:
            if before.get(name, 0) > after.get(name, 0):
                raise LabelFrontierError(
                    f"{name} was resolved up to era {before[name]:04d} and is now only up to "
                    f"{after.get(name, 0):04d}: the file is older than the panel, or the column "
                    "has changed its meaning. Nothing was overwritten; if it is meant so, delete "
                    f"{self.folder} and run again."
                )

    def _begin(self, rows: EraRows) -> None:
        self.index["features"] = list(rows.features.names)
        self.index["targets"] = list(rows.targets.schema.names)
        old = self._old
        same = old and all(old[part] == self.index[part] for part in ("features", "targets"))
        if old and same and has_segments(self.folder, old):
            self._old_eras = {entry["era"]: entry for entry in old["eras"]}

    def _append(self, kind: str, batch: pa.RecordBatch) -> Place:
        if kind not in self._writers:
            path = self.folder / f"{kind}-{self.number}.arrow"
            self._writers[kind] = self.stack.enter_context(new_segment(path, batch.schema))
        return self._writers[kind].append(batch)

    def _count(self, era: int, was_there: bool, same_features: bool, same_targets: bool) -> None:
        if not was_there:
            self.change.new.append(era)
            return
        self.change.unchanged += same_features and same_targets
        if not same_features:
            self.change.features.append(era)
        if not same_targets:
            self.change.targets.append(era)


def _plain_targets(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Float32 without nulls: one kind of NaN for "not resolved", so that digests are stable."""
    columns = []
    for column in batch.columns:
        values = column.to_numpy(zero_copy_only=False).astype(np.float32)
        values[np.isnan(values)] = np.float32(np.nan)
        columns.append(pa.array(values, from_pandas=False))
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _rows_batch(ids: pa.Array, targets: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [ids.cast(pa.string()), *targets.columns], schema=rows_schema(targets.schema.names)
    )


def _bytes_of(column: pa.Array) -> bytes:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return "\0".join(column.to_pylist()).encode()
    return column.to_numpy().tobytes()


def _frontiers(index: dict[str, Any]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for entry in index["eras"]:
        for name in entry["resolved"]:
            newest[name] = max(newest.get(name, 0), entry["era"])
    return newest


def _next_number(folder: Path) -> int:
    """A number above all segments on disk: readers of an old segment are unaffected."""
    numbers = [int(path.stem.rpartition("-")[2]) for path in folder.glob("*-*.arrow")]
    return max(numbers, default=0) + 1


def _delete_orphans(folder: Path, index: dict[str, Any]) -> None:
    used = {entry[at][0] for entry in index["eras"] for at in ("features_at", "rows_at")}
    for path in folder.glob("*-*.arrow*"):
        if path.name not in used:
            path.unlink()
