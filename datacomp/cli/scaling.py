"""datacomp scaling: which pools to train on at which budget, by laws that are fitted to small runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp import places
from datacomp.cli import options
from datacomp.cli.options import AllowMissing, Data, Profile, Seeds, Threads

if TYPE_CHECKING:
    from datacomp.scaling.fit import Fit
    from datacomp.scaling.points import Measured

group = typer.Typer(help="Scaling laws for data filtering: what to keep at which budget.", no_args_is_help=True)
Source = Annotated[
    Path, typer.Argument(help="A plan's folder, a folder of evaluated runs, or a CSV (docs/guide.md says of what columns).", metavar="PLAN|RUNS|CSV")
]
Budget = Annotated[float, typer.Option("--budget", help="Samples seen in training, such as 128e6.", min=1, show_default=False)]
Unions = Annotated[str, typer.Option("--unions", help="Which to compare: score (prefixes of the order by score), utility (of the fitted order), all.")]
Suite = Annotated[str, typer.Option("--suite", help="Of runs: the suite whose results count; by default the only one there is.", show_default=False)]
Metric = Annotated[str, typer.Option("--metric", help="Of runs: a mean of the suite, or one of its tasks; the error is one less it.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="scaling")


@group.command(
    epilog="Example: datacomp scaling plan --pool build/pool --score clip_l14_similarity_score --scale nano --budgets 12.8e3,25.6e3,51.2e3,102.4e3 --dry-run"
)
def plan(
    pool: options.Pool,
    score: Annotated[str, typer.Option("--score", help="Column to rank by.", show_default=False)],
    budgets: Annotated[str, typer.Option("--budgets", help="Samples seen, whose errors are fitted: NUMBER,NUMBER,…", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Where everything goes.")] = Path("build/scaling"),
    scores: Annotated[str, typer.Option("--scores", help="A table of scores with a column uid, or a folder of them.", show_default=False)] = "",
    buckets: Annotated[int, typer.Option("--buckets", help="Parts of equal size, by rank.")] = 10,
    scale: options.Scale = "nano",
    suite: options.Suite = "nano",
    seed: Seeds = None,
    check_budgets: Annotated[str, typer.Option("--check-budgets", help="Samples seen, measured but not fitted: to test the fit.", show_default=False)] = "",
    check_unions: Annotated[
        str, typer.Option("--check-unions", help="So many of the best buckets together, measured but not fitted: 2,3,5.", show_default=False)
    ] = "",
    share: Annotated[
        bool, typer.Option("--share/--no-share", help="Let checkpoints of long runs serve shorter budgets; their errors are those of an unfinished schedule.")
    ] = True,
    data: Data = None,
    allow_missing: AllowMissing = 0.0,
    threads: Threads = None,
    save_every: Annotated[float, typer.Option("--save-every", min=0, help="Minutes between the points from which a killed run goes on.")] = 10.0,
    card: Annotated[str, typer.Option("--card", help="The device whose speed the cost assumes: v100, a100, l40s, h100, h200.")] = "a100",
    speed: Annotated[
        float | None, typer.Option("--samples-per-s", min=1, help="Its speed, as datacomp estimate --measure says it.", show_default=False)
    ] = None,
    profile: Profile = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it costs and what would be done; on Slurm, print the scripts.")] = False,
    test_only: Annotated[bool, typer.Option("--test-only", help="Ask Slurm's scheduler when the jobs would start; submit nothing.")] = False,
) -> None:
    """Train small runs on each bucket of a pool and measure them: the errors that laws are fitted to. What is done is kept; what was killed goes on.

    Where datacomp.toml, or --profile, names a Slurm cluster, the runs become jobs.
    """
    from datacomp.artifacts import pool as pools
    from datacomp.cli import scaling_tables
    from datacomp.declared import scale as scales
    from datacomp.declared import suite as suites
    from datacomp.pipelines import grid
    from datacomp.pipelines.scaling import POINTS, Experiment

    recipe, measured, place, opened = scales.load(scale), suites.load(suite), options.place(profile), pools.read(pool)
    asked = grid.Plan(
        scale=recipe.name,
        recipe_sha256=recipe.digest(),
        suite=measured.spec.name,
        suite_sha256=measured.digest(),
        pool_uids_sha256=opened.record.uids_sha256 if opened.record else "",
        score={"score": score} | ({"scores": scores} if scores else {}),
        buckets=buckets,
        budgets=grid.whole_batches(recipe, _numbers(budgets, "--budgets")),
        check_budgets=grid.whole_batches(recipe, _numbers(check_budgets, "--check-budgets")),
        check_unions=tuple(int(count) for count in _numbers(check_unions, "--check-unions")),
        seeds=tuple(seed or (0,)),
        share=share,
    )
    experiment = Experiment(asked, recipe, measured, pool, out, data, allow_missing, threads, save_every * 60)
    experiment.check(place)
    scaling_tables.show_cost(grid.price(asked, recipe, measured, sum(span.rows for span in pools.spans(opened)), card=card, samples_per_s=speed))
    if dry_run or test_only:
        options.show_steps(place, experiment.steps(), test_only=test_only)
    elif place.is_slurm:
        made = experiment.submit(place, options.command())
        typer.echo(f"{len(made.jobs):,} jobs; look with: datacomp jobs list" if made.jobs else "all is done")
    else:
        found = experiment.run()
        typer.echo(f"{len(found.points)} points to fit and {len(found.checks)} to check in {out / POINTS}; go on with: datacomp scaling report {out}")


def _numbers(text: str, option: str) -> list[float]:
    from datacomp.errors import StageError

    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise StageError(f"{option} is {text!r}", allowed="numbers with commas between them, as in 1e6,2e6,4e6") from None


@group.command(epilog="Example: datacomp scaling fit points.csv")
def fit(source: Source, suite: Suite = "", metric: Metric = "average") -> None:
    """Fit utilities and half-lives of all pools at once; show intervals, warnings, and how well what was left out is predicted."""
    from datacomp.cli import scaling_tables
    from datacomp.scaling import choose as choosing
    from datacomp.scaling import fit as fitting

    measured, fitted = _fitted(source, suite, metric)
    scaling_tables.show_parameters(fitting.intervals(fitted))
    scaling_tables.show_left_out(list(choosing.leave_one_budget_out(measured.samples, measured.points)))
    scaling_tables.show_checked(choosing.check(fitted, measured.checks), list(measured.samples))


@group.command(epilog="Example: datacomp scaling predict build/scaling --budget 640e6 --union 0-10,10-20")
def predict(
    source: Source,
    budget: Budget,
    union: Annotated[
        list[str] | None, typer.Option("--union", help="Pools to train on together, NAME,NAME; by default each alone, and all.", show_default=False)
    ] = None,
    suite: Suite = "",
    metric: Metric = "average",
) -> None:
    """Predict the error after a budget, of pools alone or together, with intervals."""
    from datacomp.cli import scaling_tables
    from datacomp.errors import StageError
    from datacomp.scaling import choose as choosing

    measured, fitted = _fitted(source, suite, metric)
    names = list(measured.samples)
    unions = [tuple(part.strip() for part in one.split(",")) for one in union or ()] or [*((name,) for name in names), tuple(names)]
    if unknown := {name for one in unions for name in one} - set(names):
        raise StageError(f"there is no pool {min(unknown)!r}", allowed=", ".join(names))
    scaling_tables.show_predicted([choosing.predict(fitted, budget, one) for one in unions], names)


@group.command(epilog="Example: datacomp scaling choose build/scaling --budget 640e6 --up-to 1e10 --out build/chosen.npy")
def choose(
    source: Source,
    budget: Budget,
    unions: Unions = "score",
    up_to: Annotated[float | None, typer.Option("--up-to", help="Also the budgets up to this one at which the choice changes.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Of a plan: write the uid list of the union that is chosen, ready for reshard, .npy.", show_default=False)
    ] = None,
    suite: Suite = "",
    metric: Metric = "average",
) -> None:
    """Predict the error of unions of pools at a budget, the best first; none of them need have been trained on."""
    from datacomp.cli import scaling_tables
    from datacomp.pipelines import scaling
    from datacomp.scaling import choose as choosing

    measured, fitted = _fitted(source, suite, metric)
    names, compared = list(measured.samples), choosing.candidates(fitted, unions)
    found = choosing.choose(fitted, budget, compared)
    listed = scaling.union_list(source, found[0].union, out) if out else None
    scaling_tables.show_predicted(found, names)
    scaling_tables.show_crossovers(choosing.crossovers(fitted, compared, budget, up_to) if up_to else (), names)
    if listed:
        typer.echo(f"{len(listed.uids):,} uids in {out}")


@group.command(epilog="Example: datacomp scaling report build/scaling --out build/scaling.html --pictures")
def report(
    source: Source,
    out: Annotated[Path, typer.Option("--out", help="The page, .html, or a folder for it.", parser=places.here, metavar="PATH")] = Path("build/scaling-report"),
    budgets: Annotated[str, typer.Option("--budgets", help="Samples seen to choose for: NUMBER,NUMBER,…; by default some.", show_default=False)] = "",
    unions: Unions = "score",
    pictures: Annotated[bool, typer.Option("--pictures", help="Write each picture as well, .svg and .png, beside the page.")] = False,
    suite: Suite = "",
    metric: Metric = "average",
) -> None:
    """Show a fit on one page that loads nothing: curves, predictions, crossovers, the front of curation, tables."""
    from datacomp import pages
    from datacomp.scaling import report as reporting

    page = pages.target(out)
    measured, fitted = _fitted(source, suite, metric)
    reporting.write(reporting.make(source.resolve().name, measured, fitted, _numbers(budgets, "--budgets"), unions), page, apart=pictures)
    typer.echo(f"page: {page.resolve().as_uri()}")


@group.command(epilog="Example: datacomp scaling published --metric imagenet")
def published(
    metric: Annotated[str, typer.Option("--metric", help="imagenet or average_38.")] = "imagenet",
    scale: Annotated[str, typer.Option("--scale", help="medium (10 pairs) or small (34).")] = "medium",
) -> None:
    """Show the lists that DataComp trained on once and ten times as long, all laws that agree with them, and what these say of other budgets."""
    from datacomp import rooms
    from datacomp.board.published import FILE
    from datacomp.cli import scaling_tables
    from datacomp.errors import StageError
    from datacomp.pipelines import repetition
    from datacomp.scaling import fit as fitting

    if scale not in repetition.SCALES:
        raise StageError(f"there are no pairs at scale {scale!r}", allowed=", ".join(repetition.SCALES))
    everything = repetition.pairs(rooms.leaderboard() / "published" / FILE, metric)
    found, noise = [pair for pair in everything if pair.scale == scale], repetition.noise(scale, metric)
    family = repetition.possible(found, noise)
    scaling_tables.show_pairs(found, family)
    once, tenfold = found[0].seen
    for seen in (once, (once * tenfold) ** 0.5, tenfold, 10 * tenfold) if family else ():
        scaling_tables.show_told(repetition.told(found, family, seen))
    both = repetition.measured(everything)
    typer.echo(
        f"one law for the lists of {len(both.samples)} filters at both scales misses {len(both.points)} points by "
        f"{fitting.fit(both.samples, both.points).deviation:.3f}; seeds differ by {noise:.3f}"
    )


def _fitted(path: Path, suite: str, metric: str) -> "tuple[Measured, Fit]":
    """Read what was measured and fit it; what the fit cannot tell is said."""
    from datacomp.pipelines import scaling
    from datacomp.scaling import fit as fitting

    measured = scaling.read(path, suite, metric)
    fitted = fitting.fit(measured.samples, measured.points, is_known=measured.is_known)
    for warning in fitted.warnings:
        typer.echo(f"note: {warning}", err=True)
    return measured, fitted
