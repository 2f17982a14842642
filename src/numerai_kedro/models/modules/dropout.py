"""Dropout that draws a random byte per value instead of a float."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 256
LOWEST = torch.iinfo(torch.int64).min


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, about three times as fast on the CPU, where drawing dominates.

    The probability is rounded to 256ths, and kept values are scaled accordingly. A GPU uses its own
    kernel.
    """

    def forward(self, values: Tensor) -> Tensor:
        """While training, zero a share of the values and scale up the others."""
        levels = round(LEVELS * self.p)
        if not self.training or not 0 < levels < LEVELS or values.device.type != "cpu":
            return super().forward(values)
        n = values.numel()
        drawn = torch.empty(-(-n // 8), dtype=torch.int64).random_(LOWEST, None)
        mask = drawn.view(torch.uint8)[:n].view(values.shape) >= levels
        return values * mask.to(values.dtype).mul_(LEVELS / (LEVELS - levels))


def quickened(network: nn.Module) -> nn.Module:
    """The network with every `torch.nn.Dropout` inside it replaced."""
    for name, inner in network.named_children():
        if type(inner) is nn.Dropout:
            setattr(network, name, Dropout(inner.p))
        else:
            quickened(inner)
    return network
