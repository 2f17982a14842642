"""The disk space that a data folder takes, and what of it can be deleted."""

from __future__ import annotations

import shutil
from pathlib import Path

from numerai_kedro.cache import FoldStore
from numerai_kedro.files import folder_lock
from numerai_kedro.runtime.earlier_version import ASIDE

GB = 1e9
# Place in the data folder -> what it is, and whether `--free` deletes it. Inner folders come before
# outer ones, because a file counts for the first place that holds it.
PLACES = {
    "01_raw": ("as downloaded", False),
    "02_intermediate": ("panel", False),
    "06_models/fold_store/models": ("models of finished folds", True),
    "06_models/fold_store/binned": ("binned data sets", True),
    "06_models/fold_store/work": ("checkpoints of fits that were not finished", True),
    "06_models": ("other models, predictions of folds", False),
    "07_model_output": ("predictions, submissions, receipts", False),
    "08_reporting": ("reports", False),
    "tournament": ("the demo's world", False),
    ".incremental": ("records of what is up to date", False),
    ASIDE: ("models and decisions of an earlier version", True),
}


def usage_table(data_folder: Path) -> str:
    """One line per place, in GB; each file counts once."""
    counted: set[Path] = set()
    lines = [f"{data_folder}"]
    for place, (what, goes) in PLACES.items():
        files = {path for path in (data_folder / place).rglob("*") if path.is_file()} - counted
        counted |= files
        size = sum(map(_size, files)) / GB
        note = "   can go (--free)" if goes and files else ""
        lines.append(f"  {size:9.3f} GB  {what} ({place}){note}")
    return "\n".join(lines)


def _size(path: Path) -> int:
    """Bytes of a file; 0 if another run has just renamed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def free_space(data_folder: Path) -> str:
    """Delete models of finished folds, binned data, checkpoints and stores of earlier versions.

    Predictions of folds stay, so that no finished fold is computed again. Returns a text that says
    how much was freed.

    Raises
    ------
    ConfigurationError
        A run is using the folder.
    """
    store = FoldStore(data_folder / "06_models" / "fold_store")
    with folder_lock(data_folder):
        freed = store.keep_within(0)
        aside = data_folder / ASIDE
        freed += sum(_size(path) for path in aside.rglob("*") if path.is_file())
        shutil.rmtree(aside, ignore_errors=True)
    return f"{freed / GB:.3f} GB freed"
