"""datacomp pool download, pin, check: getting a pool of the web, and looking at one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacomp.cli import options as common
from datacomp.cli.options import Out, Profile

if TYPE_CHECKING:
    from datacomp.pool.download import Work
    from datacomp.pool.metadata import Wanted


def add_to(group: typer.Typer) -> None:
    """Add the commands to those on pools."""
    group.command(epilog="Example: datacomp pool download small --out pools/small --samples 100000")(download)
    group.command(epilog="Example: datacomp pool pin pools/small")(pin)
    group.command(epilog="Example: datacomp pool check pools/small --quick")(check)


def download(
    out: Out,
    scale: Annotated[str, typer.Argument(help="small, medium, large, xlarge or datacomp_1b; none with --metadata.", show_default=False)] = "",
    metadata: Annotated[Path | None, typer.Option(help="A folder of url tables of your own instead, *.parquet.", show_default=False)] = None,
    samples: Annotated[int, typer.Option(min=0, help="Only the first so many rows, in the order of the files' names; 0 for all.")] = 0,
    npz: Annotated[bool, typer.Option("--npz", help="Bring the image and text features, too.")] = False,
    metadata_only: Annotated[bool, typer.Option("--metadata-only", help="Bring no pictures.")] = False,
    part: Annotated[str, typer.Option(help="I/N: fetch only this share of the pictures, for N machines on one folder; then once without.")] = "1/1",
    processes: Annotated[int | None, typer.Option(min=1, help="Processes; by default a core each, up to 16.", show_default=False)] = None,
    threads: Annotated[int, typer.Option(min=1, help="Downloads at once in each process.")] = 128,
    passes: Annotated[int, typer.Option(min=1, help="How often a url that timed out or whose server failed is asked for. A 404 is asked for once.")] = 2,
    url_limit: Annotated[float, typer.Option(min=1, help="Seconds that one url may take, retries and redirects included.")] = 60,
    stall: Annotated[float, typer.Option(min=1, help="Seconds without a byte written after which img2dataset is stopped and the rest goes on.")] = 180,
    option: Annotated[list[str] | None, typer.Option(help="KEY=VALUE for img2dataset; may be given several times.", show_default=False)] = None,
    more: Annotated[list[str] | None, typer.Argument(help="The same after --.", show_default=False)] = None,
    profile: Profile = "",
    ignore_disk: Annotated[bool, typer.Option("--ignore-disk", help="Go on although the disk looks too small.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Bring a pool of the web: metadata from the Hub, pictures from their addresses, and an audit of what could be reached.

    Started again, it goes on where it was stopped. Pictures are stored as DataComp does: 512 px at most, JPEG 95, faces blurred. Where a
    server answers with the header X-Robots-Tag noai, noimageai, noindex or noimageindex, the picture is left out; another policy is
    --option disallowed_header_directives=LIST, which is recorded.
    """
    from datacomp.pool import download as downloading
    from datacomp.pool.metadata import Wanted

    options = [*(option or ()), *(more or ())]
    if "=" in scale:  # the first option after --, where --metadata takes the scale's place
        options, scale = [*options, scale], ""
    wanted = Wanted(out=out, spec=downloading.spec_of(scale, metadata), folder=metadata, samples=samples, npz=npz)
    number, _, count = part.partition("/")
    work = downloading.Work(
        options=tuple(options),
        part=int(number) if number.isdigit() else 0,
        parts=int(count) if count.isdigit() else 0,
        processes=processes,
        threads=threads,
        passes=passes,
        url_limit_s=url_limit,
        stall_s=stall,
    )
    _tell(wanted, None if metadata_only else work)
    if dry_run:
        downloading.check(wanted, None if metadata_only else work, ignore_disk=ignore_disk)
        common.show_array(profile, "download")
        typer.echo("nothing was done: --dry-run")
        return
    workers = 1 if metadata_only else common.workers(profile, "download", out, 1)
    record = downloading.download(wanted, None if metadata_only else work, ignore_disk=ignore_disk, workers=workers)
    if record is None:
        typer.echo(f"part {part} is done; when every part is, start the same command without --part to finish the pool")
        return
    typer.echo(f"{record.samples:,} samples in {out}{', a partial pool' if record.partial else ''}")
    if record.origin and not record.origin.pinned:
        typer.echo(f"its revision {record.origin.revision[:12]} is unpinned; pin it with: datacomp pool pin {out}")
    if record.pictures:
        _audit(out)


def pin(folder: Annotated[Path, typer.Argument(help="Folder of a downloaded pool.")]) -> None:
    """Write the commit and the uids' digest of a first checked download into the pool's record; in an installed package, print them."""
    from datacomp.pool import pin as pinning

    pinned = pinning.pin(folder)
    typer.echo(f"{'written into' if pinned.written else 'put these lines into'} {pinned.path}:")
    typer.echo("\n".join(pinned.lines))


def check(
    folder: Annotated[Path, typer.Argument(help="Folder of a pool, downloaded by this or by the published program, or made.")],
    quick: Annotated[bool, typer.Option("--quick", help="Do not open the tars' samples: only see that they are whole.")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Where all is well and there is no pool.json, write it.")] = False,
) -> None:
    """Look through a whole pool: tables, uids, features, tars, stats, records. One line for each finding, exit code 1 if something is broken."""
    from datacomp.pool import check as checking

    found = checking.check(folder, quick=quick)
    for line in found.broken:
        typer.echo(f"broken: {line}")
    for line in found.notes:
        typer.echo(line)
    if found.broken:
        raise typer.Exit(1)
    if adopt:
        typer.echo(f"written: {checking.adopt(folder, found)}")


def _tell(wanted: "Wanted", work: "Work | None") -> None:
    """Say beforehand what comes and what it takes."""
    from datacomp.pool import disk
    from datacomp.pool import download as downloading

    place = "your own tables"
    if wanted.spec:
        origin = wanted.spec.origin
        place = f"{getattr(origin, 'repository', '')}, revision {getattr(origin, 'revision', '')}"
    typer.echo(f"pool {wanted.name}, {'the first ' if wanted.samples else ''}{wanted.count():,} samples, from {place}")
    typer.echo(f"disk: about {downloading.need(wanted, work).text()}; free: {disk.gigabytes(disk.free(wanted.out.resolve()))}")
    if work:
        options = downloading.options_of(wanted, work)
        refused = options["disallowed_header_directives"]
        faces = "faces blurred" if options["bbox_col"] else "faces not known, none blurred"
        policy = f"left out where X-Robots-Tag says {', '.join(refused)}" if isinstance(refused, tuple) and refused else "X-Robots-Tag is not looked at"
        typer.echo(f"pictures: {faces}; {policy}")


def _audit(out: Path) -> None:
    from datacomp.pool.audit import AUDIT, Audit

    audit = Audit.read(out / AUDIT)
    for reason, count in sorted(audit.reasons.items(), key=lambda item: -item[1]):
        typer.echo(f"{reason:16} {count:>14,} {count / audit.samples:8.2%}")
    typer.echo(f"effective pool   {audit.effective_pool.samples:>14,} uids, sha256 {audit.effective_pool.uids_sha256[:12]}…; {audit.changed_samples:,} changed")
    if audit.reasons.get("dns", 0) > 0.1 * audit.samples:
        typer.echo("many names could not be resolved: use fewer --threads, or a resolver on this machine that keeps answers (unbound, knot)")
