"""datacomp dfn: data filtering networks."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp.cli import options
from datacomp.cli.options import Data, Device, Out, Suite

group = typer.Typer(help="Data filtering networks.", no_args_is_help=True)
AllowCopies = Annotated[float, typer.Option("--allow-copies", help="Share of a training set's pictures that may look like test pictures.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="dfn")


@group.command(epilog="Example: datacomp dfn train --recipe public --shards cc12m --shards cc3m --suite datacomp --out build/dfn")
def train(
    recipe: Annotated[str, typer.Option("--recipe", help="A recipe of tracks/dfn/: miniature, paper, public.", show_default=False)],
    shards: Annotated[list[str], typer.Option("--shards", help="Image-text pairs: any webdataset, SHARDS or SHARDS=WEIGHT.", show_default=False)],
    out: Out,
    initial: Annotated[
        Path | None, typer.Option("--initial", help="Weights to begin with, .safetensors or a run, where the recipe has some.", show_default=False)
    ] = None,
    tune_captions: Annotated[
        list[str] | None, typer.Option("--tune-captions", help="Pairs to tune on, SHARDS or SHARDS=WEIGHT, such as COCO.", show_default=False)
    ] = None,
    tune_labels: Annotated[
        list[str] | None,
        typer.Option("--tune-labels", help="A labelled set to tune on, FOLDER or FOLDER=WEIGHT: train/, classnames.txt, templates.", show_default=False),
    ] = None,
    tuned_share: Annotated[
        float | None, typer.Option("--tuned-share", help="Share of the tuned weights in the average; by default the recipe's.", show_default=False)
    ] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change the recipe, as budget.steps=100.", show_default=False)] = None,
    seed: options.Seed = 0,
    suite: Suite = "nano",
    data: Data = None,
    allow_copies: AllowCopies = 0.0,
    device: Device = None,
    devices: Annotated[int, typer.Option("--devices", min=1, help="Processes of this machine, a GPU each.")] = 1,
    threads: options.Threads = None,
    save_every: Annotated[float, typer.Option("--save-every", min=0, help="Minutes between the points from which a killed run goes on.")] = 10.0,
) -> None:
    """Train a data filtering network by an open recipe. Started again, it goes on where it was stopped.

    Its training sets are first held against the test pictures of --suite. Score with: datacomp score --model local-dir:OUT/network.
    """
    from datacomp.declared import filter_recipe
    from datacomp.declared import suite as suites
    from datacomp.pipelines import dfn, test_sets
    from datacomp.train import webdataset
    from datacomp.train.hardware import Hardware
    from datacomp.train.run import Keeping

    declared, measured = filter_recipe.load(recipe), suites.load(suite)
    labels = tuple(options.weighted("--tune-labels", text, "FOLDER") for text in tune_labels or ())
    sets = dfn.Sets(tuple(map(webdataset.read, shards)), tuple(map(webdataset.read, tune_captions or ())), labels)
    against = dfn.Against(measured, test_sets.locate(measured, data), allowed_share=allow_copies)
    changed = dict(options.pairs("--set", changes or []))
    how = dfn.How(seed, tuned_share, changed, Hardware(device, devices, threads), Keeping(save_every * 60))
    made = dfn.make(declared, sets, dfn.initial_weights(initial), against, out, how)
    for resource in made.external_resources:
        typer.echo(f"used: {resource}")
    typer.echo(f"filter network in {out / dfn.NETWORK}; score with: datacomp score --model local-dir:{out / dfn.NETWORK}")


@group.command(epilog="Example: datacomp dfn classify --model local-dir:clip --good imagenet --pool build/pool/shards --out build/head")
def classify(
    good: Annotated[str, typer.Option("--good", help="Shards of good pictures: any webdataset of pairs.", show_default=False)],
    pool: Annotated[str, typer.Option("--pool", help="Shards of the pool to be filtered.", show_default=False)],
    out: Out,
    run: Annotated[Path | None, typer.Option("--run", help="A run whose features are used.", show_default=False)] = None,
    model: Annotated[str, typer.Option("--model", help="Or another network, as datacomp score names it.", show_default=False)] = "",
    weights: Annotated[Path | None, typer.Option("--weights", help="The weights of --model, .safetensors.", show_default=False)] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Pictures of each kind to learn from, at most.")] = 100_000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the choice of pictures.")] = 0,
    suite: Suite = "nano",
    data: Data = None,
    allow_copies: AllowCopies = 0.0,
    device: Device = None,
) -> None:
    """Train a classifier of good pictures against a pool's on a network's frozen features; score with --scorer classifier --option head=OUT."""
    from datacomp.declared import suite as suites
    from datacomp.network import choose
    from datacomp.pipelines import classify as classifying
    from datacomp.pipelines import dfn, test_sets
    from datacomp.train import webdataset

    measured = suites.load(suite)
    against = dfn.Against(measured, test_sets.locate(measured, data), allowed_share=allow_copies)
    network = choose.one(run, model, weights)
    kinds = classifying.Kinds(webdataset.read(good).shards, webdataset.read(pool).shards)
    made = classifying.make(network, kinds, out, against=against, samples=samples, seed=seed, device=device)
    typer.echo(f"{made.good_samples:,} good pictures and {made.pool_samples:,} of the pool: {100 * made.accuracy:.1f} % told apart, in {out}")
