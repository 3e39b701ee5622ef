"""datacomp submit: lists for others to run, and finished runs as entries, handed in over the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp import places
from datacomp.board import texts
from datacomp.cli import options
from datacomp.cli.enter import show_checks
from datacomp.cli.options import Author, Description, Inspected, LeftOut, Links, Method, RunBy, Sources, Suite, Track

if TYPE_CHECKING:
    from datacomp.pipelines.submit import Leaving, State

group = typer.Typer(help="Handing in: lists and entries.", no_args_is_help=True)
Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle, or of a queued list.", parser=places.here)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show every file and text that would leave this machine; send nothing.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="submit")


@group.command("list", epilog="Example: datacomp submit list build/mine.npy --scale nano --pool build/demo/pool --method 'CLIP score' --author me")
def propose(
    file: Annotated[Path, typer.Argument(metavar="LIST.npy", help="A list of uids, .npy.")],
    scale: options.Scale,
    pool: options.Pool,
    method: Method,
    author: Author,
    out: Annotated[Path, typer.Option("--out", help="Where its folder goes.", metavar="FOLDER")] = Path("build/queue"),
    track: Track = "filtering",
    description: Description = "",
    link: Links = None,
    external: Annotated[
        list[str] | None, typer.Option("--external", help="A model or data from outside that chose samples; may be given several times.", show_default=False)
    ] = None,
    list_at: Annotated[str, typer.Option("--list-at", help="Where the list can be had, if it is too large to be handed in.", show_default=False)] = "",
    dry_run: DryRun = False,
) -> None:
    """Hand in a list that somebody with machines may run: checked against its pool, with a record, by a pull request to the board's queue."""
    from datacomp.declared import scale as scales
    from datacomp.pipelines import submit

    about = options.about(method, author, "", description, link, None, track)
    made = submit.propose(file, pool, scales.load(scale), about, out, track=track, external=external or (), list_at=list_at)
    typer.echo(f"queued list {made.name} in {made}; run it with: datacomp run --queued {made}")
    _push(made, "", dry_run=dry_run)


@group.command(epilog="Example: datacomp submit prepare build/mine/seed0 --out build/bundle --with-list")
def prepare(
    run: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of finished, evaluated runs; one for each seed.", parser=places.here)],
    out: options.Out,
    with_list: Annotated[bool, typer.Option("--with-list", help="Put the list of uids in, not its digest alone.")] = False,
    lists: Annotated[
        list[Path] | None, typer.Option("--list", help="Where the list is, if its shards are not beside the run; implies --with-list.", show_default=False)
    ] = None,
    with_weights: Annotated[bool, typer.Option("--with-weights", help="Put the last checkpoint in, with a model card, as open_clip loads it.")] = False,
    method: Annotated[str, typer.Option("--method", help="As of enter; without it the entry.json beside the runs is taken.", show_default=False)] = "",
    author: Annotated[str, typer.Option("--author", help="Who proposes the list.", show_default=False)] = "",
    track: Track = "filtering",
    suite: Suite = "nano",
    run_by: RunBy = "",
    description: Description = "",
    link: Links = None,
    sources: Sources = None,
    left_out: LeftOut = None,
    inspected: Inspected = None,
) -> None:
    """Write a bundle: an entry and all that bears it out, in a folder that can be handed to anybody."""
    from datacomp.artifacts import run as runs
    from datacomp.artifacts.entry import Entry
    from datacomp.board import enter
    from datacomp.declared import suite as suites
    from datacomp.declared import track as tracks
    from datacomp.errors import EntryError
    from datacomp.pipelines import submit
    from datacomp.submit import bundle

    finished = [runs.read(folder) for folder in run]
    beside = run[0].parent / bundle.ENTRY
    if not (method and author) and not beside.is_file():
        raise EntryError(f"there is no {beside}", repair="say --method and --author, as of datacomp enter")
    if not (method and author) and any((method, author, run_by, description, link, sources, left_out, inspected)):
        raise EntryError(f"part of a new entry is said, in place of {beside}", repair="say both --method and --author, or nothing of an entry")
    if method:
        about = options.about(method, author, run_by, description, link, sources, track, left_out=left_out, inspected=inspected)
        entry = enter.enter(finished, suites.load(suite), tracks.load(track), about)
    else:
        entry = Entry.read(beside)
    asked = (lists or ()) if lists or with_list else None
    made = submit.prepare(finished, entry, out, lists=asked, weights=with_weights, meant=(author, run_by))
    typer.echo(f"bundle {made.id} in {out}: {len(made.files)} files, {sum(file.bytes for file in made.files.values()):,} bytes")


@group.command(epilog="Example: datacomp submit validate build/bundle")
def validate(path: Annotated[Path, typer.Argument(metavar="BUNDLE|ENTRY", help="Folder of a bundle, or an entry, .json.", parser=places.here)]) -> None:
    """Run every check of the board, and of a bundle all that its files allow."""
    from datacomp.board import verify
    from datacomp.pipelines import submit

    checks = submit.validate(path)
    show_checks(checks)
    verify.demand(path, checks)


@group.command("push", epilog="Example: datacomp submit push build/bundle --repository me/clip-score --dry-run")
def hand_in(
    path: Bundle,
    repository: Annotated[
        str, typer.Option("--repository", help="OWNER/NAME of a data set of yours on the Hub, for the whole bundle; made if need be.", show_default=False)
    ] = "",
    dry_run: DryRun = False,
) -> None:
    """Upload a bundle in one commit, and hand its entry in by a pull request to the board. What was interrupted goes on."""
    _push(path, repository, dry_run=dry_run)


@group.command(epilog="Example: datacomp submit status build/bundle")
def status(wish: Annotated[str, typer.Argument(metavar="ID|BUNDLE", help="Folder of a bundle or queued list, or the 16 digits of its id.")]) -> None:
    """Say where something that was handed in stands, and why."""
    from datacomp.pipelines import submit

    _show_state(submit.state(wish))


def _push(path: Path, repository: str, *, dry_run: bool) -> None:
    from datacomp.declared import board as boards
    from datacomp.pipelines import submit

    own, board = submit.leaving(path)
    address = boards.load().repository
    if dry_run:
        if own and repository:
            _show_leaving(f"to your data set {repository}", own)
        _show_leaving(f"pull request to {address or 'the board, which has no address yet'}", board)
        return
    state = submit.hand_in(path, repository)
    if not address:
        places_there = ", ".join(f"{file} as {place}" for place, file in board.content.items())
        typer.echo(f"leaderboard/board.toml names no board yet: hand in by hand, to whoever keeps one: {places_there}")
    _show_state(state)


def _show_leaving(where: str, leaving: "Leaving") -> None:
    from datacomp.submit import bundle

    typer.echo(f"{where}\n  title: {leaving.title}\n  description: {leaving.description or 'none'}")
    for place, file in leaving.content.items():
        typer.echo(f"  {file.stat().st_size:>15,} bytes  {place}")
    for place, file in leaving.content.items():
        if file.suffix in bundle.TEXTS:
            typer.echo(f"\n--- {place} ---\n{_printable(bundle.text(file))}")


def _show_state(state: "State") -> None:
    if state.made:
        typer.echo(f"prepared: a {state.made}")
    if state.pushed:
        typer.echo(f"pushed: data set {state.pushed.repository}, commit {state.pushed.commit}")
    if state.pull:
        said = f"; last said, by {state.pull.said_by}: {state.pull.said}" if state.pull.said else "; nobody has said anything"
        typer.echo(_printable(f"pull request {state.pull.number}: {state.pull.state}, {state.pull.address}{said}"))
    else:
        typer.echo("no pull request on the board")


def _printable(text: str) -> str:
    """What strangers wrote, line by line."""
    return "\n".join(map(texts.printable, text.split("\n")))
