"""Regressors of other libraries: fitted, saved, refused in sentences."""

import pickle

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from tests.panels import small_panel

from numerai_kedro.errors import ConfigurationError, PredictionError, StoreError
from numerai_kedro.files.trusted_pickle import read_trusted, write_trusted
from numerai_kedro.models.regressor import Regressor, RegressorParams
from numerai_kedro.training.tuning.space import Range, distributions, point_of

TARGET = "target_ender_60"
RIDGE = {"regressor": "sklearn.linear_model.Ridge", "alpha": 10.0}


@pytest.fixture(autouse=True)
def _nobody_trusted(monkeypatch):
    monkeypatch.setenv("NUMERAI_KEDRO_TRUSTED", "")


def fitted(panel, seed=0, **params):
    params = RegressorParams.model_validate(params or RIDGE)
    return Regressor(params, seed=seed, threads=1).fit(panel, None, TARGET)


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel")


def test_it_is_the_regressor_on_centred_rows(panel):
    label = panel.target(TARGET)
    known = ~np.isnan(label)
    rows = np.concatenate([panel.features(int(era)) for era in panel.eras]).astype(np.float32) - 2
    plain = Ridge(alpha=10.0).fit(rows[known], label[known])
    np.testing.assert_allclose(fitted(panel).predict(panel), plain.predict(rows), atol=1e-5)


@pytest.mark.parametrize(
    "params",
    [
        RIDGE,
        {"regressor": "sklearn.ensemble.ExtraTreesRegressor", "n_estimators": 5, "max_depth": 3},
        {"regressor": "sklearn.linear_model.SGDRegressor", "alpha": 0.1, "shuffle": False},
    ],
    ids=lambda params: params["regressor"],
)
def test_it_is_saved_and_read_back_and_the_seed_counts(params, panel, tmp_path):
    model = fitted(panel, **params)
    write_trusted(tmp_path / "model", model)
    back = read_trusted(tmp_path / "model")
    np.testing.assert_array_equal(back.predict(panel), model.predict(panel))
    np.testing.assert_array_equal(fitted(panel, **params).predict(panel), model.predict(panel))
    differs = (fitted(panel, seed=1, **params).predict(panel) != model.predict(panel)).any()
    assert differs == ("Extra" in params["regressor"])


def test_a_regressor_that_could_not_be_read_back_is_refused_when_it_is_fitted(panel):
    with pytest.raises(PredictionError, match=r"KNeighborsRegressor cannot be kept: .*newObj"):
        fitted(panel, regressor="sklearn.neighbors.KNeighborsRegressor", n_neighbors=3)


def test_a_function_of_a_trusted_package_is_never_called(tmp_path, panel):
    fitted(panel)  # trusts scikit-learn

    class Poison:
        def __reduce__(self):
            from sklearn.utils import shuffle

            return shuffle, ([1, 2, 3],)

    write_trusted(tmp_path / "model", Poison())
    with pytest.raises(StoreError, match="names sklearn"):
        read_trusted(tmp_path / "model")
    assert pickle.dumps(Poison())


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"regressor": "sklearn.linear_model.Rigde"}, "cannot be imported"),
        ({"regressor": "json.JSONDecoder"}, "has no fit and predict"),
        (RIDGE | {"alhpa": 1}, "alhpa: sklearn.linear_model.Ridge has no such parameter"),
        ({"alpha": 1.0}, "regressor: is missing"),
    ],
)
def test_wrong_parameters_are_sentences(params, words):
    with pytest.raises(ConfigurationError, match=words):
        RegressorParams.model_validate(params)


def test_another_version_of_the_library_is_another_fit(monkeypatch):
    before = RegressorParams.model_validate(RIDGE)
    monkeypatch.setattr("numerai_kedro.models.regressor.version", lambda name: "99.1.2")
    assert RegressorParams.model_validate(RIDGE).made_by == "scikit-learn 99.1"
    assert RegressorParams.model_validate(before.model_dump()) != before


def test_its_parameters_are_searched_like_others():
    params = RegressorParams.model_validate(RIDGE)
    space = {"alpha": Range(low=1, high=1000, log=True)}
    assert type(distributions(space, params, "ridge")["alpha"]).__name__ == "FloatDistribution"
    assert point_of(params, space) == {"alpha": 10.0}
