"""datacomp run and datacomp demo: the whole chain."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp import places
from datacomp.cli import options
from datacomp.cli.options import AllowMissing, Data, Description, Inspected, LeftOut, Links, Profile, RunBy, Seeds, Sources, Threads, Track

if TYPE_CHECKING:
    from datacomp.declared.scale import Scale


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: datacomp run --scale nano --pool build/pool --subset build/best.npy --method 'CLIP score' --author me --out build/mine")(run)
    app.command(epilog="Example: datacomp demo --out build/demo")(demo)


def run(
    scale: Annotated[str, typer.Option("--scale", help="A scale of tracks/scales/; by default that of datacomp.toml.", show_default=False)] = "",
    pool: Annotated[str, typer.Option("--pool", help="Folder of the pool; by default that of datacomp.toml.", metavar="FOLDER", show_default=False)] = "",
    subset: Annotated[str, typer.Option("--subset", help="A list of uids, .npy; by default that of datacomp.toml.", show_default=False)] = "",
    method: Annotated[str, typer.Option("--method", help="The method's name as the board shows it; by default the list's.", show_default=False)] = "",
    author: Annotated[str, typer.Option("--author", help="Who proposes the list; by default as in datacomp.toml, or you.", show_default=False)] = "",
    out: Annotated[Path | None, typer.Option("--out", help="Where the result goes; by default out of datacomp.toml/SCALE.", show_default=False)] = None,
    seed: Seeds = None,
    track: Track = "filtering",
    suite: Annotated[str, typer.Option("--suite", help="By default that of datacomp.toml, or the scale's: nano or datacomp.", show_default=False)] = "",
    data: Data = None,
    allow_missing: AllowMissing = 0.0,
    run_by: RunBy = "",
    description: Description = "",
    link: Links = None,
    sources: Sources = None,
    left_out: LeftOut = None,
    inspected: Inspected = None,
    threads: Threads = None,
    save_every: Annotated[float, typer.Option("--save-every", min=0, help="Minutes between the points from which a killed run goes on.")] = 10.0,
    profile: Profile = "",
    queued: Annotated[
        str, typer.Option("--queued", help="A list that was handed in, by its folder or its id in leaderboard/queue/; in place of what says a list.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the list and say what would be done; on Slurm, print the scripts.")] = False,
    test_only: Annotated[bool, typer.Option("--test-only", help="Ask Slurm's scheduler when the jobs would start; submit nothing.")] = False,
) -> None:
    """Take one list through the whole chain to an entry. What is done is skipped; what was killed goes on.

    Where datacomp.toml, or --profile, names a Slurm cluster, the stages become jobs that wait for one another.
    """
    from datacomp.cli import tables
    from datacomp.declared import scale as scales
    from datacomp.declared import suite as suites
    from datacomp.launch import profile as profiles
    from datacomp.pipelines.run import ENTRY, Chain

    if queued:
        scale, subset, method, author, track, description, link = _queued(queued, (scale, subset, method, author, description, link))
    place, settings = options.place(profile), profiles.settings()
    recipe = scales.load(profiles.needed(scale, "scale", option="--scale SCALE", example="nano"))
    listed = Path(profiles.needed(subset, "subset", option="--subset LIST.npy", example="build/best.npy"))
    chain = Chain(
        scale=recipe,
        pool=places.at(profiles.needed(pool, "pool", option="--pool FOLDER", example="build/demo/pool")),
        subset=listed,
        about=options.about(
            method or listed.stem,
            author or settings.author or getpass.getuser(),
            run_by,
            description,
            link,
            sources,
            track,
            left_out=left_out,
            inspected=inspected,
        ),
        out=out or Path(settings.out) / recipe.name,
        suite=suites.load(suite or settings.suite or _usual_suite(recipe)),
        track=track,
        seeds=tuple(seed or (0,)),
        data=data or (Path(settings.data) if settings.data else None),
        allow_missing=allow_missing,
        threads=threads,
        save_every_s=save_every * 60,
    )
    if dry_run or test_only:
        chain.check(place)
        options.show_steps(place, chain.steps(), test_only=test_only)
        return
    if place.is_slurm:
        made = chain.submit(place, options.command())
        for job in made.jobs:
            typer.echo(f"job {job.id}  {job.what}")
        typer.echo(f"the entry will be {chain.out / ENTRY}; look with: datacomp jobs list" if made.jobs else f"all is done: {chain.out / ENTRY}")
        return
    tables.show_entries([chain.run()])
    typer.echo(f"entry: {chain.out / ENTRY}")


def _queued(wish: str, said: tuple[object, ...]) -> tuple[str, str, str, str, str, str, list[str]]:
    """What the record of a queued list says of scale, list, method, author, track, description and links; nobody else may say it."""
    from datacomp.artifacts import queued as queue
    from datacomp.errors import StageError

    if any(said):
        raise StageError(
            "the record of a queued list says its scale, list, method, author, description and links", repair="leave those options out, or --queued"
        )
    found, path = queue.read(queue.find(wish))
    return found.scale, str(path), found.method, found.proposed_by, found.track, found.description, list(found.links)


def _usual_suite(scale: "Scale") -> str:
    """DataComp's tasks for DataComp's scales."""
    from datacomp.declared import pool as pools

    return "nano" if isinstance(pools.load(scale.pool).origin, pools.GeneratedSource) else "datacomp"


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where everything goes.")] = Path("build/demo"),
    scale: Annotated[str, typer.Option("--scale", help="nano, or smoke for a quick look.")] = "nano",
    seed: Seeds = None,
) -> None:
    """Compare no filter, random, basic, CLIP score and the oracle on the generated pool, and build the board."""
    from datacomp.cli import tables
    from datacomp.pipelines import demo as demonstration

    shown = demonstration.demo(out, scale_name=scale, seeds=tuple(seed or (0,)))
    tables.show_entries(shown.entries)
    typer.echo(f"page: {shown.page.resolve().as_uri()}")
