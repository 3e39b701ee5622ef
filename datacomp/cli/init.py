"""datacomp init: the file that says what commands use, and where they run."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: datacomp init --pool build/demo/pool --subset build/best.npy --scale nano")(init)


def init(
    pool: Annotated[str, typer.Option("--pool", help="Folder of the pool.", show_default=False)] = "",
    subset: Annotated[str, typer.Option("--subset", help="A list of uids, .npy.", show_default=False)] = "",
    out: Annotated[str, typer.Option("--out", help="Where results go, a folder for each scale.")] = "build",
    scale: Annotated[str, typer.Option("--scale", help="The scale where none is said.", show_default=False)] = "",
    author: Annotated[str, typer.Option("--author", help="Who proposes lists.", show_default=False)] = "",
    profile: Annotated[str, typer.Option("--profile", help="What the profile of this Slurm cluster is called.")] = "cluster",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file that is there.")] = False,
) -> None:
    """Write datacomp.toml: pool, list, scale, and a profile of the Slurm cluster here, if there is one, as far as sinfo describes it."""
    from datacomp.declared import scale as scales
    from datacomp.launch import init as initial

    if scale:
        scales.load(scale)
    values = {"pool": pool, "subset": subset, "out": out, "scale": scale, "author": author}
    path, partitions = initial.write(values, profile, overwrite=overwrite)
    typer.echo(f"wrote {path}")
    if partitions:
        typer.echo(
            f"Slurm has {len(partitions)} partitions; profile {profile!r} takes the one with the most GPUs. Look at its account, then: make train --dry-run"
        )
    else:
        typer.echo("sinfo shows no partition, so work runs on this machine; where there is Slurm, call datacomp init again")
