"""The trainer follows the recipe to the letter, whatever the hardware, and goes on where it was stopped."""

import json
import math
import pickle

import numpy as np
import open_clip
import pytest
import torch
from open_clip_train.scheduler import cosine_lr
from PIL import Image

from datacomp import tars
from datacomp.artifacts import run as runs
from datacomp.declared import scale as scales
from datacomp.errors import StageError, TarError
from datacomp.network import build, load
from datacomp.train import budget, data, loop
from datacomp.train.hardware import Hardware
from datacomp.train.run import train


def drawable(shards, weight=1.0):
    return data.Drawable(shards.tars(), tuple(shard.samples for shard in shards.record.shards), weight)


def batches(scale, shards, seed=0, *, rank=0, world_size=1):
    stream = data.Stream((drawable(shards),), scale.sampling, seed)
    return data.Batches(stream, scale, seed, rank=rank, rank_batch_samples=budget.rank_batch_samples(scale.budget, world_size))


def batch(scale, shards, step, **how):
    return next(data.load(batches(scale, shards, **how), range(step, step + 1), workers=0))


def bytes_of(run):
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.suffix in (".json", ".safetensors")}


@pytest.mark.parametrize("name", ["small", "xlarge", "nano"])
def test_the_learning_rate_is_open_clip_s_at_every_step(name):
    declared, steps = scales.load(name).optimizer, scales.load(name).budget.steps
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    adjust = cosine_lr(optimizer, declared.learning_rate, declared.warmup_steps, steps)
    for step in (0, 1, declared.warmup_steps - 1, declared.warmup_steps, steps // 2, steps - 1):
        assert budget.learning_rate(declared, step, steps) == pytest.approx(adjust(step), rel=1e-12)


def test_checkpoints_are_evenly_spaced_and_end_with_the_last_step():
    assert budget.checkpoint_steps(scales.load("small").budget) == (625, 1250, 1875, 2500, 3125)
    assert budget.checkpoint_steps(scales.load("xlarge").budget) == (28_410, 56_819, 85_228, 113_637, 142_046)


def test_an_uneven_division_of_the_batch_is_refused_with_the_even_ones():
    assert budget.rank_batch_samples(scales.load("small").budget, 64) == 64
    with pytest.raises(StageError, match=r"48 processes.*Allowed: processes times parts: 1, 2, 4, 8, 16, 32, 64, 128"):
        budget.rank_batch_samples(scales.load("small").budget, 48)


def test_weight_decay_spares_what_open_clip_spares():
    declared = scales.load("nano")
    network = build.model(declared.model, image_size=32, logit_scale_start=14.0)
    spared = {id(p) for p in loop.make_optimizer(declared.optimizer, network).param_groups[0]["params"]}
    for name, parameter in network.named_parameters():
        theirs = parameter.ndim < 2 or "bn" in name or "ln" in name or "bias" in name or "logit_scale" in name
        assert (id(parameter) in spared) == theirs, name


def test_pixels_are_those_of_open_clip_s_transform():
    declared = scales.load("small").pixels
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (97, 143, 3), np.uint8))
    theirs = {
        train: open_clip.image_transform(declared.size, is_train=train, mean=declared.mean, std=declared.std, aug_cfg={"scale": declared.crop_scale})
        for train in (True, False)
    }
    for train_mode, ours in ((True, build.training_pixels(declared)), (False, build.evaluation_pixels(declared))):
        torch.manual_seed(5)
        expected = theirs[train_mode](picture)
        torch.manual_seed(5)
        found = build.normalise(torch.from_numpy(ours(picture).copy())[None], declared)[0]
        assert torch.equal(found, expected)


def test_the_tokenizer_of_the_published_scales_is_open_clip_s():
    captions = ["a photo of a cat", "Ünïcode & emoji 🎈 " * 30, ""]
    ours = build.Tokenizer(scales.load("small").tokens, 77)(captions)
    assert torch.equal(ours, open_clip.tokenize(captions))


def test_the_tiny_tokenizer_ends_every_caption_with_the_highest_token():
    declared = scales.load("nano")
    tokens = build.Tokenizer(declared.tokens, declared.model.text.context_length)(["a red star", "x" * 500, "étoile rouge"])
    assert tokens.max(dim=1).values.tolist() == [declared.model.text.vocabulary_size - 1] * 3


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker:UserWarning")
def test_batch_k_does_not_depend_on_loader_workers(tiny_scale, small_shards):
    loaded = [list(data.load(batches(tiny_scale, small_shards), range(6), workers=workers)) for workers in (0, 1, 2, 4)]
    for others in loaded[1:]:
        assert all(torch.equal(a.pixels, b.pixels) and torch.equal(a.tokens, b.tokens) for a, b in zip(loaded[0], others, strict=True))


def test_ranks_read_slices_of_the_same_batch(tiny_scale, small_shards):
    whole = batch(tiny_scale, small_shards, 2)
    parts = [batch(tiny_scale, small_shards, 2, rank=rank, world_size=4) for rank in range(4)]
    assert torch.equal(torch.cat([part.pixels for part in parts]), whole.pixels)
    assert torch.equal(torch.cat([part.tokens for part in parts]), whole.tokens)


def test_reading_a_batch_leaves_torch_s_random_state_alone(tiny_scale, small_shards):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    batches(tiny_scale, small_shards)[0]
    assert torch.equal(torch.rand(1), expected)


def test_another_seed_draws_other_batches(tiny_scale, small_shards):
    assert not torch.equal(*(batch(tiny_scale, small_shards, 0, seed=seed).tokens for seed in (0, 1)))


def test_the_stream_is_the_same_wherever_one_starts_reading(tiny_scale, small_shards):
    def stream():
        return data.Stream((drawable(small_shards),), tiny_scale.sampling, 3)

    whole = stream().places(0, 2000)
    assert np.array_equal(stream().places(777, 1501), whole[777:1501])
    shards, counts = np.unique(whole[:, 0], return_counts=True)
    assert len(shards) == len(small_shards.tars())
    assert counts.min() > 0


def test_a_weight_is_a_share_of_the_samples_drawn(tiny_scale):
    few = data.Drawable(("few.tar",), (10,), 3.0)
    many = data.Drawable(tuple(f"many{n}.tar" for n in range(20)), (100,) * 20, 1.0)
    places = data.Stream((few, many), tiny_scale.sampling, 0).places(0, 200_000)
    assert np.mean(places[:, 0] == 0) == pytest.approx(0.75, abs=0.02)


def test_each_sample_of_a_source_is_equally_likely(tiny_scale):
    uneven = data.Drawable(("a", "b", "c"), (10, 100, 40), 1.0)
    places = data.Stream((uneven,), tiny_scale.sampling, 0).places(0, 300_000)
    drawn = np.bincount(places[:, 0]) / np.array([10, 100, 40])
    assert drawn / drawn.mean() == pytest.approx(1, abs=0.1)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tiny_scale, small_shards, tmp_path):
    made = [
        train(tiny_scale, (small_shards,), tmp_path / name, seed=seed, hardware=Hardware(threads=1, workers=workers))
        for name, seed, workers in (("a", 0, 0), ("b", 0, 2), ("c", 1, 0))
    ]
    assert bytes_of(made[0].path) == bytes_of(made[1].path)
    assert made[0].record.checkpoints[-1].sha256 != made[2].record.checkpoints[-1].sha256
    assert made[0].record.samples_seen == 192
    assert [checkpoint.step for checkpoint in made[0].record.checkpoints] == [2, 4, 6]


@pytest.mark.parametrize("publishes", [2, 3, 4, 6])
def test_a_stopped_run_goes_on_to_the_same_bytes(tiny_scale, small_shards, tmp_path, stopped, publishes):
    whole = train(tiny_scale, (small_shards,), tmp_path / "whole", hardware=Hardware(workers=0))
    with stopped(publishes):
        train(tiny_scale, (small_shards,), tmp_path / "stopped", hardware=Hardware(workers=0))
    with pytest.raises(StageError, match="no finished run"):
        runs.read(tmp_path / "stopped")
    assert bytes_of(train(tiny_scale, (small_shards,), tmp_path / "stopped", hardware=Hardware(workers=0)).path) == bytes_of(whole.path)


def test_a_finished_run_is_not_trained_again(tiny_scale, small_shards, tmp_path, monkeypatch):
    first = train(tiny_scale, (small_shards,), tmp_path / "run", hardware=Hardware(workers=0))
    monkeypatch.setattr(loop.Trainer, "step", lambda self, batch: pytest.fail("a step was taken"))
    assert train(tiny_scale, (small_shards,), tmp_path / "run", hardware=Hardware(workers=0)).digest == first.digest


def test_a_folder_with_another_run_is_refused(tiny_scale, small_shards, tmp_path):
    train(tiny_scale, (small_shards,), tmp_path / "run", hardware=Hardware(workers=0))
    with pytest.raises(StageError, match="another seed"):
        train(tiny_scale, (small_shards,), tmp_path / "run", seed=1, hardware=Hardware(workers=0))


def test_the_loss_falls_and_the_logit_scale_stays_below_its_limit(tiny_scale, small_shards):
    trainer = loop.Trainer(tiny_scale, 0, "cpu")
    first = batch(tiny_scale, small_shards, 0)
    with torch.no_grad():
        trainer.network.logit_scale.fill_(10.0)
    trainer.step(first)
    assert float(trainer.network.logit_scale.detach()) <= math.log(100) + 1e-6
    trainer = loop.Trainer(tiny_scale, 0, "cpu")
    losses = [trainer.step(first._replace(step=1)) for _ in range(12)]
    assert losses[-1] < losses[0]


def test_a_loss_that_is_no_number_stops_the_run(tiny_scale, small_shards, tmp_path, monkeypatch):
    monkeypatch.setattr(loop.Trainer, "step", lambda self, batch: math.nan)
    with pytest.raises(StageError, match="the loss of step 0 is nan"):
        train(tiny_scale, (small_shards,), tmp_path / "run", hardware=Hardware(workers=0))
    assert not (tmp_path / "run" / "run.json").exists()


def test_records_hold_no_clock(tiny_scale, small_shards, tmp_path):
    run = train(tiny_scale, (small_shards,), tmp_path / "run", hardware=Hardware(workers=0))
    assert "time" not in json.dumps(run.record.plain())
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    assert [line.get("event") for line in lines] == ["start", *[None] * 6, "end"]  # the first steps are all logged
    assert {"step", "loss", "samples_per_s", "time"} <= set(lines[1])
    assert {"device", "processes", "device_name", "threads"} <= set(lines[0])
    assert lines[-1]["device_hours"] >= 0


def test_shards_of_another_size_than_the_recipe_s_are_refused(small_shards, tmp_path):
    with pytest.raises(StageError, match=r"shards of 50 samples, scale smoke draws shards of 1,000.*--scale smoke"):
        train(scales.load("smoke"), (small_shards,), tmp_path / "run")


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.0,), (-1.0,)])
def test_weights_must_be_positive_and_one_a_source(tiny_scale, small_shards, tmp_path, weights):
    with pytest.raises(StageError, match="one positive weight a source"):
        train(tiny_scale, (small_shards,), tmp_path / "run", weights=weights)


def test_a_pickled_checkpoint_runs_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(StageError, match="not a safetensors file"):
        load.read_tensors(tmp_path / "model.safetensors")
    torch.save({"x": Evil()}, tmp_path / "model.pt")
    with pytest.raises(StageError, match="not a safetensors file"):
        load.read_tensors(tmp_path / "model.pt")
    assert not (tmp_path / "run").exists()


def test_weights_may_be_read_by_whoever_may_read_other_files(tmp_path):
    load.write_tensors(tmp_path / "a" / "model.safetensors", {"logit_scale": torch.zeros(())})
    (tmp_path / "other").touch()
    assert (tmp_path / "a" / "model.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["model.safetensors"]


def test_weights_of_another_model_are_refused(tmp_path):
    declared = scales.load("nano")
    network = build.model(declared.model, image_size=32, logit_scale_start=14.0)
    load.write_tensors(tmp_path / "a.safetensors", {"logit_scale": torch.zeros(())})
    with pytest.raises(StageError, match="does not fit the model"):
        load.load_weights(network, tmp_path / "a.safetensors")
    load.write_tensors(tmp_path / "b.safetensors", network.state_dict() | {"ln_final.bias": torch.zeros(3)})
    with pytest.raises(StageError, match=r"ln_final\.bias has shape \(3,\)"):
        load.load_weights(network, tmp_path / "b.safetensors")


def test_members_that_would_run_code_are_never_decoded(tiny_scale, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    with tars.TarWriter(tmp_path / "00000000.tar") as writer:
        for n in range(40):
            writer.add(f"{n}.pyd", pickle.dumps(Evil()))
            writer.add(f"{n}.pickle", pickle.dumps(Evil()))
            writer.add(f"{n}.jpg", jpeg())
            writer.add(f"{n}.txt", b"a red star")
    stream = data.Stream((data.Drawable((tmp_path / "00000000.tar",), (40,), 1.0),), tiny_scale.sampling, 0)
    batch = data.Batches(stream, tiny_scale, 0, rank=0, rank_batch_samples=32)[0]
    assert batch.pixels.shape == (32, 32, 32, 3)
    assert not (tmp_path / "run").exists()


def test_a_pipe_address_is_a_file_that_is_not_there(tiny_scale, tmp_path):
    address = f"pipe:touch {tmp_path}/run"
    stream = data.Stream((data.Drawable((type(tmp_path)(address),), (40,), 1.0),), tiny_scale.sampling, 0)
    with pytest.raises(FileNotFoundError):
        data.Batches(stream, tiny_scale, 0, rank=0, rank_batch_samples=32)[0]
    assert not (tmp_path / "run").exists()


def test_a_picture_that_cannot_be_decoded_is_named(tiny_scale, tmp_path):
    with tars.TarWriter(tmp_path / "00000000.tar") as writer:
        for n in range(40):
            writer.add(f"{n:02d}.jpg", b"no picture")
            writer.add(f"{n:02d}.txt", b"a red star")
    stream = data.Stream((data.Drawable((tmp_path / "00000000.tar",), (40,), 1.0),), tiny_scale.sampling, 0)
    broken = data.Batches(stream, tiny_scale, 0, rank=0, rank_batch_samples=32)
    for workers in (0, 1):
        with pytest.raises(TarError, match=r"00000000\.tar: sample '\d\d': a picture cannot be decoded"):
            next(data.load(broken, range(1), workers=workers))


@pytest.mark.gpu
def test_a_gpu_follows_the_cpu_s_losses(tiny_scale, small_shards):
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    losses = []
    for device in ("cpu", "cuda"):
        trainer = loop.Trainer(tiny_scale, 0, device)
        losses.append([trainer.step(batch) for batch in data.load(batches(tiny_scale, small_shards), range(6), workers=0)])
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)


def jpeg():
    from datacomp.pool import synthetic

    return synthetic.encode(np.zeros((48, 48, 3), np.uint8))
