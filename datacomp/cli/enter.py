"""datacomp enter and datacomp verify."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp import places
from datacomp.cli import options
from datacomp.cli.options import Author, Data, Description, Device, Inspected, LeftOut, Links, Method, Out, RunBy, Sources, Suite, Threads, Track

if TYPE_CHECKING:
    from datacomp.board.verify import Check


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: datacomp enter --run build/run --track filtering --method 'CLIP score' --author me --out entry.json")(enter)
    app.command(epilog="Example: datacomp verify entry.json --run build/run")(verify)


def enter(
    run: Annotated[
        list[Path],
        typer.Option("--run", help="Folder of a finished, evaluated run; one for each seed.", parser=places.here, metavar="FOLDER", show_default=False),
    ],
    method: Method,
    author: Author,
    out: Out,
    track: Track = "filtering",
    suite: Suite = "nano",
    run_by: RunBy = "",
    description: Description = "",
    link: Links = None,
    sources: Sources = None,
    left_out: LeftOut = None,
    inspected: Inspected = None,
) -> None:
    """Write the entry of one or several runs of one list."""
    from datacomp.artifacts import run as runs
    from datacomp.board import enter as entering
    from datacomp.cli import tables
    from datacomp.declared import suite as suites
    from datacomp.declared import track as tracks

    about = options.about(method, author, run_by, description, link, sources, track, left_out=left_out, inspected=inspected)
    entry = entering.enter([runs.read(folder) for folder in run], suites.load(suite), tracks.load(track), about)
    entry.write(out)
    tables.show_entries([entry])


def verify(
    entry: Annotated[Path, typer.Argument(help="An entry, .json.")],
    run: Annotated[list[Path] | None, typer.Option("--run", help="Folder of the run behind it; one for each seed.", show_default=False)] = None,
    subset: Annotated[list[Path] | None, typer.Option("--subset", help="Its list, .npy, if not in shards beside the run.", show_default=False)] = None,
    pool: Annotated[Path | None, typer.Option("--pool", help="Folder of the pool, which must hold every uid of the list.", show_default=False)] = None,
    among: Annotated[Path | None, typer.Option("--among", help="Folder of earlier entries, which it must not repeat.", show_default=False)] = None,
    rerun_eval: Annotated[str, typer.Option("--rerun-eval", help="Evaluate these tasks again from the checkpoint, NAME,NAME.", show_default=False)] = "",
    rerun_train: Annotated[int, typer.Option("--rerun-train", min=0, help="Train so many first steps again; compare with the submitted losses.")] = 0,
    shards: Annotated[list[str] | None, typer.Option("--shards", help="Training shards for --rerun-train, in the run's order.", show_default=False)] = None,
    data: Data = None,
    device: Device = None,
    threads: Threads = None,
    record: Annotated[
        Path | None, typer.Option("--record", help="Write what it reached as a record for the board, NAME.verification.json.", show_default=False)
    ] = None,
    verified_by: Annotated[str, typer.Option("--verified-by", help="Who vouches for it in that record.", show_default=False)] = "",
) -> None:
    """Check an entry against rules and records, with --run also against the run's files, with --rerun-eval and --rerun-train by making parts of it again."""
    from datacomp.board import repeats, verifications
    from datacomp.board import verify as verifying
    from datacomp.board.verify import Beside
    from datacomp.errors import EntryError

    if bool(record) != bool(verified_by):
        raise EntryError("a record of a verification has a place and a name", repair="give both --record NAME.verification.json and --verified-by NAME")
    earlier = repeats.read(among, entry) if among else None
    tasks = tuple(filter(None, rerun_eval.split(",")))
    beside = Beside(tuple(run or ()), tuple(subset or ()), pool, earlier)
    if rerun_eval or rerun_train:
        from datacomp.pipelines import rerun
        from datacomp.train import webdataset
        from datacomp.train.hardware import Hardware

        sources = tuple(webdataset.read(place).shards for place in shards or ()) if rerun_train else ()
        wanted = rerun.Wanted(tasks, rerun_train, data, sources, Hardware(device, threads=threads))
        found, checks, level = rerun.check(entry, beside, wanted)
    else:
        found, checks, level = verifying.verify(entry, beside)
    show_checks(checks)
    for name in repeats.same_list(found, earlier or {}):
        typer.echo(f"note  {name} is of the same list")
    verifying.demand(entry, checks)
    typer.echo(f"trust level: {level}")
    if record:
        verifications.record(entry, record, level, verified_by, (tasks, rerun_train))


def show_checks(checks: list["Check"]) -> None:
    """Print each check with pass, or FAIL and the reason."""
    for check in checks:
        typer.echo(f"{'FAIL' if check.problem else 'pass'}  {check.name}{': ' + check.problem if check.problem else ''}")
