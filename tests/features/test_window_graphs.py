"""Graphs of windows: made once, from their own eras, alike from window to window."""

import dataclasses

import numpy as np
import pytest
from tests.panels import era_rows

from numerai_kedro.cache import FoldStore
from numerai_kedro.data import EraPanel, FeatureBlock, open_panel, write_panel
from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.features.window_graphs import change_since, changes_of, graphs_of

NAMES = [f"feature_{k}" for k in range(24)]
WINDOWS = {"0030": (1, 30), "0050": (1, 50)}


def rows_of(era, seed=0, order=range(24)):
    """Correlated features of three factors; `order` permutes their columns."""
    rng = np.random.default_rng([seed, era])
    rows = era_rows(era)
    factors = rng.normal(size=(len(rows.ids), 1)) + rng.normal(size=(len(rows.ids), 3))
    values = np.repeat(factors, 8, axis=1) + rng.normal(size=(len(rows.ids), 24))
    bins = np.clip(np.round(values + 2), 0, 4).astype(np.int8)
    return dataclasses.replace(rows, features=FeatureBlock.of(NAMES, bins[:, list(order)]))


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
    # One that is added later to a store with the others is the same.
    assert made(panel, tmp_path / "a", WINDOWS | {"0060": (1, 60)}) == three


def test_eras_after_a_window_change_nothing_of_its_graph(panel, tmp_path):
    """Planted: all eras after 30 come from another world."""
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
    assert rows[1]["nodes"] == 6


def test_features_that_go_with_other_ones_from_a_window_on_are_told(tmp_path):
    """Planted: after era 30 the columns of the first and of the last factor are mixed."""
    mixed = [*range(0, 24, 2), *range(1, 24, 2)]
    rows = [rows_of(era, order=range(24) if era <= 30 else mixed) for era in range(1, 241)]
    write_panel(tmp_path / "panel", rows)
    panel = open_panel(tmp_path / "panel")
    changes = changes_of(made(panel, tmp_path / "store", {"0030": (1, 30), "0240": (1, 240)}))
    assert len(changes[1]["moved"]) > 4
    assert changes[1]["came"] == changes[1]["left"] == ()


def test_what_left_with_a_new_version_of_the_data_is_told_until_another_graph_is_newest(
    panel, tmp_path
):
    store = FoldStore(tmp_path / "store")
    whole = made(panel, tmp_path / "store")
    assert change_since(whole["0030"], "0030", store) is None
    assert change_since(whole["0030"], "0030", store) is None
    less = panel.select(features=NAMES[1:])
    fewer = made(less, tmp_path / "store")
    for _ in range(2):  # a run that is repeated says the same
        change = change_since(fewer["0030"], "0030", store)
        assert (change["window"], change["left"], change["came"]) == ("0030", (NAMES[0],), ())
    other = FeatureGraph(("new", "newer"), (0, 0), (), (), ())
    change = change_since(other, "0030", store)
    assert change["came"] == ("new", "newer")
    assert len(change["left"]) == 23
    assert change_since(fewer["0030"], "0030", store)["left"] == ("new", "newer")
