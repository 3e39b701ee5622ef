"""datacomp evaluate and datacomp evalsets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datacomp import places
from datacomp.cli import evalsets, options
from datacomp.cli.options import Data, Device, Out, Profile, Sets, Suite, Tasks, Threads

if TYPE_CHECKING:
    from datacomp.artifacts.results import Results
    from datacomp.declared import suite as suites

group = typer.Typer(help="Test sets.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the command and the group."""
    app.command(epilog="Example: datacomp evaluate --run build/run --suite nano")(evaluate)
    app.add_typer(group, name="evalsets")


def evaluate(
    run: Annotated[Path | None, typer.Option("--run", help="Folder of a finished run.", parser=places.here, metavar="FOLDER", show_default=False)] = None,
    checkpoint: Annotated[str, typer.Option("--checkpoint", help="Of the run: last, all, or a number of steps.")] = "last",
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", help="Instead of a run: NAME[/TAG], CONFIG.json, local-dir:FOLDER, hf-hub:OWNER/NAME; may be given several times.", show_default=False
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None, typer.Option("--weights", help="The model's weights, .safetensors; of several models in their order.", show_default=False)
    ] = None,
    suite: Suite = "nano",
    data: Data = None,
    tasks: Tasks = "",
    offline: Annotated[bool, typer.Option("--offline", help="Without --data: fetch no test sets that the cache lacks.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where a model's results go, of several each into its own folder; a run's go into its folder.", show_default=False),
    ] = None,
    templates: Annotated[
        Path | None,
        typer.Option("--templates", help="One's own for one task: {c} on each line for the class. It is no score of the suite.", show_default=False),
    ] = None,
    class_names: Annotated[
        Path | None, typer.Option("--class-names", help="One's own for one task, one a line. It is no score of the suite.", show_default=False)
    ] = None,
    probe: Annotated[bool, typer.Option("--probe", help="A linear probe on the tasks' training splits instead. It is no score of the suite.")] = False,
    device: Device = None,
    threads: Threads = None,
    profile: Profile = "",
) -> None:
    """Evaluate a run or somebody else's model on a suite, or on some of its tasks: then there is no average. Started again, it keeps finished tasks."""
    from datacomp.artifacts import run as runs
    from datacomp.declared import suite as suites
    from datacomp.errors import StageError

    is_foreign = bool(model and out and run is None and checkpoint == runs.LAST)
    is_own = run is not None and not (model or weights or out)
    if not (is_foreign or is_own):
        raise StageError("it is not clear what to evaluate", allowed="--run RUN [--checkpoint last|N|all], or --model MODEL [--weights FILE] --out DIR")
    measured = suites.load(suite)
    names = _names(tasks)
    chosen = measured.chosen(names)
    finished = runs.read(run) if run else None
    from datacomp.cli import asides  # now that there is something to do: these load torch
    from datacomp.evaluate import run as evaluation
    from datacomp.evaluate import subject as subjects
    from datacomp.network import choose
    from datacomp.pipelines import test_sets

    instead = asides.wanted(chosen if names else (), templates, class_names, probe=probe)
    place = run or out
    assert place is not None
    how: dict[str, Any] = {"device": device, "threads": threads, "workers": options.workers(profile, "evaluate", place, None)}
    if finished is None:
        assert out is not None
        networks = choose.several(model or (), weights or ())
        test_data = test_sets.locate(measured, data, names, offline=offline)
        for name, file, found in networks:
            folder = out if len(networks) == 1 else out / found.folder
            if instead:
                instead.measure(subjects.of_model(name, file, folder), test_data, **how)
                continue
            _show(measured, evaluation.evaluate_published(name, file, measured, test_data, folder, tasks=names, **how))
            typer.echo(f"results in {folder}")
        return
    recipe, wanted = finished.record.inputs.recipe(), runs.checkpoints(finished, checkpoint)
    test_data = test_sets.locate(measured, data, names, offline=offline)
    for one in wanted:
        if len(wanted) > 1:
            typer.echo(f"after step {one.step:,}, {one.samples_seen:,} samples seen")
        if instead:
            instead.measure(subjects.of_run(finished, recipe, one), test_data, **how)
            continue
        _show(measured, evaluation.evaluate(finished, recipe, measured, test_data, tasks=names, checkpoint=one, **how))


def _names(tasks: str) -> tuple[str, ...]:
    return tuple(filter(None, tasks.split(",")))


def _show(suite: "suites.Suite", results: "Results") -> None:
    """Print results; the averages only if every task is there."""
    from datacomp.board import evaluated
    from datacomp.cli import tables

    tables.show_results(suite, evaluated.summary(suite, [results.tasks]))
    if unpinned := sum(not task.pinned for task in suite.tasks):
        typer.echo(f"{unpinned} of {len(suite.tasks)} tasks are not pinned: the results name the bytes that were there, no record says which there must be")


@group.command(epilog="Example: datacomp evalsets make --suite nano --out build/evalsets")
def make(out: Out, suite: Suite = "nano") -> None:
    """Draw the test sets of a generated suite, in the published layout."""
    from datacomp.declared import suite as suites
    from datacomp.pipelines import miniature

    measured = suites.load(suite)
    miniature.make_test_sets(measured, out)
    typer.echo(f"{len(measured.tasks)} test sets in {out}")


@group.command("list", epilog="Example: datacomp evalsets list --suite datacomp --data evalsets")
def list_(suite: Suite = "nano", data: Data = None) -> None:
    """Show a suite's tasks: samples, minutes as published for ViT-B/32 on a GPU, and what lies in a folder."""
    from rich.console import Console

    from datacomp.cli import tables
    from datacomp.declared import suite as suites
    from datacomp.evaluate import check as checking

    measured = suites.load(suite)
    headings = ("task", "family", "main metric", "samples", "minutes", "pinned", "GB")
    table = tables.plain(*headings, right=("samples", "minutes", "GB"))
    for task in measured.tasks:
        size = checking.size(data, task) if data else None
        minutes = "" if task.upstream_seconds is None else f"{task.upstream_seconds / 60:.1f}"
        has = "" if data is None else "missing" if size is None else f"{size / 1e9:.2f}"
        table.add_row(task.name, task.family, task.main_metric or "", f"{task.samples:,}", minutes, "yes" if task.pinned else "no", has)
    Console().print(table)


@group.command(epilog="Example: datacomp evalsets check --suite datacomp --data evalsets")
def check(data: Sets, suite: Suite = "nano", tasks: Tasks = "") -> None:
    """Look through test sets: files, members, numbers of samples and of classes. Nothing is evaluated."""
    from datacomp.declared import suite as suites
    from datacomp.errors import DatacompError, StageError
    from datacomp.evaluate import check as checking

    chosen, broken = suites.load(suite).chosen(_names(tasks)), 0
    for task in chosen:
        try:
            content = checking.check(data, task).content_sha256
            typer.echo(f"{task.name}: {task.samples:,} samples, content {content[:12]}…")
        except DatacompError as error:
            broken += 1
            typer.echo(f"{task.name}: {error}")
    if broken:
        raise StageError(f"{broken} of {len(chosen)} test sets do not hold, as said above", repair="make or download them again")


evalsets.add_to(group)
