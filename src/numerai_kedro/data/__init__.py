"""Rows by era, memory-mapped: int8 features, targets and ids; walk-forward folds."""

from numerai_kedro.data.era_panel import EraPanel, open_panel
from numerai_kedro.data.joined import JoinedPanel
from numerai_kedro.data.segment import FeatureBlock
from numerai_kedro.data.store import EraRows, PanelChange, write_panel

__all__ = [
    "EraPanel",
    "EraRows",
    "FeatureBlock",
    "JoinedPanel",
    "PanelChange",
    "open_panel",
    "write_panel",
]
