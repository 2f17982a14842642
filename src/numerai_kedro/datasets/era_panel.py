"""The panel: rows by era in a folder, memory-mapped."""

from __future__ import annotations

import functools
import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from numerai_kedro.data import EraPanel, open_panel, write_panel
from numerai_kedro.data.store import INDEX, EraStream
from numerai_kedro.data.version_change import VersionChange, change_text, is_grave
from numerai_kedro.errors import PanelError
from numerai_kedro.progress import steps_bar

logger = logging.getLogger(__name__)


@functools.lru_cache(maxsize=64)
def _opened(path: Path, changed_ns: int, inode: int) -> tuple[EraPanel, dict[str, Path | str]]:
    """A panel and its digests, cached because many nodes of a run ask for the same ones."""
    panel = open_panel(path)
    return panel, dict(panel.era_digests())


class EraPanelDataset(AbstractDataset[EraStream, EraPanel]):
    """Saved from a stream of eras, loaded memory-mapped.

    Parameters
    ----------
    filepath
        A folder; only eras whose content changed are written again.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def save(self, data: EraStream) -> None:
        """Stream the eras in; the old panel stays readable until the new one is complete."""
        rows = VersionChange(self._before(), data)
        with steps_bar(f"{self._path.name}: eras") as progress:
            change = write_panel(self._path, rows, progress, rows.about)
        logger.info("%s: %s", self._path.name, change)
        if rows.compares:
            comparison = rows.result()
            logger.log(
                logging.WARNING if is_grave(comparison) else logging.INFO, change_text(comparison)
            )

    def _before(self) -> EraPanel | None:
        """The existing panel, if it can be read."""
        try:
            panel = open_panel(self._path)
        except PanelError:
            return None
        return panel if panel.is_whole() else None

    def load(self) -> EraPanel:
        """Open the panel; nothing is read yet."""
        if not self._exists():
            raise DatasetError(f"{self._path} does not exist yet")
        return open_panel(self._path)

    def contents(self) -> dict[str, Path | str]:
        """Digests of the eras; the panel itself is not read again."""
        try:
            index = (self._path / INDEX).stat()
            panel, digests = _opened(self._path, index.st_mtime_ns, index.st_ino)
        except (OSError, PanelError):
            return {}
        return digests if panel.is_whole() else {}

    def _exists(self) -> bool:
        return (self._path / "index.json").exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}

    def preview(self) -> TablePreview:
        """One row per era, the newest ones, for Kedro-Viz."""
        panel = self.load()
        sizes = panel.era_starts[1:] - panel.era_starts[:-1]
        table = pd.DataFrame({"era": panel.eras, "rows": sizes}).tail(8)
        table["features"] = len(panel.feature_names)
        return TablePreview(json.loads(table.to_json(orient="split")))
