"""What datacomp evaluate measures instead of a suite's tasks as the suite says: with prompts of one's own, or by a linear probe."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import typer
from rich.console import Console

from datacomp.cli import tables
from datacomp.declared.suite import Task
from datacomp.errors import StageError
from datacomp.evaluate import probe as probing
from datacomp.evaluate import prompts as prompting
from datacomp.evaluate.aside import Aside, How
from datacomp.evaluate.prompts import Prompts
from datacomp.evaluate.subject import Subject
from datacomp.launch.local import Workers

_OUTSIDE = "no score of the suite, in no average and in no entry"


class Instead(NamedTuple):
    """Some tasks, and one's own prompts for the only one, or none for a linear probe of each."""

    tasks: Sequence[Task]
    prompts: Prompts | None

    def measure(self, subject: Subject, data: Path, *, device: str | None, threads: int | None, workers: Workers) -> None:
        """Measure all of them and print what was found."""
        how = How(device, threads)
        if self.prompts:
            prompted, path = prompting.evaluate(subject, self.tasks[0], self.prompts, data, how=how, workers=workers)
            typer.echo(f"own prompts: {len(prompted.templates)} templates, {len(prompted.class_names)} class names; {_OUTSIDE}")
            _show(self.tasks[0], prompted, path)
            return
        probing.check(self.tasks, data)
        for task in self.tasks:
            probed, path = probing.evaluate(subject, task, data, how=how, workers=workers)
            typer.echo(f"linear probe: {probed.train_samples:,} training samples, L2 strength {probed.l2_strength:.2g}; {_OUTSIDE}")
            _show(task, probed, path)


def wanted(named: Sequence[Task], templates: Path | None, class_names: Path | None, *, probe: bool) -> Instead | None:
    """What is to be measured instead of the suite's scores, None where they are wanted.

    Raises StageError for both at once, and where the tasks that were named by --tasks do not fit.
    """
    if not (probe or templates or class_names):
        return None
    if probe and (templates or class_names):
        raise StageError("--probe came with prompts, which it does not look at", repair="leave --templates and --class-names away, or --probe")
    if probe:
        if not named:
            raise StageError("--probe came without tasks", repair="name those that have a training split: --tasks NAME,NAME")
        return Instead(named, None)
    if len(named) != 1:
        raise StageError(f"--templates and --class-names are for one task, --tasks names {len(named)}", repair="name it: --tasks NAME")
    return Instead(named, prompting.read(named[0], templates, class_names))


def _show(task: Task, found: Aside, path: Path) -> None:
    """Print the metrics that have a standard error; the file has all."""
    table = tables.plain(task.title, "value", right=("value",))
    for name, error in found.standard_errors.items():
        table.add_row(name, f"{found.metrics[name]:.4f} ± {error:.4f}")
    Console().print(table)
    typer.echo(f"in {path}")
