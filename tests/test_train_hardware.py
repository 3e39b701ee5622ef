"""However a batch is divided, among processes or in parts, the same weights come out; and a run goes on from wherever it was ended."""

import json
import pickle
import re
import shutil
import struct
import subprocess
import sys
import types

import faults
import forking
import killed
import pytest
import torch
from folders import content
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from datacomp import files, tars
from datacomp.artifacts import run as runs
from datacomp.artifacts import shards as shard_sets
from datacomp.declared import scale as scales
from datacomp.errors import BusyError, RecordError, StageError, TarError
from datacomp.launch import local, ranks
from datacomp.network import load
from datacomp.train import data, loop
from datacomp.train.hardware import Hardware
from datacomp.train.run import Keeping, train

ALONE = Hardware(workers=0, threads=1)


@pytest.fixture(scope="module")
def recipe(tiny_scale):
    """The tiny scale with the learning rate of DataComp's debug scale: AdamW makes of a rounding error in a tiny gradient up to a learning rate in a weight."""
    return tiny_scale.model_copy(update={"optimizer": tiny_scale.optimizer.model_copy(update={"learning_rate": 1e-4})})


@pytest.fixture(scope="module")
def whole(recipe, small_shards, tmp_path_factory):
    """An undisturbed run of one process."""
    return train(recipe, (small_shards,), tmp_path_factory.mktemp("whole") / "run", hardware=ALONE)


def largest_difference(run, other):
    """The largest difference of two runs' weights but for biases of keys: attention does not depend on them, and AdamW makes steps of rounding errors."""
    ours, theirs = (load.read_tensors(found.weights()) for found in (run, other))
    assert ours.keys() == theirs.keys()
    differences = {name: (ours[name] - theirs[name]).abs() for name in ours}
    for name in ours:
        if name.endswith("in_proj_bias"):
            differences[name].chunk(3)[1].zero_()  # of queries, keys and values
    return max(float(difference.max()) for difference in differences.values())


def test_a_hundredth_of_the_learning_rate_is_seen(recipe, small_shards, whole, tmp_path):
    faster = recipe.model_copy(update={"optimizer": recipe.optimizer.model_copy(update={"learning_rate": 1.01e-4})})
    assert largest_difference(train(faster, (small_shards,), tmp_path / "run", hardware=ALONE), whole) > 1e-5


@pytest.mark.parametrize("accumulate", [2, 4])
def test_a_batch_in_parts_gives_the_whole_batch_s_weights(recipe, small_shards, whole, tmp_path, accumulate):
    parts = train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE._replace(accumulate=accumulate))
    assert 0 < largest_difference(parts, whole) < 1e-6


def stream_of(recipe, shards):
    return data.Stream((data.Drawable(shards.tars(), tuple(shard.pairs for shard in shards.record.shards), 1.0),), recipe.sampling, 0)


def gradients(recipe, batch, **how):
    trainer = loop.Trainer(recipe, 0, "cpu", **how)
    trainer.step(batch)
    return {name: parameter.grad for name, parameter in trainer.network.named_parameters()}


def same(ours, theirs):
    return all(torch.allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-6) for name in theirs)


def test_a_batch_in_parts_gives_the_whole_batch_s_gradients(recipe, small_shards, monkeypatch):
    batch = next(data.load(data.Batches(stream_of(recipe, small_shards), recipe, 0, rank=0, rank_batch_samples=32), range(1), workers=0))
    expected = gradients(recipe, batch)
    assert same(gradients(recipe, batch, accumulate=4), expected)
    monkeypatch.setattr(torch, "zeros_like", torch.ones_like)  # the logit scale's gradient once more for each part
    assert not same(gradients(recipe, batch, accumulate=4), expected)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_give_the_weights_of_one(recipe, small_shards, whole, tmp_path, accumulate):
    two = train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE._replace(devices=2, accumulate=accumulate))
    assert two.record.processes == 2
    assert 0 < largest_difference(two, whole) < 1e-6


def test_sparing_memory_changes_no_bit(recipe, small_shards, whole, tmp_path):
    spared = train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE._replace(spare_memory=True))
    assert spared.digest == whole.digest


@pytest.mark.parametrize("hardware", [Hardware(devices=3), Hardware(accumulate=3), Hardware(devices=2, accumulate=32)])
def test_an_uneven_division_is_refused_before_anything_is_read(recipe, small_shards, tmp_path, hardware):
    with pytest.raises(StageError, match=r"cannot be divided evenly.*Allowed: processes times parts: 1, 2, 4, 8, 16, 32"):
        train(recipe, (small_shards,), tmp_path / "run", hardware=hardware)


def test_a_failure_of_one_process_is_told_in_one_line_and_ends_all(recipe, small_shards, tmp_path):
    broken = broken_shards(small_shards, tmp_path / "broken", every=1)
    with pytest.raises(TarError, match="a picture cannot be decoded"):
        train(recipe, (broken,), tmp_path / "run", hardware=ALONE._replace(devices=2))


def test_a_process_that_does_not_see_the_point_to_go_on_from_waits_but_not_for_ever(recipe, small_shards, tmp_path):
    arguments = {"scale": recipe, "shards": (small_shards,), "out": tmp_path / "run", "hardware": ALONE._replace(devices=2)}
    with pytest.raises(StageError, match=r"step_00000001.safetensors does not appear.*see the same file system"):
        ranks.run(killed.train_apart, arguments, 2)


def test_a_process_that_is_killed_ends_all():
    with pytest.raises(StageError, match="ended with SIGKILL"):
        ranks.run(killed.second_process, {}, 2)


@pytest.fixture
def command(small_shards):
    """The command for a run of a few steps on shards whose record has another size than the scale's."""
    changes = {"budget.steps": 12, "budget.global_batch_samples": 32, "budget.checkpoints": 3, "optimizer.learning_rate": 1e-4}
    tars_only = f"{small_shards.path}/{{00000000..{len(small_shards.tars()) - 1:08d}}}.tar"
    changed = [part for place, value in changes.items() for part in ("--set", f"{place}={value}")]
    return ["train", "--scale", "smoke", "--shards", tars_only, "--division", "open", *changed, "--workers", "0", "--threads", "1", "--save-every", "0"]


@pytest.mark.slow
def test_torchrun_starts_the_same_run(command, tmp_path):
    """The processes of a launcher find each other by what it says in their environment."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "datacomp"]
    made = []
    for name, launcher in (("alone", [sys.executable, "-m", "datacomp"]), ("launched", torchrun)):
        subprocess.run([*launcher, *command, "--out", str(tmp_path / name)], check=True, timeout=300)
        made.append(runs.read(tmp_path / name))
    assert made[1].record.processes == 2
    assert largest_difference(*made) < 1e-6


def points_can_be_read(run):
    for path in (run / "resume").glob("step_*.safetensors"):
        load.read_tensors(path)


@pytest.mark.slow
def test_a_training_that_is_killed_forty_times_gives_the_same_bytes(command, tmp_path):
    out = tmp_path / "run"
    workers = tuple(("--workers", str(number)) for number in range(3))
    with forking.Forks(tmp_path / "said") as forks:
        how = {"kills": 40, "start": forks.start, "options": workers, "check": points_can_be_read}
        assert faults.kill_often([*command, "--out", out], out, runs.RECORD, **how) >= 40


# Corrupt samples


def broken_shards(shards, out, *, every):
    """A copy of shards in which every so many pictures cannot be decoded."""
    shutil.copytree(shards.path, out)
    count = 0
    for path in sorted(out.glob("*.tar")):
        samples = list(tars.read_all(path))
        with tars.TarWriter(path) as writer:
            for sample, data in samples:
                count += 1
                for extension, member in sample.members.items():
                    is_broken = extension == sample.image_extension() and count % every == 0
                    writer.add(member.name, b"x" * member.bytes if is_broken else data[extension])
    return shard_sets.read(out)


def test_samples_that_cannot_be_read_are_replaced_and_counted(recipe, small_shards, whole, tmp_path):
    broken = broken_shards(small_shards, tmp_path / "broken", every=20)
    lenient = Keeping(corrupt_share=0.2)
    made = [
        train(recipe, (broken,), tmp_path / f"run{number}", hardware=hardware, keeping=lenient)
        for number, hardware in enumerate([ALONE, ALONE._replace(workers=2), ALONE._replace(devices=2)])
    ]
    counts = {run.record.corrupt_samples for run in made}
    assert len(counts) == 1
    assert 0 < counts.pop() < 0.15 * recipe.budget.samples_seen
    assert made[0].digest == made[1].digest
    assert largest_difference(made[0], made[2]) < 1e-6
    assert largest_difference(made[0], whole) > 1e-5


def test_more_unreadable_samples_than_allowed_end_the_run(recipe, small_shards, tmp_path):
    broken = broken_shards(small_shards, tmp_path / "broken", every=20)
    with pytest.raises(StageError, match=r"samples could not be read.*0 in the whole run, a share of 0\.001.*--allow-corrupt"):
        train(recipe, (broken,), tmp_path / "run", hardware=ALONE)
    assert not (tmp_path / "run" / runs.RECORD).exists()


def test_what_stands_in_for_a_sample_comes_from_its_own_source(tiny_scale):
    sources = tuple(data.Drawable(tuple(f"{name}{n}" for n in range(3)), (10, 20, 30), 1.0) for name in "ab")
    stream = data.Stream(sources, tiny_scale.sampling, 0)
    found = [stream.substitute(position, shard, 1) for position in range(600) for shard in (1, 4)]
    assert {shard for shard, _ in found[0::2]} == {0, 1, 2}
    assert {shard for shard, _ in found[1::2]} == {3, 4, 5}
    assert all(sample < (10, 20, 30)[shard % 3] for shard, sample in found)


# Going on


@pytest.mark.parametrize("publishes", range(2, 10))
def test_a_run_goes_on_at_any_step_to_the_same_bytes(recipe, small_shards, whole, tmp_path, stopped, publishes):
    often = Keeping(save_every_s=0)
    with stopped(publishes):
        train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE, keeping=often)
    with pytest.raises(StageError, match="no finished run"):
        runs.read(tmp_path / "run")
    again = train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE._replace(workers=publishes % 3), keeping=often)
    assert content(again.path) == content(whole.path)


def test_an_ended_run_keeps_no_point_to_go_on_from(recipe, small_shards, whole, tmp_path):
    assert not (whole.path / "resume").exists()
    shutil.copytree(whole.path, tmp_path / "run")
    (tmp_path / "run" / "resume").mkdir()  # as when the process was killed just before it removed them
    train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE)
    assert not (tmp_path / "run" / "resume").exists()


@pytest.mark.parametrize(("here", "workers", "threads"), [(1, 1, 7), (4, 1, 1), (8, 1, 1)])
def test_processes_of_one_machine_share_its_cores(monkeypatch, here, workers, threads):
    monkeypatch.setattr(local, "cores", lambda: 8)
    filled = Hardware().filled(ranks.World(0, 16, "cpu", here), lambda: pytest.fail("memory was looked at"))
    assert (filled.workers, filled.threads, filled.spare_memory) == (workers, threads, False)


@pytest.mark.parametrize(("needed", "said", "spared"), [(89, None, False), (91, None, True), (91, False, False), (89, True, True)])
def test_activations_are_computed_twice_where_a_gpu_s_memory_asks_for_it(monkeypatch, capsys, needed, said, spared):
    monkeypatch.setattr(local, "free_bytes", lambda device: 100 * 10**9 if device == "cuda" else None)
    filled = Hardware(spare_memory=said).filled(ranks.World(device="cuda"), lambda: needed * 10**9)
    assert filled.spare_memory == spared
    assert ("91.0 GB and has 100.0 GB free" in capsys.readouterr().err) == (needed == 91 and said is None)
    assert Hardware().filled(ranks.World(), lambda: needed * 10**9).spare_memory is False


def test_a_poisoned_point_to_go_on_from_is_not_read(recipe, small_shards, tmp_path, stopped):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    with stopped(4):
        train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE, keeping=Keeping(save_every_s=0))
    newest = max((tmp_path / "run" / "resume").iterdir())
    newest.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(StageError, match=rf"not a safetensors file.*remove {newest}"):
        train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE)
    assert not (tmp_path / "ran").exists()
    newest.unlink()
    assert train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE).record.samples_seen == 192


def test_a_second_writer_is_refused(recipe, small_shards, tmp_path):
    with files.writing(tmp_path / "run"), pytest.raises(BusyError, match="is being written by process"):
        train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE)


def test_a_run_that_would_take_too_long_is_refused(recipe, small_shards, tmp_path):
    with pytest.raises(StageError, match=r"would take .* days at this speed\. Allowed: 1e-09 days"):
        train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE, keeping=Keeping(max_days=1e-9))


# What it says


def test_tensorboard_shows_what_the_log_says(whole):
    path = next((whole.path / "tensorboard").iterdir())
    events, rest = [], path.read_bytes()
    while rest:
        size, crc = struct.unpack("<QI", rest[:12])
        assert crc == masked_crc32c(rest[:8])
        events.append(Event.FromString(rest[12 : 12 + size]))
        rest = rest[16 + size :]
    shown = {(event.step, value.tag): value.simple_value for event in events for value in event.summary.value}
    logged = [json.loads(line) for line in (whole.path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logged if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert all(shown[line["step"], "loss"] == pytest.approx(line["loss"]) for line in logged if "loss" in line)


class StandIn(types.ModuleType):
    """As much of the package wandb as is called, which writes down its calls."""

    def __init__(self):
        super().__init__("wandb")
        self.calls = []

    def init(self, *, project, name, dir, config, resume, id):  # noqa: A002 - their names
        self.calls.append(("init", {"project": project, "name": name, "dir": dir, "resume": resume, "id": id}))
        assert config["workers"] == 0
        return self

    def log(self, values, *, step):
        self.calls.append(("log", step, values))

    def finish(self, *, exit_code):
        self.calls.append(("finish", exit_code))


def test_weights_and_biases_hears_what_the_log_says_and_goes_on_with_the_same_run(recipe, small_shards, tmp_path, stopped, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", heard := StandIn())
    sent = Keeping(wandb="mine")
    with stopped(4):
        train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE, keeping=sent)
    first, heard.calls = heard.calls, []
    run = train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE, keeping=sent)
    assert first[0] == heard.calls[0] == ("init", heard.calls[0][1])
    assert heard.calls[0][1] | {"id": ""} == {"project": "mine", "name": "run", "dir": str(run.path), "resume": "allow", "id": ""}
    assert re.fullmatch("[0-9a-f]{16}", heard.calls[0][1]["id"])
    assert (first[-1], heard.calls[-1]) == (("finish", 1), ("finish", 0))
    logged = {line["step"]: line for line in map(json.loads, (run.path / "log.jsonl").read_text().splitlines()) if "loss" in line}
    told = [call for call in first + heard.calls if call[0] == "log"]
    assert sorted({step for _, step, _ in told}) == [1, 2, 3, 4, 5, 6]
    assert all(values.items() <= logged[step].items() for _, step, values in heard.calls[1:-1])


def test_weights_and_biases_hears_of_a_failure(recipe, small_shards, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", heard := StandIn())
    with pytest.raises(StageError, match="would take"):
        train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE, keeping=Keeping(wandb="mine", max_days=1e-9))
    assert heard.calls[-1] == ("finish", 1)


def test_without_the_package_weights_and_biases_is_an_error(recipe, small_shards, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(StageError, match="pip install wandb, or leave out --wandb"):
        train(recipe, (small_shards,), tmp_path / "run", hardware=ALONE, keeping=Keeping(wandb="mine"))


# The open division


def test_a_changed_recipe_is_a_run_of_the_open_division(recipe, small_shards, tmp_path):
    changes = {"optimizer.learning_rate": "1e-4", "optimizer.gradient_clipping": "1.0", "budget.steps": "4"}
    run = train(recipe, (small_shards,), tmp_path / "run", changes=changes, hardware=ALONE)
    assert (run.record.inputs.division, run.record.inputs.changes) == ("open", changes)
    assert run.record.samples_seen == 4 * 32
    assert run.record.inputs.recipe_sha256 == scales.changed(recipe, changes).digest() != recipe.digest()


def test_a_closed_run_says_nothing_of_changes(whole):
    assert "changes" not in whole.record.inputs.plain()
    assert whole.record.inputs.division == "closed"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optimizer.learning": "1"}, "nothing to change at 'optimizer.learning'.*optimizer.learning_rate"),
        ({"pool": '"another"'}, "nothing to change at 'pool'"),
        ({"budget": "1"}, "nothing to change at 'budget'|is no scale record"),
        ({"optimizer.beta1": "high"}, "not a TOML value"),
        ({"optimizer.beta1": '"high"'}, "optimizer.beta1"),
        ({"precision": '"float8"'}, "precision"),
        ({"optimizer.learning_rate": "nan"}, "learning_rate"),
        ({"budget.steps": "0"}, "budget"),
    ],
)
def test_a_change_that_is_none_is_refused(tiny_scale, changes, says):
    with pytest.raises(RecordError, match=says):
        scales.changed(tiny_scale, changes)
