"""Statistics of eras are exact, read each era once, and ignore later eras."""

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numerai_tools.scoring import numerai_corr
from tests.panels import era_rows, small_panel

from numerai_kedro.cache import FoldStore
from numerai_kedro.data import EraPanel, FeatureBlock, open_panel, write_panel
from numerai_kedro.features.sufficient import effects_of, products_of, table_of

TARGET = "target_ender_60"


@pytest.fixture
def store(tmp_path):
    return FoldStore(tmp_path / "store")


@pytest.fixture
def read(monkeypatch):
    """Eras whose features are read."""
    seen, real = [], EraPanel.features

    def features(self, era):
        seen.append(era)
        return real(self, era)

    monkeypatch.setattr(EraPanel, "features", features)
    return seen


def test_effects_are_numerais_corr_era_by_era(tmp_path, store):
    panel = small_panel(tmp_path / "panel", n_eras=5)
    eras, effects = effects_of(panel, TARGET, store)
    assert eras.tolist() == [1, 2, 3, 4, 5]
    for era, row in zip(eras, effects, strict=True):
        alone = panel.select(eras=[era])
        frame = pd.DataFrame(panel.features(era)).astype(float)
        theirs = numerai_corr(frame, pd.Series(alone.target(TARGET), name="t").astype(float))
        np.testing.assert_allclose(row, theirs.to_numpy(), atol=1e-10, rtol=0)


def test_a_new_era_reads_itself_and_one_without_a_target_is_left_out(tmp_path, store, read):
    blocks = [era_rows(era) for era in range(1, 6)]
    write_panel(tmp_path / "panel", blocks)
    _, before = effects_of(open_panel(tmp_path / "panel"), TARGET, store)
    assert sorted(read) == [1, 2, 3, 4, 5]
    read.clear()
    later = [*blocks, era_rows(6), era_rows(7, resolved=False)]
    write_panel(tmp_path / "later", later)
    eras, after = effects_of(open_panel(tmp_path / "later"), TARGET, store)
    assert eras.tolist() == [1, 2, 3, 4, 5, 6]
    assert read == [6]
    np.testing.assert_array_equal(after[:5], before)


def test_a_changed_target_is_counted_again_and_no_other_era(tmp_path, store, read):
    blocks = [era_rows(era) for era in range(1, 4)]
    write_panel(tmp_path / "panel", blocks)
    effects_of(open_panel(tmp_path / "panel"), TARGET, store)
    read.clear()
    blocks[1] = era_rows(2, seed=5)
    write_panel(tmp_path / "changed", blocks)
    effects_of(open_panel(tmp_path / "changed"), TARGET, store)
    assert read == [2]


def test_a_feature_that_is_missing_in_an_era_has_no_effect_there(tmp_path, store):
    blocks = [era_rows(era) for era in range(1, 4)]
    matrix = np.array(blocks[0].features.matrix)
    matrix[:, 3], matrix[:, 4] = 2, 1
    names = blocks[0].features.names
    blocks[0] = dataclasses.replace(blocks[0], features=FeatureBlock.of(names, matrix))
    write_panel(tmp_path / "panel", blocks)
    _, effects = effects_of(open_panel(tmp_path / "panel"), TARGET, store)
    assert np.isnan(effects[0, 3:5]).all()
    assert np.isfinite(np.delete(effects[0], [3, 4])).all()
    assert np.isfinite(effects[1:]).all()


def test_a_damaged_piece_is_made_again(tmp_path, store):
    panel = small_panel(tmp_path / "panel", n_eras=1)
    _, effects = table_of(panel, 1, TARGET, store)
    (path,) = (tmp_path / "store").rglob("content")
    path.write_bytes(path.read_bytes()[:-9])
    np.testing.assert_array_equal(table_of(panel, 1, TARGET, store)[1], effects)


def test_an_era_of_which_little_is_resolved_has_no_effects(tmp_path, store):
    blocks = [era_rows(era) for era in range(1, 3)]
    columns = blocks[0].targets.to_pydict()
    for name in columns:
        columns[name][9:] = [float("nan")] * 31
    batch = pa.record_batch([pa.array(v, pa.float32()) for v in columns.values()], list(columns))
    blocks[0] = dataclasses.replace(blocks[0], targets=batch)
    write_panel(tmp_path / "panel", blocks)
    _, effects = effects_of(open_panel(tmp_path / "panel"), TARGET, store)
    assert np.isnan(effects[0]).all()
    assert np.isfinite(effects[1]).all()


def test_products_are_exact_and_every_era_is_read_once(tmp_path, store, read):
    panel = small_panel(tmp_path / "panel", n_eras=60)
    ends = [10, 40, 60]
    all_products = list(products_of(panel, ends, store))
    assert sorted(read) == list(range(1, 61))
    for end, products in zip(ends, all_products, strict=True):
        rows = np.concatenate([panel.features(era) for era in range(1, end + 1)]).astype(int) - 2
        np.testing.assert_array_equal(products.gram, rows.T @ rows)
        np.testing.assert_array_equal(products.sums, rows.sum(axis=0))
        np.testing.assert_allclose(products.correlation(), np.corrcoef(rows.T), atol=1e-12)


def test_later_eras_read_no_piece_that_is_complete(tmp_path, store, read):
    panel = small_panel(tmp_path / "panel", n_eras=62)
    (before,) = products_of(panel.select(eras=range(1, 61)), [60], store)
    read.clear()
    first, later = products_of(panel, [60, 62], store)
    assert read == [61, 62]
    np.testing.assert_array_equal(first.gram, before.gram)
    read.clear()
    (alone,) = products_of(panel, [62], store)
    assert read == []
    np.testing.assert_array_equal(alone.gram, later.gram)


def test_one_more_era_is_read_alone_even_where_an_end_moves_inside_a_piece(tmp_path, store, read):
    panel = small_panel(tmp_path / "panel", n_eras=62)
    list(products_of(panel, [60], store))
    read.clear()
    (moved,) = products_of(panel, [61], store)
    assert read == [61]
    (whole,) = products_of(panel, [61], FoldStore(tmp_path / "other"))
    np.testing.assert_array_equal(moved.gram, whole.gram)
    np.testing.assert_array_equal(moved.known, whole.known)


def test_an_end_may_lie_between_eras_that_are_there(tmp_path, store):
    panel = small_panel(tmp_path / "panel", n_eras=9).select(eras=[1, 2, 3, 6, 9])
    all_products = list(products_of(panel, [3, 5, 8], store))
    assert [products.rows.size for products in all_products] == [3, 3, 4]


def test_a_feature_correlates_where_it_is_known(tmp_path, store):
    blocks = [era_rows(era, n_rows=200) for era in range(1, 9)]
    for number in range(8):
        matrix = np.array(blocks[number].features.matrix)
        matrix[:, 1] = matrix[:, 0]
        if number < 4:
            matrix[:, 1] = 2
        block = FeatureBlock.of(blocks[number].features.names, matrix)
        blocks[number] = dataclasses.replace(blocks[number], features=block)
    write_panel(tmp_path / "panel", blocks)
    (products,) = products_of(open_panel(tmp_path / "panel"), [8], store)
    assert products.known[:, 1].tolist() == [False] * 4 + [True] * 4
    assert products.correlation()[0, 1] == pytest.approx(1, abs=0.03)


def test_what_is_known_at_an_end_is_the_same_whatever_comes_later(tmp_path):
    """Later eras are changed; one store keeps the pieces of both panels apart."""
    blocks = [era_rows(era) for era in range(1, 7)]
    write_panel(tmp_path / "honest", blocks)
    write_panel(tmp_path / "other", [*blocks[:3], *(era_rows(era, seed=7) for era in range(4, 7))])
    store = FoldStore(tmp_path / "store")
    first, whole = products_of(open_panel(tmp_path / "honest"), [3, 6], store)
    again, changed = products_of(open_panel(tmp_path / "other"), [3, 6], store)
    np.testing.assert_array_equal(first.gram, again.gram)
    assert (whole.gram != changed.gram).any()
