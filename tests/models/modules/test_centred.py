"""Features and latents come out with mean 0 and variance 1, times their weight."""

import pytest
import torch

from numerai_kedro.models.modules.centred import Centred

ROWS = torch.arange(5, dtype=torch.int8)[:, None].repeat(1, 3)


def test_five_equal_levels_have_mean_0_and_variance_1():
    values = Centred(0.0)(ROWS)
    assert values.dtype == torch.float32
    expected = [-(2**0.5), -(0.5**0.5), 0.0, 0.5**0.5, 2**0.5]
    torch.testing.assert_close(values, torch.tensor(expected)[:, None].repeat(1, 3))


def test_the_last_columns_are_sixteen_levels_and_weights_scale_features():
    layer = Centred(0.0)
    layer.read_as(3, 1, (1.0, 0.5, 1.0))
    rows = torch.tensor([[0, 0, 0], [4, 4, 15]], dtype=torch.int8)
    spread = 7.5 / (255 / 12) ** 0.5
    expected = [[-(2**0.5), -(0.5**0.5), -spread], [2**0.5, 0.5**0.5, spread]]
    torch.testing.assert_close(layer(rows), torch.tensor(expected))
    assert layer.state_dict() == {}  # derived, so not saved


def test_features_without_latents_or_weights_are_read_as_before():
    layer = Centred(0.0)
    layer.read_as(3, 0, ())
    torch.testing.assert_close(layer(ROWS), Centred(0.0)(ROWS))


def test_while_training_whole_columns_are_left_out_and_the_others_scaled_up():
    torch.manual_seed(0)
    layer, rows = Centred(0.25), torch.full((4, 4_000), 4, dtype=torch.int8)
    values = layer.train()(rows)
    assert torch.equal(values, values[:1].expand(4, -1))
    assert values.unique().tolist() == [0.0, pytest.approx(2**0.5 / 0.75)]
    assert (values[0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(layer.eval()(rows), Centred(0.0)(rows))
