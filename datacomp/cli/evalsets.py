"""datacomp evalsets download, pin and convert: getting published test sets, and writing down which they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp.cli.options import Out, Sets, Suite, Tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datacomp.evaluate.download import Remote


def add_to(group: typer.Typer) -> None:
    """Add the commands to those on test sets."""
    group.command(epilog="Example: datacomp evalsets download --suite datacomp --data evalsets --tasks cifar10,wilds/fmow")(download)
    group.command(epilog="Example: datacomp evalsets pin --suite datacomp --data evalsets")(pin)
    group.command(epilog="Example: datacomp evalsets convert --from pictures --task stl10 --out evalsets")(convert)


def download(
    data: Sets,
    suite: Suite = "datacomp",
    tasks: Tasks = "",
    revision: Annotated[
        str, typer.Option("--revision", help="Commit, branch or tag of the sets; by default the record's, else the newest.", show_default=False)
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be fetched.")] = False,
) -> None:
    """Bring published test sets from the Hub, whole and checked. Started again, it goes on where it was stopped.

    Nothing of a repository is run: only class names, templates and tars come, or the tables and archives of pictures of which the retrieval sets
    and WinoGAViL are made here. HF_ENDPOINT names another Hub.
    """
    from datacomp.declared import suite as suites
    from datacomp.evaluate import download as downloading

    chosen = suites.load(suite).chosen(tuple(filter(None, tasks.split(","))))
    remotes = downloading.find(chosen, data, revision)
    published = [remote for remote in remotes if remote.files]
    _tell(published)
    typer.echo(f"{downloading.told(published)} to fetch into {data}, {len(chosen) - len(remotes)} are there")
    if dry_run:
        typer.echo("nothing was done: --dry-run")
    else:
        downloading.download(published, data)
    downloading.check_layout(remotes)


def _tell(remotes: "Sequence[Remote]") -> None:
    """Show what is to come."""
    from rich.console import Console

    from datacomp.cli import tables

    table = tables.plain("task", "revision", "files", "GB", right=("files", "GB"))
    for remote in remotes:
        table.add_row(remote.task.name, remote.source.revision[:12], f"{len(remote.files):,}", f"{remote.bytes / 1e9:.3f}")
    if remotes:
        Console().print(table)


def pin(data: Sets, suite: Suite = "datacomp", tasks: Tasks = "") -> None:
    """Write revision and digest of downloaded sets, looked through first, into their tasks' records; in an installed package, print them."""
    from datacomp.declared import suite as suites
    from datacomp.evaluate import pin as pinning

    for pinned in pinning.pin(suites.load(suite).chosen(tuple(filter(None, tasks.split(",")))), data):
        typer.echo(f"{'written into' if pinned.written else 'put these lines at the end of'} {pinned.path}:")
        typer.echo("\n".join(pinned.lines))
    all_tasks = suites.load(suite).tasks
    typer.echo(f"{sum(task.pinned for task in all_tasks)} of {len(all_tasks)} tasks are pinned")


def convert(
    source: Annotated[
        Path, typer.Option("--from", help="A folder of pictures for each class, of parquet tables, or of a .csv and a .zip of the Hub.", show_default=False)
    ],
    task: Annotated[str, typer.Option("--task", help="The task that it is for; families classification, retrieval, winogavil.", show_default=False)],
    out: Out,
    suite: Suite = "datacomp",
    split: Annotated[
        str, typer.Option("--split", help="test, or train for what evaluate --probe trains on: it goes beside the task's test set in --out.")
    ] = "test",
) -> None:
    """Write a task's test set in the published layout from pictures or tables that lie here, and look through it."""
    from datacomp.declared import suite as suites
    from datacomp.errors import StageError
    from datacomp.evaluate import convert as converting

    chosen = suites.load(suite).chosen((task,))[0]
    if split == "test":
        written = converting.convert(source, chosen, out)
        typer.echo(f"{chosen.name}: {chosen.samples:,} samples in {written.path}, content {written.content_sha256[:12]}…")
    elif split == "train":
        written = converting.convert_train(source, chosen, out)
        typer.echo(f"{chosen.name}: training split in {written.path / split}, content {written.content_sha256[:12]}…")
    else:
        raise StageError(f"--split {split} came", allowed="test, train")
