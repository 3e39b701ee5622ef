"""Jobs, chains and arrays on Slurm, through submitit. A script says all that a job is; --dry-run prints it."""

import contextlib
import io
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datacomp import progress
from datacomp.errors import StageError
from datacomp.launch import queue, snapshot, submission, work
from datacomp.launch.profile import Kind, Place
from datacomp.launch.submission import Job, Submission
from datacomp.launch.work import Work

_LOST_S = 90.0  # a job that Slurm does not know and that left no result for so long is lost
_ASK_EVERY_S = 5.0
_NAMES = ("seed", "part", "run")  # arguments that tell a step from others of its kind
_submitting = threading.Lock()  # the stream of errors belongs to all threads


class Step(NamedTuple):
    """A job of a chain."""

    kind: Kind
    says: str
    function: Callable[..., object]
    arguments: dict[str, Any]
    record: Path  # its being there means that the step is done
    after: tuple[int, ...] = ()  # numbers of the steps that must have ended well

    @property
    def is_done(self) -> bool:
        """Whether an earlier call finished it."""
        return self.record.is_file()

    @property
    def what(self) -> str:
        """A short name."""
        return " ".join([self.kind, *(f"{name} {value}" for name, value in self.arguments.items() if name in _NAMES)])


def scripts(place: Place, steps: Sequence[Step]) -> list[tuple[Step, str]]:
    """The script of each step that is not done; where a job's number will stand, its step's name stands."""
    found = []
    for step in steps:
        if not step.is_done:
            after = [steps[before].what.replace(" ", "-") for before in step.after if not steps[before].is_done]
            found.append((step, _script(place, step.kind, step.what, after=after)))
    return found


def array_script(place: Place, what: str) -> str:
    """The script of an array, with as many tasks as the profile cuts work into at most."""
    return _script(place, "array", what, tasks=place.profile.array_tasks)


def _script(place: Place, kind: Kind, what: str, *, after: Sequence[str] = (), tasks: int = 0) -> str:
    from submitit.slurm import slurm

    folder, code = place.jobs.resolve() / "NEW", place.jobs.resolve() / "code" / "DIGEST"
    command = f"{_python(place)} -u -m submitit.core._submit {shlex.quote(str(folder))}"
    text: str = slurm._make_sbatch_string(  # noqa: SLF001 - the only way to see a script that is not submitted
        command=command, folder=folder, map_count=tasks or None, **_parameters(place, kind, what, folder, code, after)
    )
    return text


def when(text: str) -> str:
    """When the scheduler would start a job with this script, in words; what it waits for is left out. Raises StageError where it would refuse it."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "script.sh"
        path.write_text("".join(line for line in text.splitlines(keepends=True) if not line.startswith("#SBATCH --dependency")))
        return queue.when(path)


def _python(place: Place) -> str:
    return " ".join(filter(None, (place.profile.container, shlex.quote(sys.executable))))


def _parameters(place: Place, kind: Kind, what: str, folder: Path, code: Path, after: Sequence[str]) -> dict[str, Any]:
    profile, wish = place.profile, place.profile.wish(kind)
    gpus = f"{wish.gpu_type}:{wish.gpus_per_node}" if wish.gpu_type else wish.gpus_per_node
    options: dict[str, Any] = {"requeue": True}  # after a preemption or the loss of a node, whatever the site's default is
    if after:
        options |= {"dependency": f"afterok:{':'.join(after)}", "kill-on-invalid-dep": "yes"}
    if wish.gpus_per_node and wish.gpus_by == "gpus-per-task":
        options["gpus-per-task"] = f"{wish.gpu_type}:1" if wish.gpu_type else 1
    asked = {
        "job_name": f"datacomp-{what}".replace(" ", "-").replace("/", "-"),
        "partition": wish.partition,
        "account": wish.account,
        "qos": wish.qos,
        "constraint": wish.constraint,
        "nodes": wish.nodes,
        "ntasks_per_node": wish.tasks,
        "cpus_per_task": wish.cpus_per_task,
        "mem": f"{round(wish.mem_gb * 1024)}M" if wish.mem_gb else "",
        "time": wish.time_min,
        "gpus_per_node": gpus if wish.gpus_by == "gpus-per-node" else 0,
        "gres": f"gpu:{gpus}" if wish.gpus_per_node and wish.gpus_by == "gres" else "",
        "signal_delay_s": min(wish.warn_s, wish.time_min * 30),
        "array_parallelism": profile.array_parallel,
        "srun_args": ["--kill-on-bad-exit=1", *([f"--cpus-per-task={wish.cpus_per_task}"] if wish.cpus_per_task else [])],
        "setup": [
            *(f"module load {shlex.quote(module)}" for module in profile.modules),
            *(f"export {name}={shlex.quote(value)}" for name, value in profile.environment.items()),
            *profile.setup,
            f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}",
        ],
        "teardown": _start_again(folder, profile.tries) if kind != "array" else [],  # whoever waits for an array submits its tasks again
        "additional_parameters": options | wish.sbatch,
    }
    return {name: value for name, value in asked.items() if value} | {"wckey": None}


def _start_again(folder: Path, tries: int) -> list[str]:
    """The end of a job's script: what was stopped, or failed, goes back into the queue, unless a user has to repair something or it failed too often."""
    job = "${SLURM_JOB_ID}"
    names = (work.refusal(folder, job).name, work.stopped(folder, job).name, f"{job}_failures")
    refused, stopped, failures = (f"{shlex.quote(str(folder))}/{name}" for name in names)
    return [
        "code=$?",
        f"if [ $code -ne 0 ] && [ ! -e {refused} ]; then",
        f"  rm {stopped} 2>/dev/null || echo $code >> {failures}",
        f"  [ $(cat {failures} 2>/dev/null | wc -l) -ge {tries} ] || {{ scontrol requeue $SLURM_JOB_ID && sleep 60; }}",
        "fi",
        "exit $code",
    ]


def submit_chain(place: Place, what: str, steps: Sequence[Step], out: Path, command: str) -> Submission:
    """Submit the steps that are not done, each after those that it needs; when one fails, Slurm cancels what follows.

    Raises StageError where jobs for the same `out` are still there, and where Slurm refuses one: the others are cancelled then.
    """
    _check(place, out)
    if all(step.is_done for step in steps):
        return _submission(place, what, out, command, ())
    folder, code = submission.folder(place.jobs, what), snapshot.take(place.jobs / "code")
    ids: dict[int, str] = {}
    jobs: list[Job] = []
    try:
        for number, step in enumerate(steps):
            if step.is_done:
                continue
            after = [ids[before] for before in step.after if before in ids]
            asked = Work(step.function, step.arguments, tuple(steps[before].record for before in step.after))
            ids[number] = _submit(place, step.kind, step.what, folder, code, [asked], after)[0].job_id
            jobs.append(Job(id=ids[number], what=step.what, record=str(step.record)))
    except BaseException:
        queue.cancel(ids.values())
        raise
    made = _submission(place, what, out, command, jobs)
    made.write(folder / submission.RECORD)
    return made


def _submission(place: Place, what: str, out: Path, command: str, jobs: Sequence[Job]) -> Submission:
    return Submission(what=what, profile=place.name, out=str(out.resolve()), command=command, jobs=tuple(jobs))


def _check(place: Place, out: Path) -> None:
    if not queue.is_here():
        raise StageError(f"profile {place.name!r} wants Slurm, and sbatch is not on this machine", repair="submit where sbatch is, or choose --profile here")
    for name, earlier in submission.below(place.jobs):
        if earlier.out == str(out.resolve()):
            known = queue.states(job.id for job in earlier.jobs)
            if any(not state.is_over for state in known.values()):
                raise StageError(f"jobs for {out} are there already: {name}", repair=f"wait for them (datacomp jobs list), or: datacomp jobs cancel {name}")


def _submit(place: Place, kind: Kind, what: str, folder: Path, code: Path, asked: Sequence[Work], after: Sequence[str] = ()) -> list[Any]:
    """Submit one job, or an array of several tasks; submitit's jobs. Raises StageError in words where Slurm refuses."""
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor = submitit.SlurmExecutor(folder, max_num_timeout=0, python=_python(place))
    executor.update_parameters(**_parameters(place, kind, what, folder, code, after))
    try:
        with _submitting, contextlib.redirect_stderr(io.StringIO()):  # what sbatch says is told once, below
            jobs: list[Any] = executor.submit_array(list(asked)) if len(asked) > 1 else [executor.submit(asked[0])]
    except (FailedJobError, FailedSubmissionError) as error:
        raise queue.refused(str(error)) from None
    return jobs


class Array:
    """Answers tasks by arrays of jobs, for `local.run_all`: what a stage's processes do here, jobs do there."""

    def __init__(self, place: Place, what: str, out: Path, command: str) -> None:
        _check(place, out)
        self._place, self._what, self._out, self._command = place, what, out, command
        self._begun: tuple[Path, Path] | None = None  # the jobs' folder and the copy of the code, once there is something to submit
        self._jobs: list[Job] = []
        self.most_tasks = max(1, place.profile.array_tasks)

    def map(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Any]:
        """Yield function(task) for each task, in order. A share of the tasks that failed is submitted again, alone, as often as the profile says.

        Raises the error of a task that refused, and StageError for a share that failed too often.
        """
        size = -(-len(tasks) // self.most_tasks)
        shares = [tasks[start : start + size] for start in range(0, len(tasks), size)]
        running = _Running(self._submit, [Work(work.answer, {"function": function, "tasks": share}) for share in shares], self._place.profile.tries)
        try:
            for number in range(len(shares)):
                yield from running.answers(number)
        except BaseException:
            queue.cancel(running.ids())
            raise

    def _submit(self, asked: Sequence[Work]) -> list[Any]:
        self._begun = self._begun or (submission.folder(self._place.jobs, self._what), snapshot.take(self._place.jobs / "code"))
        jobs = _submit(self._place, "array", self._what, *self._begun, asked)
        self._jobs.append(Job(id=jobs[0].job_id.partition("_")[0], what=self._what, record="", tasks=len(jobs) if len(jobs) > 1 else 0))
        _submission(self._place, self._what, self._out, self._command, self._jobs).write(self._begun[0] / submission.RECORD)
        return jobs


class _Running:
    """Shares of tasks that are being answered by jobs."""

    def __init__(self, submit: Callable[[Sequence[Work]], list[Any]], asked: Sequence[Work], tries: int) -> None:
        self._submit, self._asked, self._tries = submit, asked, tries
        self._tried = [0] * len(asked)
        self._answers: dict[int, list[Any]] = {}
        self._jobs: dict[int, Any] = {}  # submitit's, by the share's number
        self._silent_since: dict[int, float] = {}
        self._asked_at = self._told = 0.0
        self._start(range(len(asked)))

    def ids(self) -> list[str]:
        """Jobs that are not known to have ended."""
        return [job.job_id for job in self._jobs.values()]

    def answers(self, number: int) -> list[Any]:
        """Wait for one share's answers."""
        while number not in self._answers:
            self._look()
            if number not in self._answers:
                time.sleep(0.5)
        return self._answers.pop(number)

    def _start(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._tried[number] += 1
            if self._tried[number] > self._tries:
                log = self._jobs[number].paths.stderr
                raise StageError(f"a task failed {self._tries} times; its log is {log}", repair="look at the log; the same command goes on where it was")
        self._jobs |= dict(zip(numbers, self._submit([self._asked[number] for number in numbers]), strict=True))

    def _look(self) -> None:
        failed = []
        for number, job in list(self._jobs.items()):
            if job.paths.result_pickle.is_file():
                outcome, result = job._get_outcome_and_result()  # noqa: SLF001 - result() asks accounting, which may be missing
                if outcome == "success":
                    self._answers[number] = result
                    del self._jobs[number]
                else:
                    failed.append(number)
        failed += self._ended(set(self._jobs) - set(failed))
        for number in failed:
            if error := work.refused(self._jobs[number].paths.folder, self._jobs[number].job_id):
                raise error
        if failed:
            self._start(failed)

    def _ended(self, waiting: set[int]) -> list[int]:
        """Shares whose jobs are over without a result, as far as Slurm knows; one that it does not know gets some time to leave one."""
        now = time.monotonic()
        if not waiting or now - self._asked_at < _ASK_EVERY_S:
            return []
        self._asked_at = now
        states = queue.states(self._jobs[number].job_id for number in waiting)
        over = []
        for number in waiting:
            state = states.get(self._jobs[number].job_id)
            if state is not None and not state.is_over:
                self._silent_since.pop(number, None)
                continue
            limit = _LOST_S if state is None or state.name == "COMPLETED" else 2 * _ASK_EVERY_S  # a result may appear late
            if now - self._silent_since.setdefault(number, now) >= limit:
                self._silent_since.pop(number)
                over.append(number)
        self._tell(states, now)
        return sorted(over)

    def _tell(self, states: dict[str, queue.State], now: float) -> None:
        waiting = [state for state in states.values() if state.name in queue.WAITING]
        if waiting and now - self._told > 60:
            self._told = now
            progress.say(f"{len(waiting):,} of {len(states):,} jobs wait: {waiting[0].words()}")
