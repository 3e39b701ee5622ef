"""Jobs on a real Slurm cluster of two nodes: what disturbs them leaves no trace in what they make."""

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import lab
import pytest
import slow_jobs
from folders import content
from networks import write_model

from datacomp import digest
from datacomp.artifacts import run as runs
from datacomp.artifacts import run_folder
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.errors import StageError
from datacomp.evaluate.run import evaluate
from datacomp.filters import apply as applying
from datacomp.filters.apply import apply
from datacomp.launch import jobs, local, profile, queue, slurm
from datacomp.launch.slurm import Step
from datacomp.network import choose
from datacomp.pool import synthetic
from datacomp.reshard.run import Form, reshard
from datacomp.score.run import Settings, score
from datacomp.train.hardware import Hardware
from datacomp.train.run import train

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def cluster():
    with lab.started() as folder:
        yield folder


@pytest.fixture
def site(cluster, tmp_path, monkeypatch):
    """A function that writes a profile and makes its folder the one to submit from."""
    monkeypatch.setenv("SLURM_CONF", str(cluster / "slurm.conf"))
    monkeypatch.chdir(tmp_path)

    def make(**options):
        (tmp_path / "datacomp.toml").write_text(lab.profile(**options))
        return profile.choose()

    yield make
    subprocess.run(["scancel", "--partition=debug,urgent", f"--user={os.getuid()}"], capture_output=True, timeout=60, check=False)


def datacomp(*arguments, code=0):
    """Run a command here to its end; what it says."""
    environment = os.environ | {"PYTHONPATH": str(lab.TESTS.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "datacomp", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=lab.END_S, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def thirty_steps(tiny_scale):
    """The first steps of scale nano, on shards of the tiny scale."""
    budget = scales.Budget(steps=30, global_batch_samples=128, samples_seen=3840, checkpoints=3)
    return scales.load("nano").model_copy(update={"budget": budget, "sampling": tiny_scale.sampling})


FOUR = {"train": {"nodes": 2, "tasks_per_node": 2}}


def submitted(place, scale, shards, out, **slowed):
    """Submit one training job; its number."""
    step = Step("train", "train", slow_jobs.slow_train, {"scale": scale, "shards": shards, "out": out} | slowed, out / runs.RECORD)
    return slurm.submit_chain(place, "test", [step], out, "a test").jobs[0].id


def ended(out, place):
    """Wait for a run's end; its weights' digests, step by step."""

    def look():
        _, _, seen = next(jobs.listed(place.jobs))
        assert seen[0].state in {"done", "runs", "waits"}, seen
        return seen[0].state == "done"

    lab.until(look, f"the run in {out}")
    return [checkpoint.sha256 for checkpoint in runs.read(out).record.checkpoints]


def starts(out):
    """The step at which each start of a run began."""
    return [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines() if '"start"' in line]


@pytest.fixture(scope="module")
def undisturbed(cluster, thirty_steps, small_shards, tmp_path_factory):
    """The weights of four ranks that nobody disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(cluster / "slurm.conf"))
        patch.chdir(folder)
        (folder / "datacomp.toml").write_text(lab.profile(**FOUR))
        place = profile.choose()
        submitted(place, thirty_steps, small_shards, folder / "run")
        return folder / "run", ended(folder / "run", place)


def test_four_ranks_on_two_nodes_have_the_losses_of_one_process(undisturbed, thirty_steps, small_shards, tmp_path):
    alone = train(thirty_steps, (small_shards,), tmp_path / "alone", hardware=Hardware(threads=1, workers=0))
    together = undisturbed[0]
    assert runs.read(together).record.processes == 4
    assert runs.read(together).record.code.sha256 == digest.of_code()
    losses = [[logged.loss for logged in run_folder.read(path).log] for path in (alone.path, together)]
    assert len(losses[1]) >= 3
    assert losses[1][-1] == pytest.approx(losses[0][-1], abs=1e-4)


def kill(rank):
    def disturb(job, _cluster):
        os.kill(lab.ranks(job)[rank], signal.SIGKILL)

    return disturb


def requeue(job, _cluster):
    subprocess.run(["scontrol", "requeue", job], timeout=60, check=True)


def preempt(_job, _cluster):
    urgent = ["sbatch", "--partition=urgent", "--nodes=2", "--ntasks-per-node=4", "--output=/dev/null", "--wrap=sleep 2"]
    subprocess.run(urgent, timeout=60, check=True, capture_output=True)


def lose_power(job, cluster):
    lab.power(cluster, "off", "n2")
    lab.until(lambda: queue.states([job])[job].name in queue.WAITING, "the job to be queued again")
    lab.power(cluster, "on", "n2")


@pytest.mark.slow(minutes=3)
def test_a_training_that_is_disturbed_in_every_way_ends_with_the_same_weights(site, cluster, undisturbed, thirty_steps, small_shards, tmp_path):
    place, out = site(tries=20, **FOUR), tmp_path / "run"
    job = submitted(place, thirty_steps, small_shards, out, step_s=0.4)
    wanted = 0
    for disturb in (kill(0), lose_power, requeue, kill(3), preempt):
        wanted += 3

        def is_on_its_way(wanted=wanted):
            return [path for path in (out / "resume").glob("step_*") if int(path.stem[5:]) >= wanted]

        lab.until(is_on_its_way, f"step {wanted}")
        before = lab.restarts(job)
        disturb(job, cluster)
        lab.until(lambda before=before: lab.restarts(job) > before, f"start {before + 2}")
        wanted = max(int(path.stem[5:]) for path in (out / "resume").glob("step_*"))
    assert ended(out, place) == undisturbed[1]
    steps = starts(out)
    assert len(steps) >= 6
    assert steps == sorted(steps)
    assert steps[1] >= 3, "it went on where it was"


def test_a_training_whose_time_is_over_saves_and_goes_on(site, undisturbed, thirty_steps, small_shards, tmp_path):
    """Slurm looks for jobs to warn twice a minute: this one is warned 80 to 110 seconds after its start, which leaves a busy machine time to begin."""
    place, out = site(time_min=2, warn_s=10, tries=3, **FOUR), tmp_path / "run"
    job = submitted(place, thirty_steps, small_shards, out, step_s=4, slow_starts=1)
    assert ended(out, place) == undisturbed[1]
    assert lab.restarts(job) == 1
    first, second = starts(out)
    assert first == 0 < second, "it went on where it was"


def test_a_job_that_runs_twice_at_once_damages_nothing(site, undisturbed, thirty_steps, small_shards, tmp_path):
    place, out = site(**FOUR), tmp_path / "run"
    step = Step("train", "train", slow_jobs.slow_train, {"scale": thirty_steps, "shards": small_shards, "out": out, "step_s": 0.3}, out / runs.RECORD)
    slurm.submit_chain(place, "test", [step], tmp_path / "one", "a test")
    slurm.submit_chain(place, "test", [step], tmp_path / "another", "a test")
    lab.until((out / runs.RECORD).is_file, "the first of both")
    lab.until(lambda: all(seen[0].state == "done" for _, _, seen in jobs.listed(place.jobs)), "both")
    lab.until(lambda: not queue.ask("squeue", "--noheader"), "both jobs to end")
    assert ended(out, place) == undisturbed[1]
    assert starts(out) == [0]


def test_a_task_that_fails_is_tried_again_alone_and_then_told(site):
    place = site(tries=2, array_tasks=3)
    array = slurm.Array(place, "squares", place.jobs / "out", "a test")
    assert list(local.run_all(slow_jobs.slow_square, range(7), workers=array)) == [number * number for number in range(7)]
    with pytest.raises(StageError, match="failed 2 times"):
        list(local.run_all(slow_jobs.slow_square, [1, 2, "three"], workers=array))
    asked = [job.tasks for _, made, _ in jobs.listed(place.jobs) for job in made.jobs]
    assert asked == [3, 3, 0]  # the second time the one that failed, which is no array


@pytest.fixture(scope="module")
def parted_pool(tmp_path_factory):
    """A pool of four tars, and a list of it."""
    folder = tmp_path_factory.mktemp("parted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "FILE_SAMPLES", 100)
        pool = synthetic.make(pools.load("nano"), folder / "pool", samples=400, workers=1)
    return pool, apply("random", {"fraction": 0.5}, pool, folder / "list.npy")


def test_arrays_make_the_bytes_of_one_machine_also_when_a_node_loses_power(
    site, cluster, parted_pool, tiny_run, tiny_scale, small_suite, tmp_path, monkeypatch
):
    pool, listed = parted_pool
    monkeypatch.setattr(applying, "TASK_ROWS", 100)
    network = choose.one(None, f"local-dir:{write_model(tmp_path / 'model')}", None)
    stages = {
        "filter": lambda out, workers: apply("basic_filter(ftz)", {}, pool, out / "list.npy", workers=workers),
        "reshard": lambda out, workers: reshard(pool, listed, out, Form(50), workers=workers),
        "score": lambda out, workers: score(pool, network, out, Settings("cpu", 64, workers)),
        "evaluate": lambda out, workers: evaluate(run_in(out), tiny_scale, *small_suite, threads=1, workers=workers),
    }

    def run_in(out):
        shutil.copytree(tiny_run.path, out, dirs_exist_ok=True)
        return replace(tiny_run, path=out)

    place = site(array_tasks=4, setup='["sleep 6"]')
    with ThreadPoolExecutor(len(stages)) as threads:
        there = [threads.submit(stage, tmp_path / name, slurm.Array(place, name, tmp_path / name, "a test")) for name, stage in stages.items()]
        lab.until(lambda: len(queue.ask("squeue", "--noheader", "--states=RUNNING", "--nodelist=n2").splitlines()) >= 2, "tasks on both nodes")
        lab.power(cluster, "off", "n2")
        lab.until(lambda: "n2 down" in queue.ask("sinfo", "--noheader", "--Node", "--format=%N %t").replace("*", ""), "the node to be missed")
        lab.power(cluster, "on", "n2")
        for stage in there:
            stage.result(lab.END_S)
    for name, stage in stages.items():
        stage(tmp_path / "here" / name, None if name == "evaluate" else 1)
        assert content(tmp_path / name) == content(tmp_path / "here" / name), name
    assert {job.tasks for _, made, _ in jobs.listed(place.jobs) for job in made.jobs} >= {4}


@pytest.fixture(scope="module")
def smoke_pool(tmp_path_factory):
    """The pool of scale smoke and a list of it."""
    folder = tmp_path_factory.mktemp("smoke")
    pool = synthetic.make(pools.load("smoke"), folder / "pool")
    return pool, apply("random", {"fraction": 0.3}, pool, folder / "list.npy")


def test_one_command_ends_in_a_verified_entry(site, smoke_pool, tmp_path):
    pool, listed = smoke_pool
    site(**FOUR)
    said = datacomp("run", "--scale", "smoke", "--pool", pool.path, "--subset", listed.path, "--author", "me", "--threads", 1)
    assert "runs on Slurm, partition debug: profile 'lab', which datacomp.toml names" in said
    assert "jobs for build/smoke are there already" in datacomp("run", "--scale", "smoke", "--pool", pool.path, "--subset", listed.path, code=1)
    entry = tmp_path / "build" / "smoke" / "entry.json"
    lab.until(lambda: entry.is_file() or "failed" in datacomp("jobs", "list"), "the entry")
    assert "trust level: artefacts checked" in datacomp("verify", entry, "--run", tmp_path / "build" / "smoke" / "seed0")
    assert datacomp("jobs", "list").count(" done") == 4
    assert "all is done" in datacomp("run", "--scale", "smoke", "--pool", pool.path, "--subset", listed.path, "--author", "me", "--threads", 1)


def test_when_a_job_fails_the_rest_is_cancelled_and_one_line_says_why(site, smoke_pool, tmp_path):
    pool, listed = smoke_pool
    site()
    (tmp_path / "build" / "smoke" / "seed0" / "resume").mkdir(parents=True)
    (tmp_path / "build" / "smoke" / "seed0" / "resume" / "step_00000003.safetensors").write_bytes(b"no checkpoint")
    datacomp("run", "--scale", "smoke", "--pool", pool.path, "--subset", listed.path, "--author", "me")
    lab.until(lambda: not queue.ask("squeue", "--noheader"), "the chain to end")
    reshard, train_, evaluate, enter = datacomp("jobs", "list").splitlines()[1:5]
    assert "done" in reshard
    assert "failed" in train_
    assert "step_00000003.safetensors" in train_
    assert "cancelled" in evaluate
    assert "cancelled" in enter
    assert "step_00000003.safetensors" in datacomp("jobs", "log", "--rank", 0)


def test_a_chain_is_cancelled_whole(site, smoke_pool):
    pool, listed = smoke_pool
    site(setup='["sleep 60"]')
    datacomp("run", "--scale", "smoke", "--pool", pool.path, "--subset", listed.path, "--author", "me")
    assert "waits for the job before it" in datacomp("jobs", "list")
    datacomp("jobs", "cancel")
    lab.until(lambda: not queue.ask("squeue", "--noheader"), "the chain to end")
    assert datacomp("jobs", "list").count("cancelled") == 4


def test_what_slurm_refuses_is_told_in_words_and_leaves_no_job(site, smoke_pool):
    pool, listed = smoke_pool
    run = ("run", "--scale", "smoke", "--pool", pool.path, "--subset", listed.path, "--author", "me")
    site(partition='"gpu"')
    said = datacomp(*run, code=1)
    assert "Invalid partition name specified" in said
    assert "Allowed: partition = one of: debug, urgent" in said
    site(train={"nodes": 4})
    assert "lower nodes" in datacomp(*run, code=1)
    assert queue.ask("squeue", "--noheader") == ""
    site(train={"nodes": 5})
    assert "cannot be divided evenly among 5 processes" in datacomp(*run, code=1)


def test_the_scheduler_says_when_it_would_start(site, smoke_pool):
    pool, listed = smoke_pool
    site(**FOUR)
    said = datacomp("run", "--scale", "smoke", "--pool", pool.path, "--subset", listed.path, "--author", "me", "--test-only")
    assert said.count("would start 20") == 4
    assert "train seed 0: would start" in said
    assert queue.ask("squeue", "--noheader") == ""


def test_init_writes_what_sinfo_shows(site):
    site()
    assert "datacomp.toml is there already" in datacomp("init", code=1)
    assert "Slurm has 2 partitions" in datacomp("init", "--overwrite", "--profile", "ours", "--scale", "smoke")
    made = profile.choose()
    assert (made.name, made.profile.partition) == ("ours", "debug")
    assert made.profile.wish("reshard").cpus_per_task == 4
