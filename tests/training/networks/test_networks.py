"""What every network must do, as every family must (test_contract.py)."""

import pickle

import numpy as np
import pytest
from tests.new_process import predicted_in_a_new_process
from tests.panels import small_panel

from numerai_kedro.files.trusted_pickle import read_trusted
from numerai_kedro.models.tabm import TabM
from numerai_kedro.models.transformer import Transformer
from numerai_kedro.models.vae import VaeHead
from numerai_kedro.statistics.scoring import rank_scores

TARGET = "target_ender_60"
LOOP = {
    "epochs": 4,
    "batch_rows": 40,
    "learning_rate": 3e-3,
    "weight_decay": 0.01,
    "warm_up": 0.1,
    "clip_norm": 1.0,
    "average_decay": 0.95,
    "corr_weight": 0.5,
    "patience": 4,
    "dropout": 0.1,
    "feature_dropout": 0.1,
    "more_heads": ("target_ender_20",),
}
SMALL = {
    TabM: LOOP | {"k": 4, "n_blocks": 1, "d_block": 32},
    Transformer: LOOP
    | {"patch": 2, "d_token": 16, "n_layers": 1, "n_heads": 2, "d_feedforward": 32},
    VaeHead: LOOP
    | {
        "d_hidden": 32,
        "d_latent": 8,
        "beta": 0.5,
        "beta_warm_up": 0.3,
        "free_nats": 0.02,
        "reconstruction_weight": 0.2,
    },
}
pytestmark = pytest.mark.parametrize("kind", list(SMALL), ids=lambda kind: kind.__name__)


def fitted(kind, panel, seed=0, valid=None):
    params = kind.params_type.model_validate(SMALL[kind])
    return kind(params, seed=seed, threads=1).fit(panel, valid, TARGET)


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return small_panel(tmp_path_factory.mktemp("networks") / "panel")


def test_same_seed_same_model_byte_for_byte(kind, panel):
    first, second = fitted(kind, panel), fitted(kind, panel)
    assert pickle.dumps(first) == pickle.dumps(second)
    assert pickle.dumps(fitted(kind, panel, seed=1)) != pickle.dumps(first)


def test_it_learns_what_is_there(kind, panel, tmp_path):
    later = small_panel(tmp_path / "later", n_eras=20, seed=9)
    predictions = fitted(kind, panel).predict(later)
    assert predictions.dtype == np.float32
    target = later.target(TARGET).astype(float)
    scores = rank_scores(later.era_starts, predictions[:, None].astype(float), target)[0]
    assert scores.mean() > 0.2


def test_a_saved_model_predicts_the_same_in_a_new_process(kind, panel, tmp_path):
    model = fitted(kind, panel)
    there = predicted_in_a_new_process(model, panel, tmp_path)
    np.testing.assert_allclose(there, model.predict(panel), rtol=1e-5, atol=1e-6)
    assert read_trusted(tmp_path / "model").n_iterations == model.n_iterations == 4


def test_it_finds_its_features_by_name_and_the_one_that_matters(kind, panel):
    model = fitted(kind, panel)
    turned = panel.select(features=panel.feature_names[::-1])
    np.testing.assert_array_equal(model.predict(turned), model.predict(panel))
    rows = panel.features(1)
    first = panel.select(eras=[1])
    np.testing.assert_allclose(model.predict_rows(rows), model.predict(first), rtol=1e-4, atol=1e-5)
    assert model.feature_names[int(model.gain_importance().argmax())] == "feature_0"


def test_valid_eras_choose_the_epoch(kind, panel, tmp_path):
    valid = small_panel(tmp_path / "valid", n_eras=5, seed=4)
    assert 1 <= fitted(kind, panel, valid=valid).n_iterations <= LOOP["epochs"]
