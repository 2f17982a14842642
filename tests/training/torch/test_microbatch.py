"""Rows that fit are found from two small batches and tried; what never fits is a sentence."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

from numerai_kedro.errors import ResourceError
from numerai_kedro.training.torch.microbatch import CountedMemory, rows_that_fit

MIB = 2**20


class Device:
    """A step of n rows takes `fixed` and n times `a_row`, a twentieth more from `jump` rows on."""

    def __init__(self, budget, fixed=100.0, a_row=10.0, jump=10**9):
        self.budget, self.fixed, self.a_row, self.jump = budget, fixed, a_row, jump
        self.tried = []

    @contextmanager
    def watch(self):
        yield lambda: self.peak

    def step(self, rows):
        self.tried.append(rows)
        self.peak = self.fixed + self.a_row * rows * (1.05 if rows >= self.jump else 1.0)
        if self.peak > self.budget:
            raise torch.OutOfMemoryError


def test_rows_are_those_that_take_nine_tenths_of_the_memory():
    device = Device(10_000)
    found = rows_that_fit(device, device.step, 5_000)
    assert (found.rows, found.peak) == (890, 9_000.0)
    assert device.tried == [64, 128, 890]


def test_what_comes_later_is_left_free():
    device = Device(10_000)
    found = rows_that_fit(device, device.step, 5_000, later=2_000.0)
    assert (found.rows, found.peak) == (690, 9_000.0)


def test_no_more_rows_than_asked():
    device = Device(10_000)
    assert rows_that_fit(device, device.step, 300).rows == 300


def test_a_guess_that_takes_more_than_expected_is_shrunk():
    device = Device(14_000, jump=600)
    found = rows_that_fit(device, device.step, 5_000)
    # 1,250 rows take 13,225 of 12,600; then as many as would take nine tenths of those.
    assert device.tried == [64, 128, 1_250, 1_071]
    assert (found.rows, found.peak) == (1_071, pytest.approx(11_345.5))


def test_a_guess_that_does_not_fit_at_all_is_halved():
    device = Device(14_000)
    step = device.step

    def thrice_from_1000_rows(rows):
        device.a_row = 30.0 if rows >= 1_000 else 10.0
        step(rows)

    found = rows_that_fit(device, thrice_from_1000_rows, 5_000)
    assert device.tried == [64, 128, 1_250, 625]
    assert found.rows == 625


def test_even_64_rows_may_be_too_many_and_16_fit():
    device = Device(300)
    assert rows_that_fit(device, device.step, 5_000).rows == 16
    assert device.tried == [64, 128, 16]


def test_what_never_fits_is_refused_with_the_memory():
    device = Device(50 * MIB, fixed=60.0 * MIB)
    with pytest.raises(ResourceError) as refused:
        rows_that_fit(device, device.step, 5_000)
    assert str(refused.value) == (
        "not enough memory: 16 rows do not fit into 50 MiB; choose a smaller preset."
    )


def test_a_counted_device_holds_weights_four_times_more_and_what_autograd_saves():
    network = nn.Linear(3, 2)  # 8 floats
    network.bias.requires_grad_(False)
    memory = CountedMemory(network, 1e9)
    assert memory.fixed == 4 * 8 + 4 * 4 * 6
    rows = torch.ones(10, 3)
    with memory.watch() as peak:
        assert peak() == memory.fixed
        output = network(rows)  # saves the rows; the weights are counted already
        assert peak() == memory.fixed + 10 * 3 * 4
        again = network(rows)  # the same storage is counted once
        assert peak() == memory.fixed + 10 * 3 * 4
        del output, again
        network(torch.ones(10, 3))
        assert peak() == memory.fixed + 10 * 3 * 4  # the first rows are free again


def test_a_counted_device_runs_out_as_a_gpu_does():
    network = nn.Linear(3, 2)
    memory = CountedMemory(network, 3 * MIB)
    with memory.watch(), pytest.raises(torch.OutOfMemoryError, match=r"3\.4 MiB wanted.* has 3\.0"):
        network(torch.ones(300_000, 3))
