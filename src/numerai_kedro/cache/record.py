"""One JSON file per node: what its outputs were made from, and what they were.

Its status is ``running`` before the node begins and ``done`` after its last output was saved, so
that a node that was killed between two outputs is not taken for finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numerai_kedro.errors import StoreError
from numerai_kedro.files.kept_json import read_kept, write_kept

FORMAT = 2


class NodeRecords:
    """A folder of records, by the names of nodes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, node: str) -> dict[str, Any] | None:
        """The record of a node; None if there is none, or it cannot be read."""
        try:
            record: dict[str, Any] = read_kept(self._path(node))
        except (FileNotFoundError, StoreError):
            return None
        is_valid = (
            isinstance(record, dict)
            and record.get("format") == FORMAT
            and (record.get("status") == "running" or {"fingerprint", "outputs"} <= record.keys())
        )
        return record if is_valid else None

    def begin(self, node: str, outputs: Sequence[str] = ()) -> None:
        """Note that a node is running, and its outputs."""
        self._write(node, {"format": FORMAT, "status": "running", "makes": list(outputs)})

    def finish(
        self, node: str, fingerprint: dict[str, Any] | None, outputs: dict[str, Any]
    ) -> None:
        """Note that its outputs are complete, and what they were made from, if that is known."""
        self._write(
            node,
            {"format": FORMAT, "status": "done", "fingerprint": fingerprint, "outputs": outputs},
        )

    def outputs(self) -> dict[str, list[Any]]:
        """Entry -> its contents as recorded by each node that makes it.

        Without the outputs of nodes that are running now, or were killed: they are unknown.
        """
        records = [self.read(path.stem) or {} for path in sorted(self._folder.glob("*.json"))]
        unknown = {name for record in records for name in record.get("makes", ())}
        contents_by_entry: dict[str, list[Any]] = {}
        for record in records:
            for name, contents in record.get("outputs", {}).items():
                if name not in unknown:
                    contents_by_entry.setdefault(name, []).append(contents)
        return contents_by_entry

    def _write(self, node: str, record: dict[str, Any]) -> None:
        write_kept(self._path(node), record)

    def _path(self, node: str) -> Path:
        return self._folder / f"{node}.json"
