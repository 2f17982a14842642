"""The market's truth acts as planted: by role, by era, in proportion, and on listed stocks only."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_kedro.demo.market import HORIZON_WEEKS, Market
from numerai_kedro.demo.sizes import SIZES, DemoSize
from numerai_kedro.demo.truth import draw_truth

SIZE = DemoSize("small", 60, 400, 40, 30)
TRUTH = draw_truth(SIZE, 0)


def market(signal_scale=1.0, truth=TRUTH, size=SIZE):
    return Market(size, 0, truth, signal_scale)


def week_of(made, era):
    """The week of an era, from the first one on."""
    state = made.first_state()
    while state.era < era:
        made.step_(state)
    return made.week(state)


def returns_of_listed(week):
    return week.returns[week.slots]


def test_returns_are_what_they_are_without_signal_plus_the_signal():
    plain, strong = (week_of(market(scale), 3) for scale in (0.0, 50.0))
    assert not plain.signal.any()
    np.testing.assert_allclose(
        returns_of_listed(strong) - returns_of_listed(plain), strong.signal.sum(axis=1), atol=1e-5
    )
    np.testing.assert_array_equal(strong.features, plain.features)


def test_every_causal_feature_moves_the_stable_signal_its_way_and_no_null_feature_does():
    week = week_of(market(), 20)
    bins = week.features.astype(float)
    causal, null = TRUTH.with_role("causal"), TRUTH.with_role("null")
    partial = np.linalg.lstsq(np.column_stack([bins, np.ones(len(bins))]), week.signal[:, 0])[0]
    assert (np.sign(partial[causal]) == np.sign(TRUTH.effect[causal])).all()
    assert np.abs(partial[null]).max() < np.abs(partial[causal]).min()


@pytest.mark.parametrize(("before_end", "acts"), [(1, True), (0, False)])
def test_collapsed_features_act_up_to_their_last_era(before_end, acts):
    """Their effect is reversed: the signal changes only if they were part of it."""
    collapsed = TRUTH.role == "collapsed"
    turned = replace(TRUTH, effect=np.where(collapsed, -TRUTH.effect, TRUTH.effect))
    era = TRUTH.collapse_era - before_end
    plain, other = (week_of(market(truth=truth), era) for truth in (TRUTH, turned))
    assert np.array_equal(plain.signal, other.signal) != acts


def test_drifting_features_act_by_the_regime_of_the_era():
    turned = replace(TRUTH, regimes=TRUTH.regimes.copy())
    turned.regimes[:, 6:] *= -1
    for era, sign in ((5, 1), (6, -1)):
        plain, other = (week_of(market(truth=truth), era) for truth in (TRUTH, turned))
        np.testing.assert_array_equal(other.signal[:, 1], sign * plain.signal[:, 1])
        np.testing.assert_array_equal(other.signal[:, 0], plain.signal[:, 0])


def test_a_missing_feature_is_hidden_and_still_acts():
    hidden = replace(TRUTH, missing_until=np.where(TRUTH.role == "causal", 4, 0))
    seen, unseen = (
        week_of(market(truth=truth), 4)
        for truth in (replace(TRUTH, missing_until=0 * TRUTH.missing_until), hidden)
    )
    causal = TRUTH.with_role("causal")
    assert (unseen.features[:, causal] == 2).all()
    np.testing.assert_array_equal(unseen.signal, seen.signal)
    after = week_of(market(truth=hidden), 5)
    assert not (after.features[:, causal] == 2).all(axis=0).any()


@pytest.mark.parametrize("size", [SIZE, SIZES["tiny"]], ids=lambda size: size.name)
def test_no_newcomer_takes_the_slot_of_a_stock_whose_target_is_still_open(size):
    simulated = market(size=size, truth=draw_truth(size, 0))
    owner = {}
    for era in range(1, 5 * HORIZON_WEEKS):
        for identity in simulated._listed(era):
            earlier, last_seen = owner.get(identity % simulated.n_slots, (identity, era))
            assert earlier == identity or era - last_seen > HORIZON_WEEKS
            owner[identity % simulated.n_slots] = (identity, era)


def test_a_stock_keeps_its_own_part_until_its_slot_is_given_away():
    simulated = market()
    state = simulated.first_state()
    for _ in range(30):
        before = state.static.copy()
        listed = set((simulated._listed(state.era) % simulated.n_slots).tolist())
        simulated.step_(state)
        changed = set(np.flatnonzero((state.static != before).any(axis=0)).tolist())
        assert len(changed) == simulated.weekly_turnover
        assert not changed & listed
