"""CatBoost gets the parameters that are written down, changed by a strength only."""

import pytest
from tests.models.sizes import SMALL

from numerai_kedro.models.catboost import CatBoost, CatBoostParams

N_ROWS = 8_000


def given(device="cpu", **changed):
    params = CatBoostParams(**SMALL["catboost"] | changed)
    return CatBoost(params, seed=7, threads=3, device=device)._training_params(2, N_ROWS)


PLAIN = {
    "loss_function": "RMSE",
    "iterations": 40,
    "learning_rate": 0.1,
    "depth": 4,
    "l2_leaf_reg": 3.0,
    "random_strength": 1.0,
    "boosting_type": "Plain",
    "bootstrap_type": "Bernoulli",
    "subsample": 0.8,
    "random_seed": 7,
    "thread_count": 2,
    "allow_writing_files": False,
    "verbose": False,
}


def test_without_strength_parameters_go_to_the_library_as_they_are():
    assert given() == PLAIN | {"task_type": "CPU", "rsm": 0.5}
    on_card = {"task_type": "GPU", "devices": "0", "gpu_ram_part": 0.85}
    assert given("cuda") == PLAIN | on_card


def test_strength_changes_four_parameters():
    plain, strong = given(), given(strength=1.0)
    changed = {name: value for name, value in strong.items() if value != plain[name]}
    assert changed == {
        "depth": 1,
        "l2_leaf_reg": pytest.approx(1_003.0),
        "subsample": 0.4,
        "rsm": 0.125,
    }
