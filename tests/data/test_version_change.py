"""A planted change of rows, features and targets is found and measured; equal data says so."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.panels import TARGETS, Eras, era_rows

from numerai_kedro.data import FeatureBlock, open_panel, write_panel
from numerai_kedro.data.segment import _map
from numerai_kedro.data.store import read_index
from numerai_kedro.data.version_change import N_COMPARED, VersionChange, change_text, is_grave

N_ERAS = 60


@pytest.fixture
def before(tmp_path):
    eras = [era_rows(era) for era in range(1, N_ERAS + 1)]
    write_panel(tmp_path / "panel", eras, about=lambda: {"version": "v5.3"})
    return open_panel(tmp_path / "panel")


def changed(before, change=lambda rows: rows):
    eras = [change(era_rows(era)) for era in range(1, N_ERAS + 3)]
    compared = VersionChange(before, Eras(eras, "v5.4"))
    assert [rows.era for rows in compared] == [rows.era for rows in eras]
    return compared.result()


def with_features(rows, names, matrix):
    return replace(rows, features=FeatureBlock.of(names, matrix))


def test_equal_data_under_another_name_is_said_to_be_equal(before):
    change = changed(before)
    assert not is_grave(change)
    assert change["eras"] == {"compared": N_COMPARED, "added": 2, "removed": 0}
    assert change_text(change) == (
        "data v5.4 compared with v5.3 in 24 eras; eras: 2 added, 0 removed; 100.0% of rows are in "
        "both; values of features unchanged; targets unchanged"
    )


def test_rows_in_another_order_are_the_same_rows(before):
    def turned(rows):
        order = np.arange(len(rows.ids))[::-1]
        turned = with_features(rows, rows.features.names, rows.features.matrix[order])
        return replace(turned, ids=rows.ids.take(order), targets=rows.targets.take(order))

    assert not is_grave(changed(before, turned))


def test_features_that_come_go_and_differ_are_counted_and_named(before):
    def other(rows):
        names = [*rows.features.names[:-1], "feature_new", "feature_newer"]
        matrix = rows.features.matrix.copy()
        matrix[: len(matrix) // 4, 3] = (matrix[: len(matrix) // 4, 3] + 1) % 5
        return with_features(rows, names, np.column_stack([matrix[:, :-1], matrix[:, :2]]))

    change = changed(before, other)
    assert change["features"] == {"added": 2, "removed": 1, "differ": {"feature_3": 0.25}}
    assert is_grave(change)
    text = change_text(change)
    assert "features: 2 added, 1 removed; values changed in feature_3 in 25.0% of rows" in text


def test_added_features_alone_are_not_grave(before):
    def more(rows):
        matrix = rows.features.matrix
        names = ["feature_new", *rows.features.names]
        return with_features(rows, names, np.column_stack([matrix[:, 0], matrix]))

    change = changed(before, more)
    assert change["features"]["added"] == 1
    assert not is_grave(change)


def test_rows_that_are_gone_are_a_share(before):
    change = changed(
        before,
        lambda rows: replace(
            with_features(rows, rows.features.names, rows.features.matrix[:30]),
            ids=rows.ids[:30],
            targets=rows.targets.slice(0, 30),
        ),
    )
    assert change["rows_in_both"] == 0.75
    assert is_grave(change)


def test_a_target_that_means_something_else_is_named_with_its_correlation(before):
    def other_target(rows):
        turned = 1 - rows.targets.column(1).to_numpy()
        columns = [rows.targets.column(0), pa.array(turned)]
        return replace(rows, targets=pa.record_batch(columns, names=list(TARGETS)))

    change = changed(before, other_target)
    assert change["targets"]["differ"][TARGETS[1]]["correlation"] == pytest.approx(-1)
    assert ", and correlates -1.000 with what it was" in change_text(change)
    assert "target_ender_20" not in change_text(change)
    assert is_grave(change)


CHANGED_TARGETS = {
    "constant": (lambda old: np.full_like(old, 0.5), "cannot be correlated"),
    "half of them gone": (lambda old: np.where(np.arange(len(old)) % 2, old, np.nan), "50.0% of"),
    "on another scale": (lambda old: old / 2 + 0.25, "correlates 1.000"),
}


@pytest.mark.parametrize("how", sorted(CHANGED_TARGETS))
def test_no_other_target_passes_for_the_same(before, how):
    change_target, words = CHANGED_TARGETS[how]

    def other(rows):
        new = pa.array(change_target(rows.targets.column(1).to_numpy()).astype(np.float32))
        return replace(
            rows, targets=pa.record_batch([rows.targets.column(0), new], names=list(TARGETS))
        )

    change = changed(before, other)
    assert is_grave(change)
    assert words in change_text(change)


def test_targets_that_resolve_meanwhile_are_no_change(tmp_path):
    eras = [era_rows(era, resolved=era < 10) for era in range(1, 21)]
    write_panel(tmp_path / "panel", eras, about=lambda: {"version": "v5.3"})
    new = [era_rows(era, resolved=era < 15) for era in range(1, 21)]
    compared = VersionChange(open_panel(tmp_path / "panel"), Eras(new, "v5.4"))
    list(compared)
    assert not is_grave(compared.result())


def test_eras_that_are_gone_are_counted_and_none_in_common_is_said(before):
    compared = VersionChange(before, Eras([era_rows(era) for era in range(31, 61)], "v5.4"))
    list(compared)
    assert compared.result()["eras"]["removed"] == 30
    assert is_grave(compared.result())
    compared = VersionChange(before, Eras([era_rows(era) for era in range(100, 110)], "v5.4"))
    list(compared)
    assert is_grave(compared.result())
    assert "they have no era in common" in change_text(compared.result())


def test_the_features_that_differ_most_are_named_first(before):
    def other(rows):
        matrix = rows.features.matrix.copy()
        for feature in range(8):
            n = 4 * feature
            matrix[:n, feature] = (matrix[:n, feature] + 1) % 5
        return with_features(rows, rows.features.names, matrix)

    text = change_text(json.loads(json.dumps(changed(before, other), sort_keys=True)))
    assert "values changed in feature_7 in 70.0% of rows, feature_6 in 60.0%" in text
    assert "and 2 more" in text


def test_a_damaged_panel_is_replaced_though_nothing_can_be_compared(before):
    index = read_index(before.folder)
    name, offset, length = index["eras"][0]["features_at"]
    content = bytearray((before.folder / name).read_bytes())
    content[offset + length - 100] ^= 1
    (before.folder / name).unlink()
    (before.folder / name).write_bytes(content)
    _map.cache_clear()
    change = changed(open_panel(before.folder))
    assert "not possible" in change_text(change)
    assert is_grave(change)
