"""Batches are rows of one era that have a target; labels are those rows' own."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from tests.panels import TARGETS, era_rows, small_panel

from numerai_kedro.data import EraRows, open_panel, write_panel
from numerai_kedro.training.torch.batches import TrainingEras, eras_in_parts, labels_of

CPU = torch.device("cpu")


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel", n_eras=5)


def known_rows(folder, n_known):
    """A panel of two eras, of which the second has so many known targets."""
    rows = era_rows(2)
    target = rows.targets.column(0).to_numpy().copy()
    target[n_known:] = np.nan
    targets = pa.record_batch([target] * 2, names=rows.targets.schema.names)
    holed = EraRows(2, rows.data_type, rows.ids, rows.features, targets)
    write_panel(folder, [era_rows(1), holed])
    return open_panel(folder)


def test_an_epoch_has_every_known_row_once_in_parts_of_nearly_equal_size(panel):
    eras = TrainingEras(panel, TARGETS, batch_rows=16)
    batches = eras.epoch(0, 0)
    assert eras.n_rows == 200
    assert sorted(len(batch.rows) for batch in batches) == [13] * 10 + [14] * 5
    for era in range(1, 6):
        rows = np.concatenate([batch.rows for batch in batches if batch.era == era])
        assert sorted(rows) == list(range(40))
    assert [batch.era for batch in batches] != sorted(batch.era for batch in batches)


def test_order_depends_on_seed_and_epoch_alone(panel):
    eras = TrainingEras(panel, TARGETS, batch_rows=16)

    def order(number, seed):
        return [(batch.era, *batch.rows) for batch in eras.epoch(number, seed)]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(2, 2)
    assert order(1, 2) != order(1, 3)


@pytest.mark.parametrize(("n_known", "n_rows"), [(40, 80), (17, 57), (2, 42), (1, 40), (0, 40)])
def test_rows_without_a_target_are_left_out_and_eras_of_fewer_than_two(tmp_path, n_known, n_rows):
    eras = TrainingEras(known_rows(tmp_path / "panel", n_known), TARGETS, 100)
    assert eras.n_rows == n_rows
    second = [batch.rows for batch in eras.epoch(0, 0) if batch.era == 2]
    assert [sorted(rows) for rows in second] == ([list(range(n_known))] if n_known > 1 else [])


def test_a_batch_is_loaded_with_its_own_features_and_labels(panel):
    eras = TrainingEras(panel, TARGETS, batch_rows=16)
    batch = eras.epoch(0, 0)[3]
    targets = np.column_stack([panel.select(eras=[batch.era]).target(name) for name in TARGETS])
    for prepare in (lambda: None, lambda: eras.keep_on(CPU, 200 * 8), eras.let_go):
        prepare()
        features, labels = eras.load(batch, CPU)
        np.testing.assert_array_equal(features, panel.features(batch.era)[batch.rows])
        np.testing.assert_array_equal(labels, labels_of(targets)[batch.rows])


def test_features_are_kept_on_a_device_only_where_all_of_them_fit(panel):
    eras = TrainingEras(panel, TARGETS, batch_rows=16)
    assert not eras.keep_on(CPU, 200 * 8 - 1)
    assert eras._resident == {}
    assert eras.keep_on(CPU, 200 * 8)
    assert sorted(eras._resident) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("n_eras", "chosen"), [(1, [1]), (2, [1, 3]), (5, [1, 2, 3, 4, 5]), (9, [1, 2, 3, 4, 5])]
)
def test_some_eras_are_spread_over_all(panel, n_eras, chosen):
    assert TrainingEras(panel, TARGETS, 16).some(n_eras).eras.tolist() == chosen


def test_rows_to_predict_come_in_order_in_parts_of_one_era(panel):
    parts = list(eras_in_parts(panel.select(eras=[2, 5]), 15))
    places = [(part.start, part.stop) for part, _ in parts]
    assert places == [(0, 15), (15, 30), (30, 40), (40, 55), (55, 70), (70, 80)]
    whole = np.vstack([panel.features(2), panel.features(5)])
    np.testing.assert_array_equal(torch.cat([rows for _, rows in parts]), whole)


def test_labels_are_the_centred_target_to_its_power_and_ranks_of_variance_one():
    targets = np.array([[0.0, 0.25], [0.5, np.nan], [1.0, 0.75], [np.nan, 0.25]])
    labels = labels_of(targets)
    np.testing.assert_allclose(labels[:3, 0], [-(0.5**1.5), 0, 0.5**1.5], rtol=1e-6)
    np.testing.assert_allclose(labels[:3, 1], [-(1.5**0.5), 0, 1.5**0.5], atol=1e-6)
    # Normal quantiles of 1/3, 5/6 and 1/3, divided by their deviation, which is not their root
    # mean square: tied ranks are not centred.
    expected = np.array([-0.430727, 0.967422, -0.430727]) / 0.659093
    np.testing.assert_allclose(labels[[0, 2, 3], 2], expected, rtol=1e-5)
    assert np.isnan(labels).tolist() == [
        [False] * 3, [False, False, True], [False] * 3, [True, True, False],
    ]  # fmt: skip


def test_a_target_of_one_level_has_no_rank_and_one_row_none_at_all():
    assert labels_of(np.full((3, 1), 0.5)).tolist() == [[0.0, 0.0]] * 3
    one = labels_of(np.array([[0.5, 0.5], [np.nan, np.nan]]))
    assert one[0, 0] == 0
    assert np.isnan(one[0, 1:]).all()
