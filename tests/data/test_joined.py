"""Columns of a second panel stand beside the first's, row by row, or the join is refused."""

import pickle

import numpy as np
import pytest
from tests.panels import TARGETS, era_rows, small_panel

from numerai_kedro.data import EraRows, FeatureBlock, JoinedPanel, open_panel, write_panel
from numerai_kedro.data.joined import n_derived
from numerai_kedro.errors import PanelError

NAMES = ["derived_latents_000_abc", "derived_latents_001_abc"]


def latents_of(panel, folder, eras=None):
    blocks = []
    for era in panel.eras if eras is None else eras:
        rows = era_rows(int(era))
        levels = np.random.default_rng(int(era)).integers(0, 16, size=(40, 2)).astype(np.int8)
        blocks.append(
            EraRows(rows.era, "latent", rows.ids, FeatureBlock.of(NAMES, levels), rows.targets)
        )
    write_panel(folder, blocks)
    return open_panel(folder)


@pytest.fixture
def both(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=6)
    return panel, latents_of(panel, tmp_path / "latents")


def test_columns_stand_beside_each_other_in_every_form(both):
    panel, latents = both
    joined = JoinedPanel(panel, latents)
    assert joined.feature_names == [*panel.feature_names, *NAMES]
    assert n_derived(joined.feature_names) == 2
    assert joined.n_values == 16
    for era in (1, 6):
        whole = np.hstack([panel.features(era), latents.features(era)])
        np.testing.assert_array_equal(joined.features(era), whole)
        assert joined.features(era)[:, 0].flags.c_contiguous
    table = joined.arrow()
    assert table.column_names == joined.feature_names
    pieces = np.vstack([joined.features(era) for era in joined.eras])
    np.testing.assert_array_equal(table.to_pandas().to_numpy(), pieces)
    np.testing.assert_array_equal(joined.target(TARGETS[0]), panel.target(TARGETS[0]))


def test_a_selection_of_it_means_what_it_says(both):
    panel, latents = both
    view = JoinedPanel(panel, latents).select(eras=[2, 5], features=["feature_3", NAMES[1]])
    assert view.eras.tolist() == [2, 5]
    expected = np.column_stack([panel.features(5)[:, 3], latents.features(5)[:, 1]])
    np.testing.assert_array_equal(view.features(5), expected)
    plain = JoinedPanel(panel, latents).select(features=["feature_3"])
    assert not isinstance(plain, JoinedPanel)
    again = pickle.loads(pickle.dumps(view))
    assert again.digest(TARGETS) == view.digest(TARGETS)


def test_the_digest_tells_other_latents(both, tmp_path):
    panel, latents = both
    joined = JoinedPanel(panel, latents)
    other = latents_of(panel, tmp_path / "other", eras=[1, 2, 3, 4, 5, 6])
    assert JoinedPanel(panel, other).digest() == joined.digest()
    fewer = JoinedPanel(panel, latents.select(features=NAMES[:1]))
    assert fewer.digest() != joined.digest() != panel.digest()


def test_latents_of_other_rows_are_refused(both, tmp_path):
    panel, _ = both
    blocks = [era_rows(era) for era in range(1, 7)]
    blocks[3] = era_rows(4, n_rows=39)
    write_panel(tmp_path / "changed", blocks)
    with pytest.raises(PanelError, match="era 0004 has other rows"):
        JoinedPanel(panel, open_panel(tmp_path / "changed"))
    with pytest.raises(PanelError, match="era 0006"):
        JoinedPanel(panel, latents_of(panel, tmp_path / "short", eras=range(1, 6)))
