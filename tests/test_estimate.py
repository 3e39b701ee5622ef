"""What a recipe costs, before anything is started."""

import shutil
from collections import namedtuple

import pytest
import torch
from typer.testing import CliRunner

from datacomp import cli
from datacomp.declared import scale as scales
from datacomp.errors import StageError
from datacomp.pipelines.estimate import estimate
from datacomp.train import cost
from datacomp.train.hardware import Hardware
from datacomp.train.run import train

PUBLISHED_MACS = {"small": 9.5e16, "medium": 9.5e17, "large": 2.6e19, "xlarge": 1.1e21}  # arXiv 2304.14108, Table 1: of the forward passes


@pytest.mark.parametrize("name", PUBLISHED_MACS)
def test_operations_are_the_published_ones(name):
    counted = cost.cost(scales.load(name))
    macs = counted.sample_operations / 3 / 2 * scales.load(name).budget.samples_seen
    assert macs == pytest.approx(PUBLISHED_MACS[name], rel=0.03)


def test_parameters_are_those_of_the_model(tiny_scale, tiny_run):
    from datacomp.network import load

    counted = cost.cost(tiny_scale)
    assert counted.parameters == sum(tensor.numel() for tensor in load.read_tensors(tiny_run.weights()).values())
    assert counted.processes == (1, 2, 4, 8, 16, 32)


def test_half_the_batch_takes_half_the_memory_for_it():
    counted = cost.cost(scales.load("small"))
    fixed = counted.device_bytes(0)
    assert fixed == 16 * counted.parameters
    assert counted.device_bytes(512) - fixed == 2 * (counted.device_bytes(256) - fixed)


def test_more_devices_take_fewer_days_and_as_many_device_hours():
    one, eight = (estimate(scales.load("medium"), devices=devices, card="h100") for devices in (1, 8))
    assert eight.speed.days == pytest.approx(one.speed.days / 8)
    assert eight.speed.device_hours == pytest.approx(one.speed.device_hours)
    assert eight.device_samples * 8 == one.device_samples == 4096


@pytest.mark.parametrize(("name", "is_told"), [("nano", False), ("micro", False), ("small", True), ("xlarge", True)])
def test_no_peak_tells_how_fast_a_tiny_model_is(name, is_told):
    assert bool(estimate(scales.load(name), devices=1, card="h200").speed) == is_told


def test_a_tiny_model_can_be_measured(tiny_scale, small_shards):
    found = estimate(tiny_scale, devices=1, shards=small_shards, seconds=0.2)
    assert found.speed.source == "measured here"
    assert found.speed.device_hours == pytest.approx(tiny_scale.budget.samples_seen / found.speed.samples_per_s / 3600)


def test_a_measured_speed_is_that_of_steps_taken_here(tiny_scale, small_shards):
    long = tiny_scale.model_copy(update={"budget": scales.Budget(steps=1000, global_batch_samples=32, samples_seen=32_000, checkpoints=1)})
    seen = []
    real = cost.loop.Trainer.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost.loop.Trainer, "step", lambda self, batch: seen.append(batch.step) or real(self, batch))
        step_s = cost.measure(long, small_shards, seconds=1.0, hardware=Hardware(workers=0, threads=1))
    assert seen == list(range(len(seen)))
    assert step_s * (len(seen) - 3) == pytest.approx(1.0, abs=step_s + 0.5)


@pytest.mark.parametrize(("how", "says"), [({"devices": 3}, "3 processes"), ({"devices": 1, "card": "abacus"}, "no speed is known for 'abacus'.*h100")])
def test_what_is_impossible_is_refused(how, says):
    with pytest.raises(StageError, match=says):
        estimate(scales.load("small"), **how)


def test_the_command_says_everything():
    done = CliRunner().invoke(cli.app, ["estimate", "--scale", "medium", "--devices", "8", "--card", "h100"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    for part in ("31,250 steps", "128,000,000 samples seen", "512 samples on each device", "device-hours", "days", "checkpoints", "shards of the list", "pool"):
        assert part in done.output


def test_the_command_says_that_a_tiny_model_is_to_be_measured():
    done = CliRunner().invoke(cli.app, ["estimate", "--scale", "nano"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "measure it here with --measure" in done.output
    assert "device-hours" not in done.output


def test_measuring_wants_shards():
    done = CliRunner().invoke(cli.app, ["estimate", "--scale", "nano", "--measure"])
    assert "--measure needs shards" in str(done.exception)


def test_a_disk_that_is_too_small_is_refused_before_training(tiny_scale, small_shards, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil's
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    with pytest.raises(StageError, match=r"the checkpoints of scale smoke need 0\.025 GB .* 0\.001 GB are free"):
        train(tiny_scale, (small_shards,), tmp_path / "run", hardware=Hardware(workers=0))
    assert not (tmp_path / "run" / "run.json").exists()


def test_counting_leaves_the_default_device_alone():
    cost.cost(scales.load("nano"))
    assert torch.zeros(1).device.type == "cpu"
