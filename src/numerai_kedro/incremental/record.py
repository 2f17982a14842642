"""One JSON file a node: what its outputs were made of, and what they were.

``running`` stands in it before the node begins and ``done`` after its last output was saved, so
that a node that was killed between two outputs is not taken for finished.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from numerai_kedro.files import atomic_write

FORMAT = 1


class NodeRecords:
    """A folder of records, by the names of nodes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, node: str) -> dict[str, Any] | None:
        """The record of a node; None where there is none, or none that can be read."""
        try:
            record: dict[str, Any] = json.loads(self._path(node).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        whole = (
            isinstance(record, dict)
            and record.get("format") == FORMAT
            and (record.get("status") == "running" or {"made_of", "outputs"} <= record.keys())
        )
        return record if whole else None

    def begin(self, node: str) -> None:
        """Note that a node runs."""
        self._write(node, {"format": FORMAT, "status": "running"})

    def finish(self, node: str, fingerprint: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Note that its outputs are whole."""
        self._write(
            node,
            {"format": FORMAT, "status": "done", "made_of": fingerprint, "outputs": outputs},
        )

    def _write(self, node: str, record: dict[str, Any]) -> None:
        with atomic_write(self._path(node)) as handle:
            handle.write(json.dumps(record, sort_keys=True).encode())

    def _path(self, node: str) -> Path:
        return self._folder / f"{node}.json"
