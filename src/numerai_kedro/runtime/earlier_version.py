"""Stores that an earlier version of the project wrote: set aside before they are misread.

Results of another layout are not migrated. What a run would read of them moves to a folder of its
own, once, and everything is fitted anew; downloads, panels, submissions and receipts stay.
"""

from __future__ import annotations

import logging
from pathlib import Path

from numerai_kedro.errors import StoreError
from numerai_kedro.files import atomic_write, folder_lock

logger = logging.getLogger(__name__)

# Raise it whenever a store's keys, fields or files change so that older ones cannot be read.
LAYOUT = 3
LAYOUT_FILE = ".layout"
ASIDE = "earlier_version"
STORES = (
    ".incremental",
    "04_feature",
    "06_models",
    "07_model_output/champion",
    "08_reporting/champion_store",
    "08_reporting/gate_decisions",
    "08_reporting/procedure_store",
    "08_reporting/version_store",
)
GB = 1e9


def set_aside_older(data_folder: Path) -> None:
    """Move stores of an earlier layout to ``earlier_version/``, and say so with their size.

    A run that is killed meanwhile leaves the rest to the next one: the layout is noted last.

    Raises
    ------
    StoreError
        The stores are of a later version of the project.
    ConfigurationError
        Another run is using the folder.
    """
    layout = layout_of(data_folder)
    if layout == LAYOUT:
        return
    if layout > LAYOUT:
        raise StoreError(
            f"{data_folder / LAYOUT_FILE}: layout {layout}, and this version reads {LAYOUT}; take "
            "the version of the project that wrote it, or another data_folder."
        )
    if any((data_folder / place).exists() for place in STORES):
        with folder_lock(data_folder):
            n_bytes = sum(_set_aside(data_folder, place) for place in STORES)
        logger.warning(
            "%s: models and decisions of an earlier version (%.3f GB) are not read by this one; "
            "they are in %s, which kedro tournament clean --free removes. Everything is fitted "
            "anew.",
            data_folder,
            n_bytes / GB,
            ASIDE,
        )
    with atomic_write(data_folder / LAYOUT_FILE) as handle:
        handle.write(f"{LAYOUT}\n".encode())


def _set_aside(data_folder: Path, place: str) -> int:
    """Move one store, if there is one; returns its bytes."""
    store, target = data_folder / place, data_folder / ASIDE / place
    if not store.exists():
        return 0
    n_bytes = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    number = 1
    while target.exists():
        number += 1
        target = target.with_name(f"{store.name}~{number}")
    target.parent.mkdir(parents=True, exist_ok=True)
    store.rename(target)
    return n_bytes


def layout_of(data_folder: Path) -> int:
    """The layout of a data folder's stores; 1 where none is noted."""
    try:
        return int((data_folder / LAYOUT_FILE).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 1
