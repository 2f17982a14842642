"""Dropout by bytes leaves out what torch's would."""

import pytest
import torch
from torch import nn

from numerai_kedro.models.modules.dropout import Dropout, quickened

ONES = torch.ones(1000, 333)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_it_keeps_the_mean_and_leaves_out_the_share(share):
    torch.manual_seed(0)
    dropped = Dropout(share)(ONES)
    levels = round(256 * share)
    assert (dropped == 0).float().mean().item() == pytest.approx(levels / 256, abs=0.004)
    assert dropped.unique().tolist() == [0, pytest.approx(256 / (256 - levels))]


def test_no_column_of_bytes_is_left_out_more_often():
    torch.manual_seed(0)
    left_out = (Dropout(0.5)(torch.ones(20_000, 8)) == 0).float().mean(dim=0)
    torch.testing.assert_close(left_out, torch.full((8,), 0.5), atol=0.015, rtol=0)


def test_what_is_left_out_has_no_gradient():
    torch.manual_seed(0)
    values = ONES.clone().requires_grad_()
    dropped = Dropout(0.3)(values)
    dropped.sum().backward()
    torch.testing.assert_close(values.grad, dropped.detach())


@pytest.mark.parametrize("layer", [Dropout(0.0), Dropout(0.001), Dropout(0.5).eval()])
def test_nothing_is_left_out_where_nothing_should_be(layer):
    assert (layer(ONES) != 0).float().mean() > 0.99


def test_the_same_seed_leaves_out_the_same():
    torch.manual_seed(1)
    first = Dropout(0.2)(ONES)
    torch.manual_seed(1)
    assert torch.equal(Dropout(0.2)(ONES), first)


def test_every_dropout_of_a_network_is_replaced():
    network = quickened(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.25))))
    assert type(network[1][0]) is Dropout
    assert network[1][0].p == 0.25
