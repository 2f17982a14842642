"""Predictions of another program are looked up, and refused where their model knew too much."""

import numpy as np
import pandas as pd
import pytest
from tests.panels import small_panel

from numerai_kedro.errors import ConfigurationError, PredictionError
from numerai_kedro.models.elsewhere import Elsewhere, ElsewhereParams

TARGET = "target_ender_20"  # which spans four eras
GAP = 6


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel", n_eras=40)


@pytest.fixture
def table(panel):
    later = panel.select(eras=np.arange(31, 41))
    era = later.era_of_rows()
    return pd.DataFrame(
        {
            "id": later.ids(),
            "era": [f"{number:04d}" for number in era],
            "prediction": np.random.default_rng(0).random(later.n_rows),
            "trained_to": era - GAP,
        }
    )


class Files:
    def __init__(self, folder):
        self.oof, self.live = folder / "oof.parquet", folder / "live.csv"

    def fitted(self, panel, table, live=None):
        table.to_parquet(self.oof)
        if live is not None:
            live.to_csv(self.live, index=False)
        params = ElsewhereParams(oof=str(self.oof), live=str(self.live))
        early = panel.select(eras=np.arange(1, 26))
        return Elsewhere(params, seed=0, threads=1).fit(early, None, TARGET)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_rows_are_found_by_id_whatever_their_order(files, panel, table):
    model = files.fitted(panel, table.sample(frac=1, random_state=0))
    era = panel.select(eras=[35])
    wanted = table.loc[table["era"] == "0035", "prediction"]
    np.testing.assert_array_equal(model.predict(era), wanted.to_numpy(np.float32))


def test_looking_predictions_up_costs_a_second_and_little_memory():
    cost = Elsewhere.cost(None, 10**6, 1_000)
    assert (cost.memory_gb, cost.work, cost.disk_gb) == (0.2, 1e9, 0.0)


def test_an_era_whose_targets_the_model_knew_is_refused(files, panel, table):
    table.loc[table["era"] == "0035", "trained_to"] += 1
    model = files.fitted(panel, table)
    assert len(model.predict(panel.select(eras=[34])))
    with pytest.raises(PredictionError, match=r"era 0035 .* learned up to era 0030"):
        model.predict(panel.select(eras=[35]))


def test_live_rows_come_from_the_live_file(files, panel, table):
    early = panel.select(eras=[3])  # stands for a live panel: none of its ids is in the file
    live = pd.DataFrame({"id": early.ids(), "prediction": np.linspace(0, 1, early.n_rows)})
    model = files.fitted(panel, table, live)
    np.testing.assert_allclose(model.predict(early), live["prediction"], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.iloc[:-1], "1 of 40 rows are missing"),
        (lambda t: t.drop(columns="trained_to"), "no column trained_to"),
        (lambda t: pd.concat([t, t.tail(1)]), "is there twice"),
        (lambda t: t.assign(prediction=np.nan), "not finite"),
    ],
    ids=["missing row", "missing column", "twice", "NaN"],
)
def test_a_file_that_is_wrong_is_a_sentence(files, panel, table, change, words):
    model = files.fitted(panel, change(table))
    with pytest.raises(PredictionError, match=words):
        model.predict(panel.select(eras=[40]))


def test_without_a_live_file_the_sentence_names_it(files, panel, table):
    with pytest.raises(PredictionError, match=r"live\.csv: it cannot be read"):
        files.fitted(panel, table).predict(panel.select(eras=[3]))


def test_a_path_without_a_file_is_refused_and_another_file_is_another_record(files, panel, table):
    with pytest.raises(ConfigurationError, match="there is no file nowhere"):
        ElsewhereParams(oof="nowhere.parquet", live="live.csv")
    before = files.fitted(panel, table).params
    assert files.fitted(panel, table.assign(prediction=0.5)).params != before
