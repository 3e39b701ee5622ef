"""Where work runs, what a job's script says, and what Slurm says in words: without a cluster."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from datacomp import digest, files
from datacomp.board.enter import About
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.errors import BusyError, RecordError, StageError
from datacomp.filters.apply import apply
from datacomp.launch import init, jobs, local, profile, queue, slurm, snapshot, stopping, submission, work
from datacomp.launch.queue import State
from datacomp.launch.submission import Job, Submission
from datacomp.launch.work import Work
from datacomp.pipelines.run import Chain

GOLDEN = Path(__file__).parent / "golden" / "slurm"
PROFILES = {
    "gpus": """
where = "slurm"
partition = "gpu"
account = "vision"
qos = "long"
time_min = 1440
modules = ["cuda/12.4", "gcc"]
[profiles.gpus.train]
nodes = 4
gpus_per_node = 8
gpu_type = "h100"
cpus_per_task = 12
mem_gb = 900
[profiles.gpus.evaluate]
gpus_per_node = 1
cpus_per_task = 12
[profiles.gpus.reshard]
partition = "cpu"
cpus_per_task = 64
""",
    "gres": """
where = "slurm"
constraint = "a100&ib"
time_min = 2880
warn_s = 300
tries = 10
container = "apptainer exec --nv /images/torch 2.sif"
environment = { NCCL_DEBUG = "WARN", GREETING = "it's me" }
setup = ["ulimit -n 65536"]
sbatch = { mail-type = "END,FAIL", exclusive = "user", reservation = "benchmark" }
[profiles.gres.train]
nodes = 2
gpus_per_node = 4
gpus_by = "gres"
[profiles.gres.evaluate]
gpus_per_node = 1
gpus_by = "gres"
""",
    "each": """
where = "slurm"
partition = "booster"
account = "p1234"
time_min = 1200
cpus_per_task = 4
[profiles.each.train]
nodes = 16
gpus_per_node = 4
gpu_type = "gh200"
gpus_by = "gpus-per-task"
cpus_per_task = 72
[profiles.each.evaluate]
gpus_per_node = 1
gpus_by = "gpus-per-task"
""",
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A function that writes datacomp.toml into the folder that commands then run in."""
    monkeypatch.chdir(tmp_path)
    return lambda text="": (tmp_path / "datacomp.toml").write_text(text)


def chain(scale, out, seeds=(0,)):
    return Chain(scales.load(scale), Path("pool"), Path("list.npy"), About(method="a list", author="me"), out, suites.load("nano"), seeds=seeds)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("scale", ["medium", "large", "xlarge"])
def test_the_scripts_of_a_chain_are_these(name, scale, site, tmp_path, request):
    site(f"[profiles.{name}]\n{PROFILES[name]}")
    place = profile.choose(name)
    steps = chain(scale, Path("build") / scale, seeds=(0, 1) if scale == "medium" else (0,)).steps()
    texts = [f"=== {step.what} ===\n{text}\n" for step, text in slurm.scripts(place, steps)]
    found = "".join(texts).replace(str(tmp_path), "/site").replace(sys.executable, "/env/bin/python")
    golden = GOLDEN / f"{scale}-{name}.txt"
    if os.environ.get("DATACOMP_WRITE_GOLDENS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(found)
    assert found == golden.read_text()


def test_an_array_is_shown_with_its_tasks_and_their_limit(site):
    site('[profiles.gpus]\nwhere = "slurm"\narray_tasks = 100\narray_parallel = 7\n')
    text = slurm.array_script(profile.choose("gpus"), "filter")
    assert "#SBATCH --array=0-99%7" in text
    assert "%A_%a" in text
    assert "scontrol requeue" not in text, "whoever waits for it submits what failed again"


def test_a_step_that_is_done_gets_no_script_and_is_not_waited_for(site, tmp_path):
    site(f"[profiles.gpus]\n{PROFILES['gpus']}")
    (tmp_path / "out" / "shards").mkdir(parents=True)
    (tmp_path / "out" / "shards" / "shards.json").write_text("{}")
    scripts = {step.what: text for step, text in slurm.scripts(profile.choose("gpus"), chain("medium", tmp_path / "out").steps())}
    assert list(scripts) == ["train seed 0", "evaluate seed 0", "enter"]
    assert "--dependency" not in scripts["train seed 0"]
    assert "--dependency=afterok:train-seed-0" in scripts["evaluate seed 0"]


def test_a_number_of_processes_that_does_not_divide_the_batch_is_refused_before_anything_is_submitted(site, small_pool, tmp_path):
    listed = apply("no_filter", {}, small_pool, tmp_path / "list.npy")
    site(f"[profiles.gpus]\n{PROFILES['gpus'].replace('nodes = 4', 'nodes = 3')}")
    asked = replace(chain("large", tmp_path), pool=small_pool.path, subset=listed.path)
    with pytest.raises(StageError, match="cannot be divided evenly among 24 processes"):
        asked.check(profile.choose("gpus"))


def test_without_a_file_work_runs_here_and_says_so(site):
    assert profile.choose().told() == "runs on this machine: there is no datacomp.toml here"
    site('profile = "here"\n')
    assert profile.choose().told() == "runs on this machine: no profile is chosen in datacomp.toml"
    site(f'profile = "gpus"\n[profiles.gpus]\n{PROFILES["gpus"]}')
    assert profile.choose().told() == "runs on Slurm, partition gpu: profile 'gpus', which datacomp.toml names"
    assert profile.choose("here").told() == "runs on this machine: as asked for"


def test_srun_on_the_path_alone_makes_nothing_a_job(site, tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, srun="exit 1", sbatch="exit 1")
    assert not profile.choose().is_slurm


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('profile = "gpu"\n', "no profile is called 'gpu'.*Allowed: here.*datacomp init --profile gpu"),
        ('[profiles.a]\nwhere = "cloud"\n', "profiles.a.where"),
        ('[profiles.a]\nwhere = "slurm"\npartitions = "x"\n', "profiles.a.partitions"),
        ("pool = 3\n", "pool"),
        ("pool = \n", "is not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(text, message, site):
    site(text)
    with pytest.raises((StageError, RecordError), match=message):
        profile.choose()


def test_an_unknown_key_for_one_kind_of_job_is_named(site):
    site('[profiles.a]\nwhere = "slurm"\n[profiles.a.train]\nnode = 2\n')
    with pytest.raises(RecordError, match=r"table train of a profile in datacomp\.toml.*node"):
        profile.choose("a").profile.wish("train")


def test_a_missing_value_is_named_with_the_line_that_sets_it(site):
    with pytest.raises(StageError, match=r'pool is missing. Repair: give --pool FOLDER, or write a line pool = "build/demo/pool" into datacomp.toml'):
        profile.needed(None, "pool", option="--pool FOLDER", example="build/demo/pool")
    site('pool = "here"\n')
    assert profile.needed(None, "pool", option="--pool FOLDER", example="x") == "here"
    assert profile.needed("there", "pool", option="--pool FOLDER", example="x") == "there"


def fake(folder, monkeypatch, **commands):
    """Put commands that say what they are to say first on the path."""
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    for name, script in commands.items():
        (place / name).write_text(f"#!/bin/bash\n{script}\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")


SINFO = 'echo "cpu*|40|64|257000|(null)|2-00:00:00"; echo "gpu|8+|96|1031000|gpu:h100:8(S:0-1)|12:30:00"'


def test_init_describes_the_cluster_as_sinfo_does(site, tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, sinfo=SINFO)
    init.write({"pool": "p", "subset": "", "scale": "medium"}, "ours")
    made = profile.choose()
    assert (made.name, made.profile.partition, made.profile.time_min) == ("ours", "gpu", 750)
    train = made.profile.wish("train")
    assert (train.gpus_per_node, train.gpu_type, train.cpus_per_task, train.processes) == (8, "h100", 12, 8)
    assert made.profile.wish("evaluate").gpus_per_node == 1
    assert (profile.settings().pool, profile.settings().subset, profile.settings().scale) == ("p", "", "medium")
    with pytest.raises(StageError, match="is there already"):
        init.write({}, "ours")


def test_init_without_a_cluster_stays_here(site):
    init.write({"pool": "p"}, "ours")
    assert profile.choose().name == "here"


@pytest.mark.parametrize(("limit", "minutes"), [("infinite", 1440), ("2-00:00:00", 1440), ("12:30:00", 750), ("30:00", 30), ("n/a", 1440)])
def test_time_limits_are_minutes(limit, minutes):
    assert init._minutes(limit) == minutes


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified", "correct account in datacomp.toml"),
        ("sbatch: error: invalid partition specified: gpus", "Allowed: partition = one of: cpu, gpu"),
        ("sbatch: error: Batch job submission failed: Invalid qos specification", "correct qos"),
        (
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "allows no more, or no larger, jobs now",
        ),
        ("sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)", "lower time_min"),
        ("sbatch: error: Batch job submission failed: Requested node configuration is not available", "lower nodes, gpus_per_node"),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\nsbatch: error: Resource temporarily unavailable", "queue is full"),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", "controller does not answer"),
        ("sbatch: unrecognized option '--foo=1'", "correct table sbatch"),
        ("something new", "--dry-run prints the script"),
    ],
)
def test_a_refusal_of_slurm_names_the_line_to_change(said, words, tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, sinfo=SINFO)
    assert words in str(queue.refused(said))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State("PENDING", "Priority"), "jobs with a higher priority come first"),
        (State("PENDING", "Resources", "2026-11-22 10:00:00"), "the nodes that it needs are busy; expected to start 2026-11-22 10:00:00"),
        (State("PENDING", "QOSMaxGRESPerUser"), "a limit of your account or QOS is reached"),
        (State("PENDING", "ReqNodeNotAvail, UnavailableNodes:n[1-3]"), "a node that it asks for is down or reserved"),
        (State("PENDING", "SomethingNew"), "Slurm says SomethingNew"),
        (State("RUNNING", nodes="n[1-2]"), "on n[1-2]"),
        (State("TIMEOUT"), "its time was over"),
        (State("PREEMPTED"), "gave way to a more urgent job"),
        (State("OUT_OF_MEMORY"), "it needed more memory than mem_gb in datacomp.toml gives"),
        (State("COMPLETED"), ""),
        (State("STRANGE"), "Slurm says STRANGE"),
    ],
)
def test_states_are_told_in_words(state, words):
    assert state.words() == words
    assert state.is_over == (state.name not in {"PENDING", "RUNNING"})


def test_states_come_from_the_queue_and_for_forgotten_jobs_from_accounting(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, squeue='echo "7_0|RUNNING|None|N/A|n1"; echo "7_1|PENDING|Resources|2026-11-22T10:00:00|"', sacct='echo "8|CANCELLED by 0|n2"')
    assert queue.states(["7_0", "7_1", "8"]) == {
        "7_0": State("RUNNING", "None", nodes="n1"),
        "7_1": State("PENDING", "Resources", "2026-11-22 10:00:00"),
        "8": State("CANCELLED", nodes="n2"),
    }


def test_without_accounting_a_forgotten_job_is_unknown(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, squeue="echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", sacct="echo disabled >&2; exit 1")
    assert queue.states(["9"]) == {}


def test_a_command_that_hangs_is_ended(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, scancel="exec sleep 30", squeue="exec sleep 30")
    monkeypatch.setattr(queue, "PATIENCE_S", 0.2)
    assert queue.states(["9"]) == {}
    with pytest.raises(StageError, match="scancel did not answer"):
        queue.cancel(["9"])


def test_without_slurm_a_profile_that_wants_it_is_an_error(site, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    site('[profiles.a]\nwhere = "slurm"\n')
    with pytest.raises(StageError, match="sbatch is not on this machine"):
        slurm.submit_chain(profile.choose("a"), "x", [], tmp_path / "out", "")
    with pytest.raises(StageError, match="scancel is not on this machine"):
        queue.cancel(["1"])


@pytest.fixture
def in_a_job(monkeypatch, tmp_path):
    monkeypatch.setenv("SUBMITIT_FOLDER", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setattr(stopping, "listen", lambda: None)
    monkeypatch.setattr(files, "patience_s", 0.0)
    return tmp_path


def refuse():
    raise StageError("no room", repair="make room")


def stop():
    raise stopping.Stopped("stopped")


def test_a_job_leaves_why_it_refused(in_a_job):
    with pytest.raises(StageError, match="no room"):
        Work(refuse, {})()
    assert str(work.refused(in_a_job, "12")) == "no room. Repair: make room."
    assert work.refused(in_a_job, "13") is None


def test_a_job_that_was_stopped_in_time_says_so(in_a_job):
    with pytest.raises(SystemExit):
        Work(stop, {})()
    assert work.stopped(in_a_job, "12").is_file()


def test_a_record_that_appears_late_is_waited_for_but_not_for_ever(in_a_job, monkeypatch):
    looks = iter([False, False, True])
    monkeypatch.setattr(Path, "is_file", lambda _: next(looks))
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    files.await_file(in_a_job / "record.json")
    monkeypatch.setattr(Path, "is_file", lambda _: False)
    monkeypatch.setattr(files, "LATE_S", 0.01)
    with pytest.raises(StageError, match=r"record.json does not appear"):
        files.await_file(in_a_job / "record.json")


def test_several_processes_of_a_job_find_each_other_anew_at_each_start():
    given = {
        "SLURM_NTASKS": "4",
        "SLURM_JOB_ID": "12",
        "SLURM_PROCID": "3",
        "SLURM_LOCALID": "1",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1",
    }
    first, second = work._rendezvous(given), work._rendezvous(given | {"SLURM_RESTART_COUNT": "1"})
    assert {name: value for name, value in first.items() if name != "MASTER_PORT"} == {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "10.0.0.1",
    }
    assert first["MASTER_PORT"] != second["MASTER_PORT"]
    assert work._rendezvous({"SLURM_NTASKS": "1"}) == {}


def test_a_second_writer_waits_as_long_as_it_has_patience(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LOOK_AGAIN_S", 0.01)
    with files.writing(tmp_path), pytest.raises(BusyError), files.writing(tmp_path):
        pass
    monkeypatch.setattr(files, "patience_s", 60.0)
    tries = iter([False, False])
    real = files._lock
    monkeypatch.setattr(files, "_lock", lambda file, *, wait: next(tries, None) is None and real(file, wait=wait))
    with files.writing(tmp_path):
        assert next(tries, None) is None


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with files.whole(tmp_path / "file") as one, files.whole(tmp_path / "file") as other:
        one.write_text("one")
        other.write_text("other")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "one"


def test_the_copy_of_the_code_is_the_code(tmp_path):
    place = snapshot.take(tmp_path / "code")
    script = "from datacomp import digest, rooms; print(digest.of_code(), rooms.tracks())"
    said = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(place)}, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert said.stdout.split() == [digest.of_code(), str(place / "datacomp" / "_rooms" / "tracks")]
    assert snapshot.take(tmp_path / "code") == place


class _Elsewhere:
    most_tasks = 2

    def map(self, function, tasks):
        yield from (("elsewhere", function(task)) for task in tasks)


def test_tasks_go_where_the_workers_are():
    assert list(local.run_all(abs, [-1], workers=_Elsewhere())) == [("elsewhere", 1)]
    assert list(local.run_all(abs, [-1], workers=1)) == [1]
    assert local.here(_Elsewhere()) is None
    assert local.here(3) == 3


def submitted(folder, *made):
    Submission(what="a chain", profile="a", out=str(folder / "out"), command="datacomp run", jobs=made).write(folder / "jobs" / "one" / submission.RECORD)
    return folder / "jobs"


def seen(place):
    return [(one.state, one.words) for _, _, found in jobs.listed(place) for one in found]


def test_jobs_are_told_by_what_they_left_and_by_what_slurm_says(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, squeue='echo "2|RUNNING|None|N/A|n1"; echo "3|PENDING|Dependency|N/A|"; echo "4|FAILED|NonZeroExitCode|N/A|n1"', sacct="exit 1")
    (tmp_path / "done.json").write_text("{}")
    place = submitted(
        tmp_path,
        Job(id="1", what="reshard", record=str(tmp_path / "done.json")),
        *(Job(id=number, what="train", record=str(tmp_path / "no.json")) for number in ("2", "3", "4", "5")),
    )
    (place / "one" / "4_0_log.err").write_text("train: 3 %\nTraceback (most recent call last):\nRuntimeError: out of memory on n1\nsrun: ended\n")
    assert seen(place) == [
        ("done", ""),
        ("runs", "on n1"),
        ("waits", "waits for the job before it"),
        ("failed", "RuntimeError: out of memory on n1"),
        ("lost", "Slurm does not know it any more, and it left nothing"),
    ]
    files.write_text(work.refusal(place / "one", "4"), json.dumps({"what": "no room", "allowed": "", "repair": "make room"}))
    assert seen(place)[3] == ("failed", "no room. Repair: make room.")


def test_submissions_are_found_by_name_by_number_or_as_the_newest(tmp_path):
    place = submitted(tmp_path, Job(id="7", what="train", record=""))
    assert jobs.one(place, "")[0] == jobs.one(place, "7")[0] == jobs.one(place, "one")[0] == "one"
    with pytest.raises(StageError, match="no jobs are called 'two'"):
        jobs.one(place, "two")
    with pytest.raises(StageError, match="holds no jobs"):
        jobs.one(tmp_path / "nowhere", "")
