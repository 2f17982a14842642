"""A selection is a correct view, and flipped bytes are never read silently."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.damage import flip
from tests.panels import TARGETS, era_rows, small_panel

from numerai_kedro.data import open_panel, write_panel
from numerai_kedro.errors import PanelError


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


def test_ids_and_targets_are_those_that_were_written_in_the_order_of_the_rows(tmp_path):
    write_panel(tmp_path, [era_rows(era, n_rows=10 * era) for era in (1, 2, 3)])
    panel = open_panel(tmp_path)
    for eras in ((1, 2, 3), (3,), (1, 3)):
        view, written = panel.select(eras=eras), [era_rows(era, n_rows=10 * era) for era in eras]
        assert view.ids().tolist() == [name for rows in written for name in rows.ids.to_pylist()]
        assert view.era_of_rows().tolist() == [era for era in eras for _ in range(10 * era)]
        for name in TARGETS:
            column = np.concatenate([rows.targets.column(name).to_numpy() for rows in written])
            np.testing.assert_array_equal(view.target(name), column)


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
    assert all("again, which builds the panel anew" in sentence for sentence in sentences)
    assert detected > 10


def test_a_panel_pickles_as_its_path_and_selection(tmp_path):
    view = small_panel(tmp_path / "panel").select(eras=[3, 4], features=["feature_1"])
    again = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(again.features(3), view.features(3))
    assert again.digest() == view.digest()
    assert len(pickle.dumps(view)) < 60_000


def test_a_segment_that_is_gone_or_cut_short_is_one_sentence_and_the_panel_is_built_anew(tmp_path):
    spoils = {"gone": Path.unlink, "short": lambda path: path.write_bytes(b"ARROW1")}
    for name, spoil in spoils.items():
        folder = tmp_path / name
        small_panel(folder, n_eras=3)
        spoil(folder / "features-1.arrow")
        with pytest.raises(PanelError, match=r"a torn file.* which builds the panel anew"):
            open_panel(folder).features(2)
        again = small_panel(folder, n_eras=3)
        assert again.features(2).shape == (again.era_starts[2] - again.era_starts[1], 8)


def test_a_panel_that_lost_a_segment_is_written_whole_though_no_era_changed(tmp_path):
    """Nobody has read it since: the index is as it was."""
    before = small_panel(tmp_path, n_eras=3).features(2).copy()
    segment = tmp_path / "features-1.arrow"
    segment.write_bytes(segment.read_bytes()[:40])
    assert not open_panel(tmp_path).is_whole()
    again = small_panel(tmp_path, n_eras=3)
    assert again.is_whole()
    np.testing.assert_array_equal(again.features(2), before)


def test_damage_of_a_panel_that_was_replaced_since_leaves_the_new_one(tmp_path):
    old = small_panel(tmp_path, n_eras=3)
    (tmp_path / "features-1.arrow").unlink()
    small_panel(tmp_path, n_eras=4)
    with pytest.raises(PanelError, match="not what was written"):
        old.features(2)
    assert len(open_panel(tmp_path).eras) == 4


@pytest.mark.parametrize(
    "old", [b'"n_rows": ', b'"target', b'"resolved"', b'feature_1"', b'"era": ']
)
def test_a_flipped_bit_of_the_index_is_no_other_panel(tmp_path, old):
    small_panel(tmp_path, n_eras=3)
    index = tmp_path / "index.json"
    flip(index, index.read_bytes().index(old) + len(old) - 2)
    with pytest.raises(PanelError, match="cannot be read"):
        open_panel(tmp_path)
    assert len(small_panel(tmp_path, n_eras=3).eras) == 3
