"""Rows by era: int8 features memory-mapped from SSD, targets beside them, and walk-forward folds.

Imports `errors` and `files` only.
"""

from numerai_kedro.panel.era_panel import EraPanel, open_panel
from numerai_kedro.panel.joined import JoinedPanel
from numerai_kedro.panel.segment import FeatureBlock
from numerai_kedro.panel.store import EraRows, PanelChange, write_panel

__all__ = [
    "EraPanel",
    "EraRows",
    "FeatureBlock",
    "JoinedPanel",
    "PanelChange",
    "open_panel",
    "write_panel",
]
