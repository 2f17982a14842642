"""What is written comes back; what did not change is not written; what was flipped is not read."""

import json
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.panels import TARGETS, era_rows, small_panel

from numerai_kedro.errors import LabelFrontierError, PanelError
from numerai_kedro.panel import EraRows, open_panel, write_panel


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


def test_a_selection_copies_nothing(tmp_path):
    panel = small_panel(tmp_path / "panel", n_features=8)
    whole = panel.features(5)
    assert np.shares_memory(whole, panel.features(5))
    assert np.shares_memory(whole, panel.select(eras=[4, 5]).features(5))
    assert np.shares_memory(whole, panel.select(features=panel.feature_names[2:5]).features(5))
    assert not whole.flags.writeable
    address = panel.arrow().column(0).chunk(4).buffers()[1].address
    assert address == whole.ctypes.data


def test_a_selection_means_what_it_says(tmp_path):
    panel = small_panel(tmp_path / "panel")
    view = panel.select(eras=[7, 3], features=["feature_5", "feature_1"])
    assert view.eras.tolist() == [3, 7]
    np.testing.assert_array_equal(view.features(7), panel.features(7)[:, [5, 1]])
    assert view.n_rows == len(view.target(TARGETS[0])) == len(view.era_of_rows()) == 80
    pieces = dict(enumerate(view.batches(max_rows=16)))
    assert all(len(piece) <= 16 for _, piece in pieces.values())
    np.testing.assert_array_equal(
        np.vstack([piece for _, piece in pieces.values()]),
        np.vstack([view.features(3), view.features(7)]),
    )


def test_what_is_not_there_is_named_with_what_is_close(tmp_path):
    panel = small_panel(tmp_path / "panel")
    with pytest.raises(PanelError, match="did you mean target_ender_60"):
        panel.target("target_ender_6O")
    with pytest.raises(PanelError, match='feature "featur_1"'):
        panel.select(features=["featur_1"])
    with pytest.raises(PanelError, match="era 0099"):
        panel.select(eras=[99])
    with pytest.raises(PanelError, match="pipeline=ingestion"):
        open_panel(tmp_path / "nowhere")


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


def test_the_digest_changes_with_the_content_and_only_then(tmp_path):
    panel = small_panel(tmp_path / "a", n_eras=6)
    same = small_panel(tmp_path / "b", n_eras=6)
    other_target = [era_rows(era, resolved=era < 6) for era in range(1, 7)]
    write_panel(tmp_path / "c", other_target)
    unresolved = open_panel(tmp_path / "c")
    assert panel.digest(TARGETS) == same.digest(TARGETS)
    assert panel.digest() == unresolved.digest()
    assert panel.digest(TARGETS) != unresolved.digest(TARGETS)
    early = range(1, 6)
    assert panel.select(eras=early).digest(TARGETS) == unresolved.select(eras=early).digest(TARGETS)
    digests = {
        panel.digest(),
        panel.select(eras=early).digest(),
        panel.select(features=panel.feature_names[:3]).digest(),
        panel.digest(TARGETS[:1]),
        small_panel(tmp_path / "d", n_eras=6, seed=1).digest(),
    }
    assert len(digests) == 5


@pytest.mark.parametrize("kind", ["features", "rows"])
def test_no_flipped_bit_is_read_in_silence(tmp_path, kind):
    honest = small_panel(tmp_path / "honest", n_eras=4)
    expected = [honest.features(era).copy() for era in (1, 2, 3, 4)]
    targets, ids = honest.target(TARGETS[1]), honest.ids()
    rng = np.random.default_rng(0)
    silent, detected, sentences = 0, 0, []
    for attempt in range(60):
        folder = tmp_path / f"flipped-{attempt}"
        small_panel(folder, n_eras=4)
        path = folder / f"{kind}-1.arrow"
        content = bytearray(path.read_bytes())
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            panel = open_panel(folder)
            same = all(
                np.array_equal(panel.features(era), rows)
                for era, rows in zip((1, 2, 3, 4), expected, strict=True)
            )
            same &= np.array_equal(panel.target(TARGETS[1]), targets, equal_nan=True)
            same &= bool((panel.ids() == ids).all())
            silent += not same
        except PanelError as error:
            sentences.append(str(error))
            detected += 1
    assert silent == 0
    assert all("kedro run --pipeline=ingestion" in sentence for sentence in sentences)
    assert detected > 10


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
from numerai_kedro.panel import write_panel
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


def test_a_panel_pickles_as_its_path_and_selection(tmp_path):
    view = small_panel(tmp_path / "panel").select(eras=[3, 4], features=["feature_1"])
    again = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(again.features(3), view.features(3))
    assert again.digest() == view.digest()
    assert len(pickle.dumps(view)) < 60_000
