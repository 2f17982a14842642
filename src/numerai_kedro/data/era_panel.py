"""The panel: rows by era, the form in which all code gets data."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from numerai_kedro.data.segment import (
    FeatureBlock,
    feature_schema,
    int8_columns,
    read_message,
    rows_schema,
)
from numerai_kedro.data.store import condemn, has_segments, read_index
from numerai_kedro.errors import PanelError
from numerai_kedro.files import digest_bytes, digest_json

N_VALUES = 5  # of a feature of the tournament


def open_panel(folder: str | Path) -> EraPanel:
    """Open a panel; reads only its index.

    Raises
    ------
    PanelError
        There is no panel, or its index is torn.
    """
    folder = Path(folder)
    index = read_index(folder)
    if index is None:
        raise PanelError(
            f"{folder}: no panel, or one that cannot be read; run "
            "kedro run --pipeline=ingestion to build it."
        )
    return EraPanel(folder, index, index["features"])


class EraPanel:
    """Rows sorted by era: int8 features memory-mapped, with ids and targets; read-only.

    A selection of eras or features is a view that reads nothing. Every era's checksum is verified
    when it is first read, because the file format does not detect a flipped bit.

    Attributes
    ----------
    eras : int64[n_eras]
        Increasing.
    era_starts : int64[n_eras + 1]
        Era `e` is rows ``era_starts[e]:era_starts[e + 1]``.
    feature_names, target_names : list of str
    n_values : int
        Features are 0 to one less than this.
    """

    n_values = N_VALUES

    def __init__(self, folder: Path, index: dict[str, Any], feature_names: Sequence[str]) -> None:
        self.folder = folder
        self._index = index
        self._entries = {entry["era"]: entry for entry in index["eras"]}
        self._columns = {name: number for number, name in enumerate(index["features"])}
        self._verified: set[tuple[str | int, ...]] = set()
        self.feature_names = list(feature_names)
        self.target_names = [] if index.get("hides_targets") else list(index["targets"])
        self.eras = np.array(list(self._entries), dtype=np.int64)
        sizes = [entry["n_rows"] for entry in index["eras"]]
        self.era_starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @property
    def about(self) -> dict[str, Any]:
        """Entries of the index besides eras: ``version``, ``version_change`` (`VersionChange`)."""
        return {"version": "", "version_change": {}} | self._index.get("about", {})

    @property
    def version(self) -> str:
        """The data version of the rows; empty if unknown."""
        return str(self.about["version"])

    @property
    def n_rows(self) -> int:
        """Rows of all selected eras."""
        return int(self.era_starts[-1])

    def select(
        self,
        eras: Sequence[int] | npt.NDArray[np.integer] | None = None,
        features: Sequence[str] | None = None,
    ) -> EraPanel:
        """View some eras, some features, or both: eras in panel order, features as named.

        Raises
        ------
        PanelError
            An era or feature is not in the panel.
        """
        index = self._index
        if eras is not None:
            selected = {int(era) for era in eras}
            missing = selected - self._entries.keys()
            if missing:
                raise PanelError(
                    f"{self.folder}: era {min(missing):04d} is not in the panel, which holds "
                    f"{len(self.eras)} eras; run kedro run --pipeline=ingestion."
                )
            index = index | {"eras": [e for e in index["eras"] if e["era"] in selected]}
        chosen = self.feature_names if features is None else list(features)
        for name in chosen:
            if name not in self._columns:
                raise PanelError(self._unknown("feature", name, self._index["features"]))
        view = EraPanel(self.folder, index, chosen)
        view._verified = self._verified
        return view

    def without_targets(self) -> EraPanel:
        """View the same rows without any target, for code that must not see the targets."""
        view = EraPanel(self.folder, self._index | {"hides_targets": True}, self.feature_names)
        view._verified = self._verified
        return view

    def between(self, first: int, last: int) -> EraPanel:
        """View the eras of a range that the panel has."""
        return self.select(eras=self.eras[(self.eras >= first) & (self.eras <= last)])

    def features(self, era: int) -> npt.NDArray[np.int8]:
        """int8[n_rows, n_features] of one era: a view of the memory map, read only.

        If the selected features are no regular slice of the file's columns, it is a copy.
        """
        matrix = self._block(era).matrix
        numbers = np.array([self._columns[name] for name in self.feature_names], dtype=np.intp)
        if len(numbers) == matrix.shape[1] and (numbers == np.arange(len(numbers))).all():
            return matrix
        steps = np.unique(np.diff(numbers))
        if len(steps) == 1 and steps[0] > 0:
            return matrix[:, numbers[0] : numbers[-1] + 1 : int(steps[0])]
        return matrix[:, numbers]

    def features_at(self, position: int) -> npt.NDArray[np.int8]:
        """Features of the era at a position among `eras`."""
        return self.features(int(self.eras[position]))

    def arrow(self) -> pa.Table:
        """Table of the selected features, memory-mapped, one chunk an era."""
        chosen = [self._columns[name] for name in self.feature_names]
        batches = [self._block(int(era)).batch(chosen) for era in self.eras]
        return pa.Table.from_batches(batches, schema=feature_schema(tuple(self.feature_names)))

    def batches(self, max_rows: int) -> Iterator[tuple[slice, npt.NDArray[np.float64]]]:
        """Yield (rows, float64[rows, n_features]) of at most `max_rows`, never across eras."""
        for era, start in zip(self.eras, self.era_starts[:-1], strict=True):
            matrix = self.features(int(era))
            for begin in range(0, len(matrix), max_rows):
                piece = matrix[begin : begin + max_rows].astype(np.float64)
                yield slice(int(start) + begin, int(start) + begin + len(piece)), piece

    def target(self, name: str) -> npt.NDArray[np.float32]:
        """float32[n_rows] in [0, 1]; NaN where the target is not resolved.

        Raises
        ------
        PanelError
            There is no such target; names the closest.
        """
        if name not in self.target_names:
            raise PanelError(self._unknown("target", name, self.target_names))
        pieces = [self._target_of(int(era), name) for era in self.eras]
        return np.concatenate(pieces) if pieces else np.empty(0, np.float32)

    def ids(self) -> npt.NDArray[np.object_]:
        """Ids of all rows, as str objects."""
        pieces = []
        for era in self.eras:
            entry = self._entries[int(era)]
            pieces.append(np.array(self._ids_of(entry), dtype=object))
        return np.concatenate(pieces) if pieces else np.empty(0, object)

    def era_of_rows(self) -> npt.NDArray[np.int64]:
        """Era of each row."""
        return np.repeat(self.eras, np.diff(self.era_starts))

    def resolved_eras(self, target: str) -> npt.NDArray[np.int64]:
        """Eras in which the target has any value; reads only the index."""
        if target not in self.target_names:
            raise PanelError(self._unknown("target", target, self.target_names))
        entries = self._entries.values()
        return np.array([e["era"] for e in entries if target in e["resolved"]], dtype=np.int64)

    def is_whole(self) -> bool:
        """Whether every segment exists with the length in the index; reads no content."""
        return has_segments(self.folder, self._index)

    def era_digests(self) -> dict[str, str]:
        """Digests of the columns, and of each era with every target; reads only the index."""
        columns = digest_json([self._index["features"], self.target_names, self.version])
        return {"columns": columns} | {
            f"era {era:04d}": digest_json(
                [entry["ids_digest"], entry["features_digest"], entry["targets_digest"]]
            )
            for era, entry in self._entries.items()
        }

    def digest(self, targets: Sequence[str] = ()) -> str:
        """Digest of the selected eras, features and named targets; reads only the index."""
        eras = [
            [entry["era"], entry["ids_digest"], entry["features_digest"]]
            + [entry["targets_digest"][name] for name in targets]
            for entry in self._entries.values()
        ]
        return digest_json([self._index["features"], self.feature_names, list(targets), eras])

    def _block(self, era: int) -> FeatureBlock:
        entry, names = self._entry(era), self._index["features"]
        message = self._message(entry, "features")
        columns = int8_columns(message, len(names), entry["n_rows"])
        if columns is None:
            raise self._damaged(entry, "features")
        block = FeatureBlock(names, entry["n_rows"], columns)
        place = tuple(entry["features_at"])
        if place not in self._verified:
            if block.digest != entry["features_digest"]:
                raise self._damaged(entry, "features")
            self._verified.add(place)
        return block

    def _row_batch(self, era: int) -> pa.RecordBatch:
        entry = self._entry(era)
        message = self._message(entry, "rows")
        try:
            return pa.ipc.read_record_batch(message, rows_schema(self._index["targets"]))
        except (OSError, pa.ArrowInvalid):
            raise self._damaged(entry, "ids and targets") from None

    def _ids_of(self, entry: dict[str, Any]) -> list[str]:
        column = self._row_batch(entry["era"]).column("id")
        try:
            column.validate(full=True)  # a flipped offset would be read outside the buffer
        except (pa.ArrowInvalid, ValueError):
            raise self._damaged(entry, "ids") from None
        ids: list[str] = column.to_pylist()
        self._verify(entry, "ids", "\0".join(ids).encode(), entry["ids_digest"])
        return ids

    def _target_of(self, era: int, name: str) -> npt.NDArray[np.float32]:
        entry = self._entry(era)
        values = self._row_batch(era).column(name).to_numpy(zero_copy_only=False)
        self._verify(entry, name, values.tobytes(), entry["targets_digest"][name])
        return values

    def _entry(self, era: int) -> dict[str, Any]:
        try:
            return self._entries[era]
        except KeyError:
            raise PanelError(f"{self.folder}: era {era:04d} is not among those selected.") from None

    def _verify(self, entry: dict[str, Any], what: str, content: bytes, digest: str) -> None:
        if digest_bytes(content) != digest:
            raise self._damaged(entry, what)

    def _message(self, entry: dict[str, Any], kind: str) -> pa.Message:
        message = read_message(self.folder, entry[f"{kind}_at"])
        if message is None:
            raise self._damaged(entry, kind)
        return message

    def _damaged(self, entry: dict[str, Any], what: str) -> PanelError:
        """The error; also discards the index, so that the next run builds the panel anew."""
        condemn(self.folder, self._index)
        return PanelError(
            f"{self.folder}: {what} of era {entry['era']:04d} are not what was written (a torn "
            "file, a flipped bit, or changed by hand); run kedro run --pipeline=weekly again, "
            "which builds the panel anew."
        )

    def _unknown(self, kind: str, name: str, names: Sequence[str]) -> str:
        close = difflib.get_close_matches(name, names, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"there are {len(names)} others."
        return f'{self.folder}: {kind} "{name}" is not in the panel; {hint}'

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "index": self._index, "features": self.feature_names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"], state["index"], state["features"])  # type: ignore[misc]

    def __repr__(self) -> str:
        span = f"{self.eras[0]:04d}-{self.eras[-1]:04d}" if len(self.eras) else "none"
        return (
            f"EraPanel({len(self.eras)} eras {span}, {self.n_rows:,} rows, "
            f"{len(self.feature_names)} features)"
        )
