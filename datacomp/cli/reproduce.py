"""datacomp reproduce: claims of papers, measured on the generated miniature."""

from pathlib import Path
from typing import Annotated

import typer

from datacomp import places
from datacomp.cli import options

_SEEDS = (0, 1, 2)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: datacomp reproduce qqt-choose --out build/reproduced --dry-run")(reproduce)


def reproduce(
    claims: Annotated[list[str] | None, typer.Argument(help="Claims, or papers for all of theirs; --list shows them.", metavar="CLAIM")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show all claims, where their papers make them, and what measuring takes.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Where everything goes; what is done there is kept.", parser=places.here, metavar="PATH")] = Path(
        "build/reproduced"
    ),
    records: Annotated[
        Path | None, typer.Option("--records", help="Folder of what was measured, which is not run again; by default --out.", show_default=False)
    ] = None,
    seed: Annotated[list[int] | None, typer.Option("--seed", help="A training run for each seed given; 0, 1 and 2 if none is.", show_default=False)] = None,
    at_once: Annotated[int | None, typer.Option("--at-once", min=1, help="Runs at a time; by default one a core.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it takes.")] = False,
) -> None:
    """Measure what papers claim, and say with the numbers whether it shows. What was killed goes on."""
    from datacomp.cli import tables
    from datacomp.errors import StageError
    from datacomp.pipelines import reproduce as reproducing
    from datacomp.pipelines.claims import PAPERS, Settings, Where, needed

    if listed:
        tables.show_claims(
            [(claim.key, PAPERS[claim.paper].short, claim.place, study.cost(claim.arms), claim.text) for study, claim in reproducing.known().values()]
        )
        return
    if not claims:
        raise StageError("no claim was named", allowed=", ".join([*reproducing.known(), *PAPERS]), repair="datacomp reproduce --list")
    settings, folder = Settings(seeds=tuple(seed or _SEEDS), at_once=at_once), records or out
    for study, wanted in reproducing.asked(claims):
        arms, where = needed(study, wanted), Where(out / study.name, study.record(folder))
        if dry_run:
            typer.echo(f"{study.name}: {study.says}; about {study.cost(arms) * len(settings.seeds) / len(_SEEDS):.0f} minutes on two cores")
            for line in study.plan(where, settings, arms):
                typer.echo(line)
            continue
        reproducing.take(study, where, settings, arms, options.command())
        typer.echo(study.table(study.read(where.record)))
        for one in reproducing.judged(study, folder):
            if one.claim in wanted:
                typer.echo(f"{one.claim.key}, {PAPERS[one.claim.paper].short} {one.claim.place}: {one.claim.text}: {one.verdict.says}. {one.verdict.told}")
