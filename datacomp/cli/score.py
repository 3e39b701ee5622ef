"""datacomp score: what a network thinks of each pair of a pool."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp.cli import options
from datacomp.cli.options import Device, Out, Pool, Profile


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: datacomp score --pool build/pool --run build/run --out build/scores")(score)


def score(
    pool: Pool,
    out: Out,
    run: Annotated[Path | None, typer.Option("--run", help="Score by the last checkpoint of a run of one's own.", show_default=False)] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="Score by another network: ARCHITECTURE or ARCHITECTURE/TAG of open_clip or a CONFIG.json, each with --weights; local-dir:FOLDER; "
            "hf-hub:OWNER/NAME, downloaded before; timm:ARCHITECTURE, of pictures alone, with --weights and --embeddings.",
            show_default=False,
        ),
    ] = "",
    weights: Annotated[Path | None, typer.Option("--weights", help="The weights of --model, .safetensors.", show_default=False)] = None,
    embeddings: Annotated[
        str, typer.Option("--embeddings", help="Write the embeddings too, as PREFIX_img and PREFIX_txt.", metavar="PREFIX", show_default=False)
    ] = "",
    device: Device = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples that are computed together.")] = 256,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Processes, or threads that decode for a GPU; one a core if not given. The scores are the same.", show_default=False),
    ] = None,
    profile: Profile = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
) -> None:
    """Score every pair of a pool: the cosine of a network's embeddings of picture and caption. Started again, it goes on where it was stopped."""
    from datacomp.artifacts import pool as pools
    from datacomp.network import choose
    from datacomp.score import run as scoring

    network = choose.one(run, model, weights, embeddings)
    by = f"{network.title()} ({network.sha256[:12]})"
    if dry_run:
        options.show_array(profile, "score")
        planned = scoring.plan(pools.read(pool), network, out, scoring.Settings(device, batch, workers))
        typer.echo(f"{planned.tars:,} tars, {planned.done:,} of them done, by {by}; it would write {out}")
        return
    settings = scoring.Settings(device, batch, options.workers(profile, "score", out, workers))
    done = scoring.score(pools.read(pool), network, out, settings).record
    for reason, count in done.dropped_samples.items():
        typer.echo(f"{count:,} dropped: {reason}")
    typer.echo(f"{done.scored_samples:,} of {done.samples:,} samples scored by {by}, in {out}")
