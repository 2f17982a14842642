"""Graphs of windows: made once, from their own eras, alike from window to window."""

import dataclasses

import numpy as np
import pytest
from tests.panels import era_rows

from numerai_kedro.features.graphs import changes_of, graphs_of
from numerai_kedro.incremental import FoldStore
from numerai_kedro.panel import EraPanel, FeatureBlock, open_panel, write_panel

NAMES = [f"feature_{k}" for k in range(24)]
WINDOWS = {"0030": (1, 30), "0050": (1, 50)}


def rows_of(era, seed=0):
    """Features of three factors that have much in common."""
    rng = np.random.default_rng([seed, era])
    rows = era_rows(era)
    factors = rng.normal(size=(len(rows.ids), 1)) + rng.normal(size=(len(rows.ids), 3))
    values = np.repeat(factors, 8, axis=1) + rng.normal(size=(len(rows.ids), 24))
    bins = np.clip(np.round(values + 2), 0, 4).astype(np.int8)
    return dataclasses.replace(rows, features=FeatureBlock.of(NAMES, bins))


@pytest.fixture
def panel(tmp_path):
    write_panel(tmp_path / "panel", [rows_of(era) for era in range(1, 61)])
    return open_panel(tmp_path / "panel")


def made(panel, folder, windows=WINDOWS, neighbours=4):
    return graphs_of(panel, windows, neighbours, FoldStore(folder))


def test_graphs_that_are_kept_read_no_row(panel, tmp_path, monkeypatch):
    first = made(panel, tmp_path / "store")
    monkeypatch.setattr(EraPanel, "features", lambda *_: pytest.fail("a row was read"))
    assert made(panel, tmp_path / "store") == first


def test_a_later_window_changes_none_before_it(panel, tmp_path):
    two = made(panel, tmp_path / "a")
    three = made(panel, tmp_path / "b", WINDOWS | {"0060": (1, 60)})
    assert {name: three[name] for name in two} == two
    # And one that comes later to a store that has the others is the same.
    assert made(panel, tmp_path / "a", WINDOWS | {"0060": (1, 60)}) == three


def test_eras_after_a_window_change_nothing_of_its_graph(panel, tmp_path):
    """The plant: all eras after 30 are another world's."""
    rows = [rows_of(era, seed=0 if era <= 30 else 9) for era in range(1, 61)]
    write_panel(tmp_path / "other", rows)
    honest = made(panel, tmp_path / "a")
    changed = made(open_panel(tmp_path / "other"), tmp_path / "b")
    assert honest["0030"] == changed["0030"]
    assert honest["0050"] != changed["0050"]


def test_changes_are_told_from_one_window_to_the_next(panel, tmp_path):
    rows = changes_of(made(panel, tmp_path / "store"))
    assert [row["window"] for row in rows] == ["0030", "0050"]
    assert "moved" not in rows[0]
    assert rows[1]["moved"] == ()
    assert rows[1]["nodes"] >= 1
