"""The surrogate is Numerai's CORR on Gaussian predictions; missing labels teach nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numerai_kedro.metrics.corr import corr_of_era
from numerai_kedro.training.torch.batches import labels_of
from numerai_kedro.training.torch.losses import corr_surrogate, objective, squared_error

BINS = [0, 0.25, 0.5, 0.75, 1]


def era(seed, n=4_000, skill=0.1):
    rng = np.random.default_rng(seed)
    target = rng.choice(BINS, p=[0.05, 0.2, 0.5, 0.2, 0.05], size=n)
    predictions = rng.normal(size=(n, 3)) + skill * (target - 0.5)[:, None] * 4
    return predictions, target


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), skill=st.sampled_from([0.0, 0.02, 0.1, 0.5]))
def test_the_surrogate_is_numerais_corr_within_a_hundredth(seed, skill):
    predictions, target = era(seed, skill=skill)
    labels = torch.from_numpy(labels_of(target[:, None]))
    ours = corr_surrogate(torch.from_numpy(predictions).float(), labels[:, 0])
    np.testing.assert_allclose(ours.numpy(), corr_of_era(predictions, target), atol=1e-2)


def test_it_can_be_climbed():
    _, target = era(0, n=500)
    labels = torch.from_numpy(labels_of(target[:, None]))
    predictions = torch.randn(500, 1, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimiser = torch.optim.Adam([predictions], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        (-corr_surrogate(predictions, labels[:, 0]).mean()).backward()
        optimiser.step()
    corr = corr_of_era(predictions.detach().double().numpy(), target)
    assert corr[0] > 0.9


def test_constant_predictions_have_no_corr_and_a_finite_gradient():
    labels = torch.from_numpy(labels_of(era(1, n=50)[1][:, None]))
    constant = torch.zeros(50, 2, requires_grad=True)
    corr = corr_surrogate(constant, labels[:, 0])
    corr.sum().backward()
    assert torch.isfinite(constant.grad).all()
    assert corr.abs().max() < 1e-3


def test_missing_labels_count_for_nothing():
    predictions, target = era(2, n=60)
    two = np.column_stack([target, target])
    two[:20, 1] = np.nan
    labels = torch.from_numpy(labels_of(two))
    given_ = torch.from_numpy(predictions).float()[:, :, None].expand(-1, -1, 2)
    changed = given_.clone()
    changed[:20, :, 1] = 99.0
    assert torch.equal(squared_error(given_, labels[:, 1:]), squared_error(changed, labels[:, 1:]))
    assert torch.isfinite(objective(given_, labels, 0.5))


def test_squared_error_is_the_mean_of_the_squares_of_known_labels():
    labels = torch.tensor([[1.0, 0.0], [3.0, float("nan")]])
    predictions = torch.zeros(2, 2, 2)
    predictions[:, 1, :] = 1.0  # the second member's
    # Squares: 1 and 0, 9 and 4 of the first target; 0 and 1 of the second.
    assert squared_error(predictions, labels) == pytest.approx((0.5 + 6.5 + 0.5) / 3)


def test_the_objective_adds_the_members_mean_distance_of_corr_from_one():
    predictions, target = era(4, n=200)
    labels = torch.from_numpy(labels_of(np.column_stack([target, target])))
    given_ = torch.from_numpy(predictions).float()[:, :, None].expand(-1, -1, 2)
    squares = float(squared_error(given_, labels[:, 1:]))
    corr = corr_surrogate(given_[..., 0], labels[:, 0]).tolist()
    expected = squares + 0.5 * sum(1 - each for each in corr) / 3
    assert float(objective(given_, labels, 0.5)) == pytest.approx(expected, rel=1e-5)
    assert float(objective(given_, labels, 0.0)) == pytest.approx(squares)


def test_labels_have_variance_one_and_keep_ties():
    labels = labels_of(era(3)[1][:, None])
    assert labels[:, 1].std() == pytest.approx(1, abs=1e-3)
    assert len(np.unique(labels[:, 1])) == 5
    assert np.isnan(labels_of(np.full((5, 1), np.nan))).all()


def test_members_are_judged_for_themselves():
    """Two members that err in opposite directions are not a perfect one."""
    labels = torch.zeros(10, 2)
    labels[:, 0] = torch.linspace(-1, 1, 10)
    opposite = torch.stack([torch.ones(10), -torch.ones(10)], dim=1)[:, :, None]
    assert objective(opposite, labels, 0.0) == pytest.approx(1.0)
