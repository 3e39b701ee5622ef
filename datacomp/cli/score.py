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
    scorer: Annotated[
        str, typer.Option("--scorer", help="cosine (of both embeddings), flip (of the mirrored picture), classifier, or a plug-in's name.")
    ] = "cosine",
    option: Annotated[list[str] | None, typer.Option("--option", help="An option of the scorer, NAME=VALUE, as head=FOLDER.", show_default=False)] = None,
    precision: Annotated[str, typer.Option("--precision", help="float32, or amp_bfloat16: faster on GPUs, less exact.")] = "float32",
    device: Device = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples that are computed together.")] = 256,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Processes, or threads that decode for GPUs; one a core if not given. The scores are the same.", show_default=False),
    ] = None,
    profile: Profile = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
) -> None:
    """Score every pair of a pool, by default by the cosine of a network's embeddings of picture and caption.

    Started again, it goes on where it was stopped. All GPUs of a machine share the work.
    """
    from datacomp.artifacts import pool as pools

    given = pools.read(pool)
    from datacomp.network import choose  # now that there is something to do: these load torch
    from datacomp.score import run as scoring
    from datacomp.score.base import Method

    needs_network = scorer == "cosine" or run or model or weights
    network = choose.one(run, model, weights, embeddings) if needs_network else None
    by = f"{network.title()} ({network.sha256[:12]})" if network else f"plug-in {scorer}"
    method = Method(scorer, options.pairs("--option", option or []), precision)
    if dry_run:
        options.show_array(profile, "score")
        planned = scoring.plan(given, network, out, scoring.Settings(device, batch, workers, method))
        typer.echo(f"{planned.tars:,} tars, {planned.done:,} of them done, by {by}; it would write {out}")
        return
    settings = scoring.Settings(device, batch, options.workers(profile, "score", out, workers), method)
    done = scoring.score(given, network, out, settings).record
    for reason, count in done.dropped_samples.items():
        typer.echo(f"{count:,} dropped: {reason}")
    typer.echo(f"{done.scored_samples:,} of {done.samples:,} samples scored by {by}, in {out}")
