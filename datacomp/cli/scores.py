"""datacomp scores: score tables that are made of others, of embeddings, or elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp.cli import options
from datacomp.cli.options import Device, Out, Pool

if TYPE_CHECKING:
    from datacomp.artifacts.scores import Scores

group = typer.Typer(help="Score tables.", no_args_is_help=True)
Prefix = Annotated[str, typer.Option("--prefix", help="Which of the pool's embeddings, as l14 of l14_img and l14_txt.")]
Embeddings = Annotated[
    Path | None, typer.Option("--embeddings", help="Scores of datacomp score --embeddings; by default the pool's own embeddings.", show_default=False)
]
Column = Annotated[str, typer.Option("--score", help="The column of the scores, where there are several.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="scores")


def _say(made: "Scores") -> None:
    record = made.record
    missing = f", {record.samples - record.scored_samples:,} have none" if record.samples > record.scored_samples else ""
    typer.echo(f"{record.scored_samples:,} of {record.samples:,} samples have a score{missing}, in {made.path}")


@group.command("import", epilog="Example: datacomp scores import tmars.parquet --pool build/pool --method T-MARS --out build/tmars")
def bring(
    file: Annotated[Path, typer.Argument(help="Scores: .parquet or .csv with a column uid, or .npy of uids.")],
    pool: Pool,
    method: Annotated[str, typer.Option("--method", help="What they are, as T-MARS.", show_default=False)],
    out: Out,
    score: Column = "",
    values: Annotated[Path | None, typer.Option("--values", help="Beside a .npy of uids: a .npy of as many numbers.", show_default=False)] = None,
    resource: Annotated[
        list[str] | None, typer.Option("--resource", help="A model or data set behind them; may be given several times.", show_default=False)
    ] = None,
) -> None:
    """Take scores that were computed elsewhere, after strict checks, with a record of where they come from."""
    from datacomp.artifacts import pool as pools
    from datacomp.score import bring as bringing

    _say(bringing.bring(pools.read(pool), file, out, method=method, column=score, values=values, resources=tuple(resource or ())))


@group.command("neg-clip-loss", epilog="Example: datacomp scores neg-clip-loss --pool build/pool --out build/neg")
def neg_clip_loss(
    pool: Pool,
    out: Out,
    prefix: Prefix = "l14",
    embeddings: Embeddings = None,
    temperature: Annotated[float, typer.Option("--temperature", help="Of the network's loss; OpenAI's is 0.01.")] = 0.01,
    batch: Annotated[int, typer.Option("--batch", help="Pairs that are held against each other.")] = 32_768,
    shuffles: Annotated[int, typer.Option("--shuffles", help="How often pairs are shuffled into batches; scores are the means.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the shuffling.")] = 0,
    device: Device = None,
) -> None:
    """Take from the CLIP score what a pair has in common with all others: negCLIPLoss (arXiv 2405.19547), of embeddings alone."""
    from datacomp.artifacts import pool as pools
    from datacomp.score import embeddings as embedded
    from datacomp.score import neg_clip_loss as losses

    found = embedded.find(pools.read(pool), prefix, embeddings)
    _say(losses.make(found, out, temperature=temperature, batch=batch, shuffles=shuffles, seed=seed, device=device))


@group.command("norm-sim", epilog="Example: datacomp scores norm-sim --pool build/pool --targets imagenet_train.npy --out build/sim")
def norm_sim(
    pool: Pool,
    targets: Annotated[Path, typer.Option("--targets", help="Image embeddings of a target set, .npy or .pt.", show_default=False)],
    out: Out,
    prefix: Prefix = "l14",
    embeddings: Embeddings = None,
    norm: Annotated[str, typer.Option("--norm", help="inf (the nearest target) or 2 (all of them).")] = "inf",
    device: Device = None,
) -> None:
    """Score pictures by how like they are to those of a target set: NormSim (arXiv 2405.19547), of embeddings alone."""
    from datacomp.artifacts import pool as pools
    from datacomp.score import embeddings as embedded
    from datacomp.score import norm_sim as similarity

    _say(similarity.make(embedded.find(pools.read(pool), prefix, embeddings), targets, out, norm=norm, device=device))


@group.command(epilog="Example: datacomp scores fuse --pool build/pool --scores build/a=1 --scores build/b=0.5 --by rank --out build/both")
def fuse(
    pool: Pool,
    scores: Annotated[list[str], typer.Option("--scores", help="TABLE or TABLE=WEIGHT, two or more.", show_default=False)],
    by: Annotated[str, typer.Option("--by", help="rank or weight.", show_default=False)],
    out: Out,
    normalise: Annotated[str, typer.Option("--normalise", help="With --by weight: none, minmax or standard.")] = "none",
) -> None:
    """Make several scores one: the weighted mean of their ranks, or of the scores themselves."""
    from datacomp.artifacts import pool as pools
    from datacomp.artifacts import scores as tables
    from datacomp.score import fuse as fusing

    weighted = [fusing.Weighted(tables.open_table(path), weight) for path, weight in (options.weighted("--scores", text, "TABLE") for text in scores)]
    _say(fusing.make(pools.read(pool), weighted, out, by=by, normalise=normalise))
