"""LightGBM is the library's own, on fewer copies: same trees, whatever the threads."""

import pickle

import lightgbm as lgb
import numpy as np
import pytest
from tests.panels import small_panel

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.models.lightgbm import DATASET_PARAMS, LightGBM, LightGBMParams

PARAMS = LightGBMParams(
    n_estimators=30,
    learning_rate=0.1,
    max_depth=4,
    num_leaves=15,
    colsample_bytree=0.5,
    min_data_in_leaf=20,
    lambda_l2=0.0,
    path_smooth=0.0,
    strength=0.0,
)
TARGET = "target_ender_20"


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return small_panel(tmp_path_factory.mktemp("panel"), n_eras=30)


@pytest.fixture(scope="module")
def fitted(panel):
    return LightGBM(PARAMS, seed=1, threads=1).fit(panel, None, TARGET)


def test_the_trees_are_those_of_a_plain_matrix(panel, fitted):
    """Five bins and an Arrow table lose nothing: the features have five values."""
    matrix = np.vstack([panel.features(int(era)) for era in panel.eras]).astype(np.float32)
    params = fitted._training_params(threads=1, n_rows=len(matrix))
    data = lgb.Dataset(matrix, label=panel.target(TARGET), params=params)
    plain = lgb.train(params, data, num_boost_round=PARAMS.n_estimators)
    np.testing.assert_allclose(fitted.predict(panel), plain.predict(matrix), rtol=1e-6)
    assert DATASET_PARAMS["max_bin"] == 5


def test_the_number_of_threads_changes_nothing(panel, fitted, monkeypatch):
    monkeypatch.setattr("numerai_kedro.models.boosting.CELLS_FOR_THREADS", 0)
    other = LightGBM(PARAMS, seed=1, threads=2).fit(panel, None, TARGET)
    np.testing.assert_array_equal(other.predict(panel), fitted.predict(panel))


def test_prediction_in_pieces_is_prediction(panel, fitted, monkeypatch):
    whole = fitted.predict(panel)
    monkeypatch.setattr("numerai_kedro.models.lightgbm.PREDICT_ROWS", 7)
    np.testing.assert_array_equal(fitted.predict(panel), whole)


def test_strength_changes_leaves_depth_and_samples():
    plain = LightGBM(PARAMS, seed=1, threads=1)._training_params(2, 8_000)
    given = PARAMS.model_dump(exclude={"n_estimators", "strength"})
    assert plain == DATASET_PARAMS | given | {
        "objective": "regression",
        "seed": 1,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 2,
        "device_type": "cpu",
    }
    half = PARAMS.model_copy(update={"strength": 0.5, "max_depth": 5})
    strong = LightGBM(half, seed=1, threads=1)._training_params(2, 8_000)
    changed = {name: value for name, value in strong.items() if value != plain.get(name)}
    assert changed == {
        "lambda_l2": pytest.approx(10.0),
        "path_smooth": pytest.approx(10.0),
        "min_data_in_leaf": 141,  # the geometric mean of 20 and 1,000
        "max_depth": 3,
        "num_leaves": 8,
        "colsample_bytree": pytest.approx(0.3125),
        "bagging_fraction": 0.75,
        "bagging_freq": 1,
    }


def test_it_comes_back_from_its_text(panel, fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(panel), fitted.predict(panel))
    assert again.n_iterations == 30


def test_a_parameter_that_lightgbm_would_swallow_is_refused():
    with pytest.raises(ConfigurationError, match="n_estimator: there is no such parameter"):
        LightGBMParams.model_validate(PARAMS.model_dump() | {"n_estimator": 10})


def test_cost_grows_with_rows_and_trees():
    small, large = (LightGBM.cost(PARAMS, rows, 700) for rows in (100_000, 1_000_000))
    assert 3 < large.memory_gb / small.memory_gb < 10
    assert large.work == 10 * small.work
