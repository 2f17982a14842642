"""What is written comes back; what did not change is not written; a kill leaves the old panel."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.panels import TARGETS, era_rows, small_panel

from numerai_kedro.data import EraRows, open_panel, write_panel
from numerai_kedro.data.store import PanelChange
from numerai_kedro.errors import LabelFrontierError, PanelError


def rows_like(rows, **changed):
    parts = {name: getattr(rows, name) for name in EraRows.__dataclass_fields__}
    return EraRows(**parts | changed)


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    n_features=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_what_goes_in_comes_out(tmp_path_factory, sizes, n_features, seed):
    blocks = [
        era_rows(3 * k + 1, n_rows=size, n_features=n_features, seed=seed)
        for k, size in enumerate(sizes)
    ]
    folder = tmp_path_factory.mktemp("panel")
    write_panel(folder, blocks)
    panel = open_panel(folder)
    assert panel.eras.tolist() == [block.era for block in blocks]
    assert np.diff(panel.era_starts).tolist() == sizes
    for block in blocks:
        np.testing.assert_array_equal(panel.features(block.era), block.features.matrix)
    assert panel.ids().tolist() == [i for block in blocks for i in block.ids.to_pylist()]
    np.testing.assert_array_equal(
        panel.target(TARGETS[1]),
        np.concatenate([block.targets.column(TARGETS[1]).to_numpy() for block in blocks]),
    )
    np.testing.assert_array_equal(
        np.column_stack([c.to_numpy() for c in panel.arrow().columns]),
        np.vstack([panel.features(int(era)) for era in panel.eras]),
    )


def test_a_change_is_told_with_counts_and_spans_of_eras():
    change = PanelChange((7, 8, 9), (), (5,), 12)
    assert str(change) == "12 eras unchanged, 3 new (0007-0009), 1 with changed targets (0005)"
    assert str(PanelChange((), (1, 2), (), 0)) == (
        "0 eras unchanged, 2 with changed features (0001-0002)"
    )


def test_a_target_that_is_missing_is_the_same_however_it_is_said(tmp_path):
    other_bits = np.array([0x7FC00001], np.uint32).view(np.float32)[0]
    digests = set()
    for number, missing in enumerate((None, np.nan, other_bits, -np.nan)):
        rows = era_rows(1)
        columns = []
        for name in rows.targets.schema.names:
            values = rows.targets.column(name).to_numpy().copy()
            values[3] = np.nan if missing is None else missing
            columns.append(pa.array(values, from_pandas=missing is None))
        targets = pa.RecordBatch.from_arrays(columns, names=rows.targets.schema.names)
        write_panel(tmp_path / str(number), [rows_like(rows, targets=targets)])
        digests.add(open_panel(tmp_path / str(number)).digest(rows.targets.schema.names))
    assert len(digests) == 1


def test_an_unchanged_week_writes_nothing(tmp_path):
    folder = tmp_path / "panel"
    small_panel(folder)
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.arrow")}
    change = write_panel(folder, [era_rows(era) for era in range(1, 31)])
    assert (change.unchanged, change.new_eras) == (30, ())
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.arrow")} == before


def test_a_week_appends_its_era_and_rewrites_resolved_targets_only(tmp_path):
    folder = tmp_path / "panel"
    write_panel(folder, [era_rows(era, resolved=era <= 17) for era in range(1, 31)])
    first = folder / "features-1.arrow"
    untouched = first.stat().st_mtime_ns
    change = write_panel(folder, [era_rows(era, resolved=era <= 18) for era in range(1, 32)])
    assert change.new_eras == (31,)
    assert change.changed_targets == (18,)
    assert change.changed_features == ()
    assert first.stat().st_mtime_ns == untouched
    assert pa.ipc.open_file(str(folder / "features-2.arrow")).read_all().num_rows == 40
    fresh = tmp_path / "fresh"
    write_panel(fresh, [era_rows(era, resolved=era <= 18) for era in range(1, 32)])
    assert open_panel(folder).digest(TARGETS) == open_panel(fresh).digest(TARGETS)
    np.testing.assert_array_equal(
        open_panel(folder).target(TARGETS[0]), open_panel(fresh).target(TARGETS[0])
    )


def test_changed_features_of_an_old_era_are_rewritten_and_said(tmp_path):
    folder = tmp_path / "panel"
    small_panel(folder)
    blocks = [era_rows(era) for era in range(1, 31)]
    blocks[4] = rows_like(blocks[4], features=era_rows(5, seed=8).features)
    change = write_panel(folder, blocks)
    assert change.changed_features == (5,)
    assert "1 with changed features (0005)" in str(change)
    np.testing.assert_array_equal(open_panel(folder).features(5), blocks[4].features.matrix)


def test_a_frontier_that_retreats_is_refused_and_nothing_is_overwritten(tmp_path):
    folder = tmp_path / "panel"
    write_panel(folder, [era_rows(era, resolved=era <= 20) for era in range(1, 31)])
    before = sorted((p.name, p.read_bytes()) for p in folder.iterdir())
    with pytest.raises(LabelFrontierError, match="up to era 0020 and is now only up to 0013"):
        write_panel(folder, [era_rows(era, resolved=era <= 13) for era in range(1, 31)])
    assert sorted((p.name, p.read_bytes()) for p in folder.iterdir()) == before


def test_a_torn_index_is_rebuilt(tmp_path):
    folder = tmp_path / "panel"
    small_panel(folder)
    index = (folder / "index.json").read_text()
    (folder / "index.json").write_text(index[: len(index) // 2])
    with pytest.raises(PanelError):
        open_panel(folder)
    assert small_panel(folder).n_rows == 30 * 40


KILLED = """
import os, signal, sys
from numerai_kedro.data import write_panel
from tests.panels import era_rows
point, folder = int(sys.argv[1]), sys.argv[2]
real, seen = os.replace, 0
def replace(*args):
    global seen
    seen += 1
    if seen == point:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args)
os.replace = replace
def blocks():
    for era in range(1, 34):
        if point == 0 and era == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        yield era_rows(era, seed=1)
write_panel(folder, blocks())
"""


@pytest.mark.parametrize("point", [0, 1, 2, 3])
def test_a_kill_at_any_rename_leaves_the_old_panel_readable(tmp_path, point):
    folder = tmp_path / "panel"
    old = small_panel(folder).digest(TARGETS)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(point), str(folder)], check=False, cwd=os.getcwd()
    )
    assert killed.returncode == -signal.SIGKILL
    assert open_panel(folder).digest(TARGETS) == old
    assert np.isfinite(open_panel(folder).target(TARGETS[0])).all()
    write_panel(folder, [era_rows(era, seed=1) for era in range(1, 34)])
    names = {path.name for path in folder.iterdir()}
    index = json.loads((folder / "index.json").read_text())
    used = {entry[at][0] for entry in index["eras"] for at in ("features_at", "rows_at")}
    assert names == used | {"index.json"}


def test_standard_readers_open_a_segment(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=3)
    table = pa.ipc.open_file(str(tmp_path / "panel" / "features-1.arrow")).read_all()
    assert table.column_names == panel.feature_names
    assert table.num_rows == 120
