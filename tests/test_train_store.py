"""A run may lie in a store: killed on one machine it goes on on another, and only one writes; shards may be read from a store that fails at times."""

import hashlib
import os
import random
import signal
import time

import forking
import pytest
import stores
import test_train_hardware
from folders import content
from typer.testing import CliRunner

from datacomp import cli, files, places
from datacomp.artifacts import run as runs
from datacomp.artifacts import shards as shard_sets
from datacomp.errors import BusyError, StageError, TarError
from datacomp.train import data, loop, webdataset
from datacomp.train.hardware import Hardware
from datacomp.train.run import Keeping, train
from datacomp.train.shard import opened
from datacomp.train.store import LEASE, Lease, Store

command = test_train_hardware.command
ALONE, OFTEN = Hardware(workers=0, threads=1), Keeping(save_every_s=0)


@pytest.fixture(scope="module")
def client():
    with stores.served("runs") as made:
        yield made


@pytest.fixture(scope="module")
def whole(tiny_scale, small_shards, tmp_path_factory):
    """An undisturbed run on the disk."""
    return train(tiny_scale, (small_shards,), tmp_path_factory.mktemp("whole") / "run", hardware=ALONE)


@pytest.fixture
def out(client, request, monkeypatch, tmp_path):
    """A place in the store, with nothing in the cache."""
    monkeypatch.setenv("DATACOMP_CACHE", str(tmp_path / "here"))
    return places.at(f"s3://runs/{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}/run")


@pytest.fixture
def start(tiny_scale, small_shards, out, monkeypatch, tmp_path):
    """Train into the store, on a machine by name; which steps were taken."""

    def started(machine="here", **how):
        steps, real = [], loop.Trainer.step
        with monkeypatch.context() as patch:
            patch.setenv("DATACOMP_CACHE", str(tmp_path / machine))
            patch.setattr(loop.Trainer, "step", lambda self, batch: steps.append(batch.step) or real(self, batch))
            train(tiny_scale, (small_shards,), out, **{"hardware": ALONE, "keeping": OFTEN} | how)
        return steps

    return started


def stored(out):
    """The digest of each object of a run by its name, without clocks."""
    out.fs.invalidate_cache()
    base = f"{out.path}/"
    names = [path.removeprefix(base) for path in out.fs.find(out.path)]
    return {name: hashlib.sha256(out.fs.cat_file(base + name)).hexdigest() for name in names if name != "log.jsonl" and not name.startswith("tensorboard/")}


def test_a_run_in_a_store_is_that_of_a_disk(start, out, whole, tmp_path):
    assert start() == list(range(6))
    assert stored(out) == content(whole.path)
    assert (out / "log.jsonl").read_bytes().count(b"loss") >= 3
    assert out.fs.find(f"{out.path}/tensorboard")
    assert not list((tmp_path / "here" / "runs").rglob("*.safetensors"))
    assert runs.read(out).record == whole.record
    assert start() == []


def test_a_run_goes_on_on_other_machines_and_on_the_first_one_again(start, stopped, out, whole):
    with stopped(5):
        start()
    with stopped(6):
        start("there")
    last = start()
    assert 0 < last[0] < 6
    assert last == list(range(last[0], 6))
    assert stored(out) == content(whole.path)


def test_another_machine_is_kept_away_while_the_lease_lasts(start, stopped, out, whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Store, "leave", lambda self: None)  # as when the machine fails
        with stopped(5):
            start()
    with pytest.raises(BusyError, match=rf"run is being written by a process on .* in 5 minutes, or at once when {out}/{LEASE} is removed"):
        start("there")
    lease = Lease.parse((out / LEASE).read_bytes(), "lease")
    assert 200 < lease.until_s - time.time() <= 300
    (out / LEASE).write_bytes(lease.model_copy(update={"until_s": time.time() - 1}).model_dump_json().encode())
    assert start("there")[0] > 0
    assert stored(out) == content(whole.path)


def test_the_same_machine_goes_on_at_once_with_what_it_has(start, stopped, out, whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Store, "leave", lambda self: None)
        patch.setattr(Store, "copy", lambda self: None)  # nothing but the lease came into the store
        with stopped(5):
            start()
    assert start()[0] > 0
    assert stored(out) == content(whole.path)


def test_a_removed_lease_lets_others_in_and_the_first_gives_up(start, stopped, out):
    first = Store(out, 0.0)
    first.begin()
    first.copy()
    (out / LEASE).unlink()
    with pytest.raises(BusyError, match="was taken over by somebody who removed the lease"):
        first.copy()
    with stopped(5):
        start("there")
    with pytest.raises(BusyError, match="was taken over by a process on"):
        first.copy()


def test_a_second_process_of_the_machine_is_refused(start, out):
    with files.writing(Store(out, 0.0).work), pytest.raises(BusyError, match="is being written by process"):
        start()


def test_a_store_with_another_run_is_refused(start):
    start()
    with pytest.raises(StageError, match="holds a run with another seed"):
        start(seed=1)


def test_several_processes_train_into_a_store(start, out, whole):
    start(hardware=ALONE._replace(devices=2))
    assert stored(out).keys() == content(whole.path).keys()
    assert runs.read(out).record.processes == 2


@pytest.mark.slow
def test_a_run_in_a_store_that_is_killed_again_and_again_gives_the_same_bytes(command, out, tmp_path):
    draw, kills = random.Random(0), 0

    def run(place, seconds=None):
        """Start the command, and kill it after so many seconds unless it has ended."""
        process = forks.start([*command, "--out", place])
        if seconds is not None:
            time.sleep(seconds)
            os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        assert process.returncode in {0, -signal.SIGKILL}, said
        return process.returncode == 0

    with forking.Forks(tmp_path / "said") as forks:
        began = time.monotonic()
        assert run(tmp_path / "run")
        whole_s = time.monotonic() - began
        expected = content(tmp_path / "run")
        while kills < 12:
            if run(out, whole_s * draw.random()):
                assert stored(out) == expected
                out.fs.rm(out.path, recursive=True)
            else:
                kills += 1
        assert run(out)
    assert stored(out) == expected


def test_only_a_run_s_own_files_are_brought_here(out, client):
    key = out.path.removeprefix("runs/")
    for name in ("checkpoints/../../../evil", "checkpoints/step_00000002/model.pkl", "evaluation/nano.json", "inputs.json"):
        client.put_object(Bucket="runs", Key=f"{key}/{name}", Body=b"{}")
    store = Store(out, 0.0)
    store.begin()
    assert {path.name for path in store.work.parent.parent.rglob("*") if path.is_file()} == {"inputs.json", ".writer"}


def test_an_answer_that_fails_at_times_changes_nothing(start, out, whole, monkeypatch):
    monkeypatch.setattr(places, "WAITS_S", (0.0,) * 4)
    with stores.failing(["busy", "reset", "", "busy", "busy"], method="PUT") as met:
        start()
    assert len(met) == 4
    assert stored(out) == content(whole.path)


def test_commands_for_folders_say_that_a_store_is_none():
    for command in (["evaluate", "--run", "s3://runs/a"], ["export", "--run", "s3://runs/a", "--out", "x"], ["runs", "show", "s3://runs/a"]):
        error = CliRunner().invoke(cli.app, command).exception
        assert "Repair: copy it here first, as in: aws s3 sync s3://runs/a build/copy" in str(error)


# Shards in a store


@pytest.fixture(scope="module")
def far_shards(client, small_shards):
    for path in (*small_shards.tars(), small_shards.path / shard_sets.RECORD):
        client.put_object(Bucket="runs", Key=f"shards/{path.name}", Body=path.read_bytes())
    return webdataset.read("s3://runs/shards").shards


def batches_of(shards, scale):
    stream = data.Stream((data.drawable(shards),), scale.sampling, 0)
    return data.Batches(stream, scale, 0, rank=0, rank_batch_samples=32)


@pytest.mark.parametrize("workers", [0, 1])
def test_loaders_read_from_a_store_what_they_read_from_the_disk(far_shards, small_shards, tiny_scale, workers):
    near, far = (list(data.load(batches_of(shards, tiny_scale), range(2), workers=workers)) for shards in (small_shards, far_shards))
    assert all(one.pixels.equal(other.pixels) and one.tokens.equal(other.tokens) for one, other in zip(near, far, strict=True))


def test_reads_that_fail_are_tried_again(far_shards, small_shards, monkeypatch):
    monkeypatch.setattr(places, "WAITS_S", (0.0,) * 4)
    near = opened(small_shards.tars()[0])
    with stores.failing(["busy", "reset", "cut", "busy"], name="00000000.tar") as met:
        far = opened(places.at("s3://runs/shards/00000000.tar"))
        assert [far.pair(number)[1] for number in range(50)] == [near.pair(number)[1] for number in range(50)]
    assert met == ["busy", "reset", "cut", "busy"]


@pytest.mark.parametrize("fault", ["busy", "reset", "cut"])
def test_a_store_that_keeps_failing_is_an_error_and_no_corrupt_sample(far_shards, tiny_scale, monkeypatch, fault):
    waited = []
    monkeypatch.setattr(places.time, "sleep", waited.append)
    with stores.failing([fault] * 1000, name=".tar") as met, pytest.raises(StageError, match=r"s3://runs/shards/\d+\.tar failed 5 times, at last with"):
        next(data.load(batches_of(far_shards, tiny_scale), range(1), workers=0))
    assert len(met) >= 5  # the library may try a lost connection once more
    assert [wait for wait in waited if wait in places.WAITS_S] == list(places.WAITS_S)


def test_pieces_of_a_pool_s_tar_are_tried_again(far_shards, small_shards, monkeypatch):
    monkeypatch.setattr(places, "WAITS_S", (0.0,) * 4)
    expected = small_shards.tars()[0].read_bytes()[512:2560]
    buffer = memoryview(bytearray(2048))
    with stores.failing(["cut", "busy"], name="00000000.tar") as met:
        reader = opened(places.at("s3://runs/shards/00000000.tar"))._reader
        met.clear()
    with stores.failing(["cut", "busy"], name="00000000.tar") as met:
        reader.read_into(buffer, 512)
    assert bytes(buffer) == expected
    assert met == ["cut", "busy"]
    with pytest.raises(TarError, match="is cut off before byte"):
        reader.read_into(buffer, reader.size - 512)


def test_what_is_not_there_is_not_asked_for_again(client, monkeypatch):
    monkeypatch.setattr(places.time, "sleep", lambda wait: pytest.fail("asked again"))
    with pytest.raises(FileNotFoundError):
        opened(places.at("s3://runs/shards/nothing.tar"))
