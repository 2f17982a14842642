"""Models of the user's own: what names and types are refused, and what the registry knows then."""

import json

import pytest

from numerai_kedro.errors import ConfigurationError, StoreError
from numerai_kedro.files.trusted_pickle import read_trusted, write_trusted
from numerai_kedro.models import registry
from numerai_kedro.models.registry import BUILT_IN, family, model_names, register_own_models

REGRESSOR = "numerai_kedro.models.regressor.Regressor"


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.setenv(registry.OWN_MODELS, "{}")
    monkeypatch.setenv("NUMERAI_KEDRO_TRUSTED", "")


def test_own_models_come_after_the_built_in_ones_and_are_replaced_as_a_whole():
    register_own_models({"ridge": {"type": REGRESSOR}, "gate": {"level": 1}})
    assert model_names() == (*BUILT_IN, "ridge")
    register_own_models({"lasso": {"type": REGRESSOR}})
    assert model_names() == (*BUILT_IN, "lasso")
    assert family("lasso").__name__ == "Regressor"


def test_child_processes_know_them(monkeypatch):
    monkeypatch.setenv(registry.OWN_MODELS, json.dumps({"ridge": REGRESSOR}))
    assert family("ridge").__name__ == "Regressor"


def test_saved_models_of_a_block_can_be_read_before_its_parameters_are(tmp_path):
    from sklearn.linear_model import Ridge

    write_trusted(tmp_path / "model", Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))
    with pytest.raises(StoreError, match="names sklearn"):
        read_trusted(tmp_path / "model")
    presets = {"first": {"regressor": "sklearn.linear_model.Ridge"}}
    register_own_models({"ridge": {"type": REGRESSOR, "presets": presets}})
    assert read_trusted(tmp_path / "model").predict([[1.0]]) > 0


@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        ("lightgbm", REGRESSOR, "this name is taken"),
        ("gate", REGRESSOR, "this name is taken"),
        ("../x", REGRESSOR, "small letters"),
        ("a__b", REGRESSOR, "small letters"),
        ("Ridge", REGRESSOR, "small letters"),
        ("ridge", "os.system('x')", "no dotted path"),
        ("ridge", 5, "no dotted path"),
    ],
)
def test_what_cannot_be_a_model_is_a_sentence(name, path, words):
    with pytest.raises(ConfigurationError, match=words):
        register_own_models({name: {"type": path}}, reserved=("gate",))
    assert model_names() == BUILT_IN


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.Ridge", "cannot be imported .*No module named 'nowhere'"),
        ("json.Ridge", "cannot be imported"),
        ("json.JSONDecoder", "is no model: it lacks cost, fit"),
        ("json.dumps", "is no model"),
        ("broken_module.Model", "cannot be imported"),
    ],
)
def test_a_class_that_is_no_model_is_a_sentence(path, words, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    register_own_models({"ridge": {"type": path}})
    with pytest.raises(ConfigurationError, match=words):
        family("ridge")
