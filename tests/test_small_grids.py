"""Depthwise convolutions that learn by products on tiny grids: the same convolutions, in the same network."""

import copy
import itertools

import pytest
import torch

from datacomp.declared import scale as scales
from datacomp.declared.scale import Budget
from datacomp.network import build, small_grids
from datacomp.train import loop
from datacomp.train.data import Batch

GRIDS = [(8, 8), (4, 4), (2, 2), (1, 1), (3, 5), (1, 7), (16, 4)]
KERNELS = [{"kernel_size": 7, "padding": 3}, {"kernel_size": (9, 7), "padding": (4, 3)}, {"kernel_size": 7, "padding": "same", "bias": False}]
SMALL_KERNELS = [({"kernel_size": 1}, (1, 1)), ({"kernel_size": (3, 5), "padding": (1, 2)}, (2, 6)), ({"kernel_size": 3, "padding": 1}, (3, 4))]
NANO = scales.load("nano").model_copy(update={"budget": Budget(steps=60, global_batch_samples=16, samples_seen=60 * 16, checkpoints=1)})


def pair(channels=6, **how):
    """A convolution, and the same one made fast."""
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(channels, **{"out_channels": channels, "groups": channels} | how)
    network = torch.nn.Sequential(copy.deepcopy(plain))
    small_grids.speed_up(network)
    return plain, network[0]


def all_of(convolution, cells):
    """What comes out, and every gradient."""
    cells = cells.detach().clone().requires_grad_()
    made = convolution(cells)
    made.backward(torch.linspace(-1, 1, made.numel(), dtype=made.dtype).view(made.shape))
    return [made.detach(), cells.grad, *(parameter.grad for parameter in convolution.parameters())]


def products(monkeypatch):
    """The grids that are computed by products from now on."""
    seen, apply = [], small_grids._Convolution.apply
    monkeypatch.setattr(small_grids._Convolution, "apply", lambda cells, *rest: seen.append(tuple(cells.shape[2:])) or apply(cells, *rest))
    return seen


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("kernel", "grid"), [*itertools.product(KERNELS, GRIDS), *SMALL_KERNELS], ids=str)
def test_outputs_and_gradients_are_the_convolution_s(kernel, grid, layout, monkeypatch):
    plain, fast = pair(**kernel)
    seen = products(monkeypatch)
    cells = torch.randn(5, 6, *grid).contiguous(memory_format=layout)
    found, once = all_of(fast, cells), all_of(plain, cells)
    assert seen == [grid] * (grid != (1, 1))
    assert not seen or all(torch.equal(ours, theirs) for ours, theirs in zip(found[:2], once[:2], strict=True))  # the output and the cells' gradient
    plain.zero_grad()
    expected = all_of(plain.double(), cells.double())
    assert len(found) == len(expected) == 3 + (plain.bias is not None)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().max()) <= 1e-6 * float(theirs.abs().max())


def test_the_same_bits_every_time():
    _, fast = pair(kernel_size=7, padding=3)
    cells = torch.randn(32, 6, 4, 4)
    once, again = all_of(fast, cells), all_of(copy.deepcopy(fast), cells)
    assert all(torch.equal(one, other) for one, other in zip(once[:2], again[:2], strict=True))
    fast.zero_grad()
    assert all(torch.equal(one, other) for one, other in zip(again, all_of(fast, cells), strict=True))


UNSUITABLE = {
    "strided": {"kernel_size": 3, "padding": 1, "stride": 2},
    "dilated": {"kernel_size": 3, "padding": 2, "dilation": 2},
    "dense": {"kernel_size": 3, "padding": 1, "groups": 1},
    "grouped by two": {"kernel_size": 3, "padding": 1, "groups": 3},
    "two outputs each": {"kernel_size": 3, "padding": 1, "out_channels": 12},
    "shrinking": {"kernel_size": 3},
    "growing": {"kernel_size": 3, "padding": 2},
    "shrinking in one direction": {"kernel_size": (3, 5), "padding": 1},
    "without a centre": {"kernel_size": 4, "padding": "same"},
    "without a centre in one direction": {"kernel_size": (3, 4), "padding": "same"},
    "valid": {"kernel_size": 3, "padding": "valid"},
    "reflecting": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("how", UNSUITABLE)
def test_other_convolutions_are_left_alone(how):
    plain, fast = pair(**UNSUITABLE[how])
    assert type(fast) is torch.nn.Conv2d
    cells = torch.randn(2, 6, 8, 8)
    assert torch.equal(plain(cells), fast(cells))


@pytest.mark.parametrize(
    "cells", [torch.randn(2, 6, 5, 13), torch.randn(2, 6, 9, 9), torch.randn(6, 4, 4), torch.randn(2, 6, 4, 4).double()], ids=lambda cells: str(cells.shape)
)
def test_other_cells_go_the_ordinary_way(cells, monkeypatch):
    plain, fast = (convolution.to(cells.dtype) for convolution in pair(kernel_size=7, padding=3))
    seen = products(monkeypatch)
    assert torch.equal(plain(cells), fast(cells))
    assert seen == []


def test_mixed_precision_goes_the_ordinary_way(monkeypatch):
    plain, fast = pair(kernel_size=7, padding=3)
    seen, cells = products(monkeypatch), torch.randn(2, 6, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(plain(cells), fast(cells))
    assert seen == []


def test_a_network_keeps_its_weights_and_their_names():
    def made():
        torch.manual_seed(0)
        return build.model(NANO.model, image_size=32, logit_scale_start=14.0)

    plain, fast = made(), made()
    small_grids.speed_up(fast)
    assert sum(isinstance(part, small_grids.SmallGridConv2d) for part in fast.modules()) == 9
    assert [name for name, _ in plain.named_modules()] == [name for name, _ in fast.named_modules()]
    assert list(plain.state_dict()) == list(fast.state_dict())
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(fast.state_dict().values(), plain.state_dict().values(), strict=True))
    assert str(plain).replace("SmallGrid", "") == str(fast).replace("SmallGrid", "")


def test_training_at_nano_is_the_same_with_and_without(monkeypatch):
    random = torch.Generator().manual_seed(0)
    batches = [
        Batch(step, torch.randint(256, (16, 32, 32, 3), dtype=torch.uint8, generator=random), torch.randint(4096, (16, 24), generator=random))
        for step in range(8)
    ]
    seen = products(monkeypatch)

    def trained(**how):
        trainer = loop.Trainer(NANO, 0, "cpu", **how)
        losses = [trainer.step(batch) for batch in batches[:1]]
        gradients = {name: parameter.grad.clone() for name, parameter in trainer.network.named_parameters()}
        return losses + [trainer.step(batch) for batch in batches[1:]], gradients

    plain_losses, plain_gradients = trained(products=False)
    assert seen == []
    losses, gradients = trained()
    assert set(seen) == {(8, 8), (4, 4), (2, 2)}
    assert losses == pytest.approx(plain_losses, abs=1e-5)
    for name, gradient in plain_gradients.items():
        assert float((gradients[name] - gradient).norm()) <= 1e-5 * float(gradient.norm()), name
    assert trained()[0] == losses  # to the bit
    for untouched in ({"compiled": True}, {"products": False}):
        assert not any(isinstance(part, small_grids.SmallGridConv2d) for part in loop.Trainer(NANO, 0, "cpu", **untouched).network.modules())
