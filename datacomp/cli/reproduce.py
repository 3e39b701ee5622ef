"""datacomp reproduce: claims of papers, measured on the generated miniature."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp import places
from datacomp.cli import options
from datacomp.cli.options import Seeds, Threads

_SEEDS = (0, 1, 2)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: datacomp reproduce qqt-choose --out build/reproduced --dry-run")(reproduce)


def reproduce(
    claims: Annotated[list[str] | None, typer.Argument(help="Claims, or papers for all of theirs; --list shows them.", metavar="[CLAIM]…")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show all claims, where their papers make them, and what measuring takes.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Where everything goes; what is done there is kept.", parser=places.here, metavar="PATH")] = Path(
        "build/reproduced"
    ),
    seed: Seeds = None,
    threads: Threads = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Runs at a time; by default one a core.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it takes.")] = False,
) -> None:
    """Measure what papers claim, and say with the numbers whether it shows. By default three seeds; what was killed goes on."""
    from datacomp.cli import tables
    from datacomp.errors import StageError
    from datacomp.pipelines import reproduce as reproducing
    from datacomp.pipelines.claims import PAPERS, Settings, needed

    if listed:
        tables.show_claims(
            [(claim.key, PAPERS[claim.paper].short, claim.place, study.cost(claim.arms), claim.text) for study, claim in reproducing.known().values()]
        )
        return
    if not claims:
        raise StageError("no claim was named", allowed=", ".join([*reproducing.known(), *PAPERS]), repair="datacomp reproduce --list")
    settings = Settings(seeds=tuple(seed or _SEEDS), threads=threads, workers=workers)
    for study, wanted in reproducing.asked(claims):
        arms = needed(study, wanted)
        if dry_run:
            typer.echo(f"{study.name}: {study.says}; about {study.cost(arms) * len(settings.seeds) / len(_SEEDS):.0f} minutes on two cores")
            for line in study.plan(out / study.name, settings, arms):
                typer.echo(line)
            continue
        measurement = reproducing.take(study, out / study.name, settings, arms, options.command())
        typer.echo(study.table(study.rows(measurement)))
        for claim in wanted:
            verdict = reproducing.judge(claim, study, measurement).verdict
            typer.echo(f"{claim.key}, {PAPERS[claim.paper].short} {claim.place}: {claim.text}: {verdict.says}. {verdict.told}")
