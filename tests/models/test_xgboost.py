"""XGBoost gets the parameters that are written down, changed by a strength only."""

import itertools

import pytest
from tests.models.sizes import SMALL
from tests.panels import small_panel

from numerai_kedro.models.xgboost import XGBoost, XGBoostParams, _cuts

N_ROWS = 8_000


def given(**changed):
    model = XGBoost(XGBoostParams(**SMALL["xgboost"] | changed), seed=7, threads=3)
    return model._training_params(2, N_ROWS)


def test_without_strength_parameters_go_to_the_library_as_they_are():
    assert given() == {
        "learning_rate": 0.1,
        "max_depth": 4,
        "max_leaves": 0,
        "colsample_bytree": 0.5,
        "min_child_weight": 10,
        "reg_lambda": 1.0,
        "subsample": 1.0,
        "grow_policy": "depthwise",
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "seed": 7,
        "nthread": 2,
        "device": "cpu",
        "verbosity": 0,
    }
    assert given(max_leaves=9)["grow_policy"] == "lossguide"


def test_strength_changes_five_parameters():
    plain, strong = given(), given(strength=1.0)
    changed = {name: value for name, value in strong.items() if value != plain[name]}
    assert changed == {
        "max_depth": 1,
        "min_child_weight": 1_000,
        "reg_lambda": pytest.approx(1_001.0),
        "colsample_bytree": 0.125,
        "subsample": 0.5,
    }


def test_cuts_lie_between_all_values_of_features(tmp_path):
    data = _cuts(small_panel(tmp_path, n_eras=2), 6)
    assert (data.num_row(), data.num_col()) == (5, 8)
    pointers, cuts = data.get_quantile_cut()
    for begin, end in itertools.pairwise(pointers.tolist()):
        assert {1.0, 2.0, 3.0, 4.0} <= set(cuts[begin:end].tolist())
