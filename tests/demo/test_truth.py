import numpy as np
import pytest

from numerai_kedro.demo.names import GROUPS
from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.demo.truth import ROLES, draw_truth


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("seed", [0, 7])
def test_every_role_and_every_group_is_there(size, seed):
    truth = draw_truth(SIZES[size], seed)
    assert all(len(truth.with_role(role)) for role in ROLES)
    assert set(truth.group) >= set(range(len(GROUPS)))


@pytest.mark.parametrize("size", list(SIZES))
def test_styles_are_at_most_a_tenth_of_the_stocks_and_every_group_has_a_factor(size):
    truth = draw_truth(SIZES[size], 0)
    assert truth.n_factors + truth.n_static <= SIZES[size].n_stocks // 10
    assert truth.n_factors >= len(GROUPS)


def test_role_shares_are_those_of_the_recipe():
    truth = draw_truth(SIZES["evidence"], 0)
    counts = {role: len(truth.with_role(role)) for role in ROLES}
    assert counts == {"causal": 22, "drifting": 36, "interaction": 8, "collapsed": 5, "null": 169}


def test_variants_are_null_and_vary_a_base_of_their_group():
    truth = draw_truth(SIZES["evidence"], 0)
    assert set(truth.role[truth.variants]) == {"null"}
    assert (truth.group[truth.variants] == truth.group[truth.base[truth.variants]]).all()
    assert np.isin(truth.base, truth.bases).all()


def test_regimes_stay_30_to_80_eras_and_most_often_flip():
    regimes = draw_truth(SIZES["evidence"], 0).regimes
    flips, changes = 0, 0
    for regime in regimes:
        starts = np.flatnonzero(np.diff(regime)) + 1
        assert np.diff(starts).min() >= 30
        assert np.diff(starts).max() <= 80
        flips += (np.sign(regime[starts]) != np.sign(regime[starts - 1])).sum()
        changes += len(starts)
    assert 0.75 < flips / changes < 0.85


def test_the_truth_depends_on_the_seed_only():
    first, same, other = (draw_truth(SIZES["tiny"], seed).as_json() for seed in (3, 3, 4))
    assert first == same
    assert first != other
