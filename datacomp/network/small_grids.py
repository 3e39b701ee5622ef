"""Depthwise convolutions on tiny grids, on a CPU.

oneDNN takes about 7 ms for the gradient of a depthwise kernel of 7 by 7 as soon as the kernel is larger than the grid. There it is a product of two small
matrices for each channel, which takes a tenth. On a single cell, where oneDNN is slow forward as well, only the kernel's centre counts. All else, outputs
and gradients of inputs, stays torch's own.
"""

from functools import lru_cache
from typing import Any

import torch

MOST_CELLS, CELLS_PER_PLACE = 64, 1.5  # of a grid, and beside the kernel's places: beyond, oneDNN is as fast


def speed_up(network: torch.nn.Module) -> None:
    """Let a network's depthwise convolutions learn by products on tiny grids; its parameters, their names and all other convolutions stay as they are."""
    for part in network.modules():
        if type(part) is torch.nn.Conv2d and _keeps_the_grid(part):
            part.__class__ = SmallGridConv2d


class SmallGridConv2d(torch.nn.Conv2d):
    """A depthwise convolution that keeps the grid. On a tiny grid, in float32 on a CPU, it is computed in a shorter way."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 (torch's name for it)
        """Convolve cells of shape (N, C, H, W)."""
        if input.ndim != 4 or not _is_plain(input):
            return super().forward(input)
        cells, (height, width) = input.shape[2] * input.shape[3], self.kernel_size
        if cells == 1:
            scaled = input * self.weight[:, :, height // 2, width // 2, None]
            return scaled if self.bias is None else scaled + self.bias[:, None, None]
        if cells <= min(MOST_CELLS, CELLS_PER_PLACE * height * width):
            made: torch.Tensor = _Convolution.apply(input, self.weight, self.bias)
            return made
        return super().forward(input)


def _keeps_the_grid(convolution: torch.nn.Conv2d) -> bool:
    """Whether each channel has a kernel of its own with a centre, and zeros around the grid make up for the kernel's size."""
    padding, kernel = convolution.padding, convolution.kernel_size
    centred = all(size % 2 for size in kernel) and padding in ("same", _around(kernel))
    once = convolution.stride == convolution.dilation == (1, 1) and convolution.padding_mode == "zeros"
    return centred and once and convolution.groups == convolution.in_channels == convolution.out_channels


def _around(kernel: tuple[int, ...]) -> tuple[int, ...]:
    """How many zeros keep the grid."""
    return tuple(size // 2 for size in kernel)


def _is_plain(cells: torch.Tensor) -> bool:
    """Whether cells are computed with as they are."""
    return cells.device.type == "cpu" and cells.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cells: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(cells, weight)
        ctx.biased = bias is not None
        return torch.conv2d(cells, weight, bias, padding=_around(weight.shape[2:]), groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        cells, weight = ctx.saved_tensors
        (height, width), kernel = cells.shape[2:], weight.shape[2:]
        once, none = [1, 1], [0, 0]
        of_cells, _, _ = torch.ops.aten.convolution_backward(
            gradient, cells, weight, None, once, _around(kernel), once, False, none, len(weight), [ctx.needs_input_grad[0], False, False]
        )
        wanted = _by_channel(gradient)
        pairs = torch.bmm(_by_channel(cells).transpose(1, 2), wanted)  # (C, from H W, to H W)
        of_weight = (pairs.flatten(1) @ _places(height, width, *kernel).t()).view(weight.shape)
        return of_cells, of_weight, wanted.sum(dim=(1, 2)) if ctx.biased else None


def _by_channel(cells: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) to (C, N, H W), laid out so: for any other layout torch multiplies channel by channel, which is slow."""
    return cells.transpose(0, 1).contiguous().flatten(2)


@lru_cache(16)
def _places(height: int, width: int, kernel_height: int, kernel_width: int) -> torch.Tensor:
    """Which place of a kernel leads from a cell to a cell: ones and zeros of shape (kernel, H W H W), with which a product sums up what belongs to each."""
    row, column = _leads(height, kernel_height), _leads(width, kernel_width)
    return torch.einsum("kab,lcd->klacbd", row, column).reshape(kernel_height * kernel_width, -1)


def _leads(size: int, kernel: int) -> torch.Tensor:
    """Whether a place of a kernel leads from one cell of a line to another: ones and zeros of shape (kernel, from, to)."""
    cell = torch.arange(size)
    place = cell[:, None] - cell + kernel // 2  # outside the kernel where it does not reach so far
    return (torch.arange(kernel)[:, None, None] == place).float()
