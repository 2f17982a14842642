"""A class of a few lines is a model: fits, predicts, is saved and read back."""

import numpy as np
import pytest
from tests.panels import small_panel, with_holes

from numerai_kedro.data import open_panel, write_panel
from numerai_kedro.errors import StoreError
from numerai_kedro.files.trusted_pickle import read_trusted, trust, write_trusted
from numerai_kedro.models.simple import SimpleModel, SimpleParams

TARGET = "target_ender_60"


class Means(SimpleModel):
    def fit_rows(self, rows, label):
        self.rows_seen = len(rows)
        self.slopes = (rows - 2).T @ (label - label.mean()) * self.params.scale

    def predict_rows(self, rows):
        return (rows - np.float32(2)) @ self.slopes


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel")


def model(**params):
    params = SimpleParams.model_validate({"scale": 1.0} | params)
    return Means(params, seed=0, threads=1)


def test_it_learns_from_rows_with_a_target_alone_and_predicts_all(panel):
    fitted = model().fit(panel, None, TARGET)
    assert fitted.rows_seen == int((~np.isnan(panel.target(TARGET))).sum()) > 0
    predictions = fitted.predict(panel)
    assert (predictions.shape, predictions.dtype) == ((panel.n_rows,), np.float32)
    assert np.nanstd(predictions) > 0


def test_rows_without_a_target_are_not_given_to_it(panel, tmp_path):
    predictions = []
    for only_known in (False, True):
        folder = tmp_path / f"only known {only_known}"
        write_panel(folder, [with_holes(era, only_known) for era in range(1, 5)])
        predictions.append(model().fit(open_panel(folder), None, TARGET).predict(panel))
    np.testing.assert_array_equal(*predictions)


def test_columns_are_found_by_their_names(panel):
    fitted = model().fit(panel, None, TARGET)
    turned = panel.select(features=list(reversed(panel.feature_names)))
    np.testing.assert_array_equal(fitted.predict(turned), fitted.predict(panel))


def test_it_is_read_back_as_it_was_once_its_module_is_trusted(panel, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMERAI_KEDRO_TRUSTED", "")
    fitted = model(scale=3.0).fit(panel, None, TARGET)
    write_trusted(tmp_path / "model", fitted)
    with pytest.raises(StoreError, match=r"names .*Means"):
        read_trusted(tmp_path / "model")
    trust(Means.__module__)
    back = read_trusted(tmp_path / "model")
    assert back.params.scale == 3.0
    np.testing.assert_array_equal(back.predict(panel), fitted.predict(panel))


def test_cost_grows_with_the_cells():
    params = SimpleParams.model_validate({"scale": 1.0})
    small, large = Means.cost(params, 10**6, 40), Means.cost(params, 10**7, 40)
    assert large.work == pytest.approx(10 * small.work)
    assert large.memory_gb == pytest.approx(0.3 + 10**7 * 40 * 20 / 2**30)
