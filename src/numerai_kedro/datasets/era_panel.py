"""The SSD cache of rows by era."""

from __future__ import annotations

import functools
import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from numerai_kedro.errors import PanelError
from numerai_kedro.panel import EraPanel, open_panel, write_panel
from numerai_kedro.panel.convert import ParquetEras
from numerai_kedro.panel.store import INDEX
from numerai_kedro.progress import steps_bar

logger = logging.getLogger(__name__)


@functools.lru_cache(maxsize=64)
def _opened(path: Path, changed_ns: int, inode: int) -> tuple[EraPanel, dict[str, Path | str]]:
    """A panel and its digests; many nodes of a run ask for those of the same one."""
    panel = open_panel(path)
    return panel, dict(panel.era_digests())


class EraPanelDataset(AbstractDataset[ParquetEras, EraPanel]):
    """Saved from a stream of eras, loaded memory-mapped.

    Parameters
    ----------
    filepath
        A folder; only eras whose content changed are written again.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def save(self, data: ParquetEras) -> None:
        """Stream the eras in; the panel that is here stays readable until the new one is whole."""
        with steps_bar(f"{self._path.name}: eras") as progress:
            change = write_panel(self._path, data, progress=progress)
        logger.info("%s: %s", self._path.name, change)

    def load(self) -> EraPanel:
        """Open the panel; nothing is read yet."""
        if not self._exists():
            raise DatasetError(f"{self._path} does not exist yet")
        return open_panel(self._path)

    def contents(self) -> dict[str, Path | str]:
        """An era's digests are its content: the panel itself is not read again."""
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
        """One row an era, the newest ones, for Kedro-Viz."""
        panel = self.load()
        sizes = panel.era_starts[1:] - panel.era_starts[:-1]
        table = pd.DataFrame({"era": panel.eras, "rows": sizes}).tail(8)
        table["features"] = len(panel.feature_names)
        return TablePreview(json.loads(table.to_json(orient="split")))
