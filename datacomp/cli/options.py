"""Options that several commands share, each with its help."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp import places

if TYPE_CHECKING:
    from datacomp.artifacts.entry import SeedLeftOut
    from datacomp.board.enter import About
    from datacomp.launch.local import Workers
    from datacomp.launch.profile import Place
    from datacomp.launch.slurm import Step

Pool = Annotated[Path, typer.Option("--pool", help="Folder of the pool, or s3://…", parser=places.at, metavar="FOLDER", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="Where the result goes.", parser=places.here, metavar="PATH", show_default=False)]
Run = Annotated[Path, typer.Option("--run", help="Folder of a finished run.", parser=places.here, metavar="FOLDER", show_default=False)]
SubsetFile = Annotated[Path, typer.Option("--subset", help="A list of uids, .npy.", show_default=False)]
Scale = Annotated[str, typer.Option("--scale", help="A scale of tracks/scales/: smoke, nano, micro, small, medium, large, xlarge.", show_default=False)]
Suite = Annotated[str, typer.Option("--suite", help="A suite of eval_suite/suites/.")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder of the test sets; by default a cache that is filled on first use.", show_default=False)]
Tasks = Annotated[str, typer.Option("--tasks", help="Only these tasks, NAME,NAME.", show_default=False)]
Sets = Annotated[Path, typer.Option("--data", help="Folder of the test sets.", show_default=False)]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the initial weights and of the order of samples.")]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="A training run for each seed given; 0 if none is.", show_default=False)]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads to compute with; by default the cores that the loader leaves.", show_default=False)]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda or cuda:N; by default the first GPU there is.", show_default=False)]
AllowMissing = Annotated[float, typer.Option("--allow-missing", help="Share of the list that may be missing from the pool's tars.")]
Method = Annotated[str, typer.Option("--method", help="The method's name as the board shows it.", show_default=False)]
Author = Annotated[str, typer.Option("--author", help="Who proposes the list.", show_default=False)]
RunBy = Annotated[str, typer.Option("--run-by", help="Who ran it, if somebody else.", show_default=False)]
Description = Annotated[str, typer.Option("--description", help="A few sentences on the method.", show_default=False)]
Links = Annotated[list[str] | None, typer.Option("--link", help="An address to read more; may be given several times.", show_default=False)]
Sources = Annotated[
    Path | None, typer.Option("--sources", help="Track byod: what is to be said of each source, .toml; docs/guide.md shows one.", show_default=False)
]
LeftOut = Annotated[
    list[str] | None,
    typer.Option("--left-out", help="A seed that was trained and is not entered, and why, SEED: REASON; may be given several times.", show_default=False),
]
Inspected = Annotated[
    list[Path] | None,
    typer.Option("--inspected", help="Numbers that datacomp inspect --json wrote of the list, for the entry's page; once for each list.", show_default=False),
]
Track = Annotated[str, typer.Option("--track", help="A track of tracks/rules/: filtering, byod.")]


Profile = Annotated[str, typer.Option("--profile", help="Where to work: here, or a profile of datacomp.toml; by default the one it names.", show_default=False)]


def place(profile: str) -> "Place":
    """Where a command is to run, told."""
    from datacomp.launch import profile as profiles

    chosen = profiles.choose(profile)
    typer.echo(chosen.told())
    return chosen


def workers(profile: str, what: str, out: Path, processes: int | None) -> "Workers":
    """Who does a stage's tasks: processes here, or an array of jobs."""
    chosen = place(profile)
    if not chosen.is_slurm:
        return processes
    from datacomp.launch import slurm

    return slurm.Array(chosen, what, out, command())


def show_array(profile: str, what: str) -> None:
    """Part of a dry run: where it would run, and the script of its array of jobs if there is to be one."""
    chosen = place(profile)
    if chosen.is_slurm:
        from datacomp.launch import slurm

        typer.echo(slurm.array_script(chosen, what))


def show_steps(place: "Place", steps: "Sequence[Step]", *, test_only: bool) -> None:
    """A dry run of steps: what is done, what is to do, and on Slurm the scripts, or when they would start."""
    from datacomp.launch import slurm

    for step in steps:
        typer.echo(f"{'done ' if step.is_done else 'to do'}  {step.says} -> {step.record}")
    if place.is_slurm:
        for step, text in slurm.scripts(place, steps):
            typer.echo(f"\n{step.what}: {slurm.when(text)}" if test_only else f"\n--- {step.what} ---\n{text}")


def pairs(option: str, given: list[str]) -> tuple[tuple[str, str], ...]:
    """What came as NAME=VALUE, several times. Raises StageError for what has no name or no value, and for a name that came twice."""
    from datacomp.errors import StageError

    found = [one.partition("=") for one in given]
    if unclear := next((one for one, (name, _, value) in zip(given, found, strict=True) if not name or not value), None):
        raise StageError(f"{option} {unclear} came", allowed=f"{option} NAME=VALUE")
    if len({name for name, *_ in found}) != len(found):
        raise StageError(f"{option} came twice for one name", allowed="each name once")
    return tuple((name, value) for name, _, value in found)


def weighted(option: str, text: str, what: str) -> tuple[Path, float]:
    """What came as a path or as PATH=WEIGHT; without one the weight is 1. Raises StageError for a weight that is no number."""
    from datacomp.errors import StageError

    place, _, weight = text.rpartition("=") if "=" in text else (text, "", "1")
    try:
        return Path(place), float(weight)
    except ValueError:
        raise StageError(f"{option} {text} came", allowed=f"{what} or {what}=WEIGHT") from None


def command() -> str:
    """The command as it was called."""
    return shlex.join(["datacomp", *sys.argv[1:]])


def about(
    method: str,
    author: str,
    run_by: str,
    description: str,
    links: list[str] | None,
    sources: Path | None,
    track: str,
    *,
    left_out: list[str] | None = None,
    inspected: list[Path] | None = None,
) -> "About":
    """What was said of an entry, refused here rather than after hours of training."""
    from datacomp.board import enter
    from datacomp.declared import track as tracks

    said: dict[str, object] = {"method": method, "author": author, "run_by": run_by, "description": description, "links": tuple(links or ())}
    if sources:
        said["sources"] = enter.Sources.read(sources)
    said["seeds_left_out"] = tuple(map(_left_out, left_out or ()))
    if inspected:
        from datacomp.subset import inspect, report

        said["list_reports"] = tuple(report.report(inspect.Inspection.read(path)) for path in inspected)
    found = enter.About.of(said, "what is said of the entry")
    enter.check_told(found, tracks.load(track))
    return found


def _left_out(text: str) -> "SeedLeftOut":
    """A seed and why it is not entered, as in "3: the node died"."""
    from datacomp.artifacts.entry import SeedLeftOut
    from datacomp.errors import EntryError

    seed, _, reason = text.partition(":")
    if not re.fullmatch(r"-?\d{1,18}", seed.strip()) or not reason.strip():
        raise EntryError(f"{text!r} names no seed and reason", allowed="SEED: REASON, as in --left-out '3: the node died'")
    return SeedLeftOut.of({"seed": int(seed), "reason": reason.strip()}, "a seed that is left out")
