"""datacomp jobs: what was submitted to Slurm, and what became of it."""

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(help="Jobs on a Slurm cluster.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A name that jobs list shows, or a job's number; by default the newest.")]
Folder = Annotated[Path | None, typer.Option("--jobs", help="Folder of the jobs, by default that of datacomp.toml.", show_default=False)]
Rank = Annotated[int | None, typer.Option("--rank", help="Only this process, or this task of an array.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="jobs")


@group.command("list", epilog="Example: datacomp jobs list")
def list_jobs(folder: Folder = None) -> None:
    """List what was submitted, the newest first: done, running, waiting or failed, and why."""
    from datacomp.launch import jobs

    place = _folder(folder)
    for name, made, seen in jobs.listed(place):
        typer.echo(f"{name}  -> {made.out}  (profile {made.profile})")
        for one in seen:
            typer.echo(f"  {one.job.id:>8}  {one.job.what:20}  {one.state:9}  {one.words}".rstrip())


@group.command(epilog="Example: datacomp jobs log 4711 --rank 0")
def log(name: Name = "", rank: Rank = None, lines: Annotated[int, typer.Option("--lines", help="Of each log.")] = 20, folder: Folder = None) -> None:
    """Show the ends of the logs of all processes."""
    from datacomp.launch import jobs

    place = _folder(folder)
    known, made = jobs.one(place, name)
    for job in made.jobs:
        if name.isdigit() and job.id != name:
            continue
        for path in jobs.logs(place / known, job):
            if rank is None or f"_{rank}_" in path.name.removeprefix(job.id):
                typer.echo(f"--- {job.what}: {path} ---")
                typer.echo("\n".join(jobs.tail(path).splitlines()[-lines:]))


@group.command(epilog="Example: datacomp jobs cancel 20261121-101500-medium-best")
def cancel(name: Name = "", folder: Folder = None) -> None:
    """Cancel all jobs of a submission."""
    from datacomp.launch import jobs, queue

    known, made = jobs.one(_folder(folder), name)
    queue.cancel(job.id for job in made.jobs)
    typer.echo(f"cancelled {', '.join(job.id for job in made.jobs)} of {known}")


def _folder(given: Path | None) -> Path:
    from datacomp.launch import profile

    return given or Path(profile.settings().jobs)
