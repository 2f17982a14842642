"""A panel is there when its index is; saving again writes what changed, and says so."""

import logging

import numpy as np
import pytest
from kedro.io import DatasetError
from tests.panels import TARGETS, Eras, era_rows, small_panel

from numerai_kedro.datasets.era_panel import EraPanelDataset


@pytest.fixture
def dataset(tmp_path):
    return EraPanelDataset(filepath=str(tmp_path / "panel"))


def test_a_panel_is_there_when_its_index_is(dataset, tmp_path):
    (tmp_path / "panel").mkdir()
    (tmp_path / "panel" / "features-1.arrow").touch()  # what a killed build leaves
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="panel does not exist yet"):
        dataset.load()
    dataset.save(Eras([era_rows(1)]))
    assert dataset.exists()


def test_a_stream_of_eras_comes_back_and_the_log_says_what_was_new(dataset, caplog):
    dataset.save(Eras(era_rows(era, resolved=era < 4) for era in range(1, 6)))
    with caplog.at_level(logging.INFO):
        dataset.save(Eras(era_rows(era, resolved=era < 5) for era in range(1, 7)))
    assert "panel: 4 eras unchanged, 1 new (0006), 1 with changed targets (0004)" in caplog.text
    panel = dataset.load()
    np.testing.assert_array_equal(panel.features(6), era_rows(6).features.matrix)
    assert panel.resolved_eras(TARGETS[0]).tolist() == [1, 2, 3, 4]


def test_a_stream_that_breaks_leaves_the_panel_that_was_there(dataset):
    dataset.save(Eras(era_rows(era) for era in (1, 2, 3)))
    before = dataset.load().digest(TARGETS)

    def broken():
        yield era_rows(1, seed=5)
        raise OSError("the file ends early")

    with pytest.raises(DatasetError, match="the file ends early"):
        dataset.save(Eras(broken()))
    assert dataset.load().digest(TARGETS) == before


def test_a_torn_index_is_a_sentence_and_no_empty_panel(dataset, tmp_path):
    small_panel(tmp_path / "panel", n_eras=3)
    (tmp_path / "panel" / "index.json").write_text('{"format": 2, "eras": [')
    assert dataset.exists()
    with pytest.raises(DatasetError, match="no panel, or one that cannot be read; run kedro"):
        dataset.load()


def test_the_preview_is_the_newest_eras(dataset, tmp_path):
    small_panel(tmp_path / "panel", n_eras=12)
    preview = dataset.preview()
    assert preview["columns"] == ["era", "rows", "features"]
    assert preview["data"] == [[era, 40, 8] for era in range(5, 13)]


def test_a_panel_that_lost_a_segment_has_no_content(dataset, tmp_path):
    dataset.save(Eras([era_rows(1), era_rows(2)]))
    assert list(dataset.contents()) == ["columns", "era 0001", "era 0002"]
    segment = tmp_path / "panel" / "features-1.arrow"
    segment.write_bytes(segment.read_bytes()[:-4096])
    assert dataset.contents() == {}
    segment.unlink()
    assert dataset.contents() == {}


def test_another_data_version_is_compared_and_the_comparison_stays(dataset, caplog):
    dataset.save(Eras([era_rows(1), era_rows(2)], "v5.2"))
    assert dataset.load().about == {"version": "v5.2", "version_change": {}}
    with caplog.at_level(logging.WARNING):
        dataset.save(Eras([era_rows(1, n_features=7), era_rows(2, n_features=7)], "v5.3"))
    assert "data v5.3 compared with v5.2 in 2 eras; 100.0% of rows are in both" in caplog.text
    assert "features: 0 added, 1 removed" in caplog.text
    caplog.clear()
    dataset.save(Eras([era_rows(era, n_features=7) for era in (1, 2, 3)], "v5.3"))
    dataset.save(Eras([era_rows(era, n_features=7) for era in (1, 2, 3)], ""))
    assert "compared" not in caplog.text
    panel = dataset.load()
    assert panel.version == "v5.3"
    assert panel.about["version_change"]["features"]["removed"] == 1
