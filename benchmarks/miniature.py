"""Does the miniature behave like the web: filters compared over seeds at scales nano and micro, held against claims and against DataComp's order.

    python benchmarks/miniature.py run --out DIR [--scales nano,micro] [--seeds-nano 0,1,2] [--seeds-micro 0,1] [--arm NAME …] [--record FILE] [--dry-run]
    python benchmarks/miniature.py page [--record FILE] [--page FILE]
    python benchmarks/miniature.py expected --scale SCALE [--record FILE]

`run` measures what FILE (docs/miniature/runs.json) does not hold yet, one run a core, and writes each to it when it is done; killed at any moment and
started again, here or elsewhere, it goes on. `page` writes docs/miniature-measured.md with its pictures from FILE alone, `expected` the scores that
`datacomp calibrate` compares with.
"""

import argparse
from pathlib import Path

from datacomp import files, rooms
from datacomp.board import published
from datacomp.declared import expected as declared
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.errors import DatacompError
from datacomp.pipelines import miniature_expected, miniature_filters, miniature_page
from datacomp.pipelines.compare import Comparison

DOCS = Path(__file__).parent.parent / "docs"


def comparison(given: argparse.Namespace, scale_name: str) -> Comparison:
    """What is asked for at one scale."""
    scale, folder = scales.load(scale_name), given.out / scale_name
    pool = folder / "pool"
    first = miniature_filters.FIRST if scale_name == miniature_filters.LARGE else ()
    arms = tuple(arm for arm in miniature_filters.arms(pool, first=first) if not given.arm or arm.name in given.arm)
    seeds = tuple(map(int, getattr(given, f"seeds_{scale_name}", "0").split(",")))
    return Comparison(folder, given.record, scale, suites.load(given.suite), pool, arms, seeds, at_once=given.at_once, keeps_weights=given.keep_weights)


def run(given: argparse.Namespace) -> None:
    """Measure scale after scale; a failure of some runs at one does not keep the next waiting."""
    failed = []
    for name in given.scales.split(","):
        asked = comparison(given, name)
        print(asked.told(), flush=True)
        try:
            if not given.dry_run:
                asked.complete()
        except DatacompError as error:
            failed.append(str(error))
    if failed:
        raise SystemExit("\n".join(failed))


def page(given: argparse.Namespace) -> None:
    """Write the page and print its claims."""
    found = miniature_page.tables(given.record, given.suite)
    miniature_page.write(found, rooms.leaderboard() / "published" / published.FILE, given.record, given.page)
    print("\n".join(map(str, miniature_filters.claims(found))))


def expected(given: argparse.Namespace) -> None:
    """Write the scores to expect at a scale."""
    table = miniature_page.tables(given.record, given.suite)[given.scale]
    path = rooms.tracks() / declared.FOLDER / f"{given.scale}.toml"
    files.write_text(path, miniature_expected.text(table, str(given.record.relative_to(DOCS.parent))))
    print(f"{path}: {declared.load(given.scale).source}")


def main() -> None:
    """Run, or write what follows from the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running, writing, expecting = (commands.add_parser(name) for name in ("run", "page", "expected"))
    for command in (running, writing, expecting):
        command.add_argument("--record", type=Path, default=DOCS / "miniature" / "runs.json")
        command.add_argument("--suite", default="nano")
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--scales", default="nano,micro")
    running.add_argument("--seeds-nano", default="0,1,2")
    running.add_argument("--seeds-micro", default="0,1")
    running.add_argument("--arm", action="append", default=[], choices=miniature_filters.NAMES)
    running.add_argument("--at-once", type=int, help="runs at once; by default one a core")
    running.add_argument("--keep-weights", action="store_true")
    running.add_argument("--dry-run", action="store_true", help="print the runs and about how long they take")
    running.set_defaults(do=run)
    writing.add_argument("--page", type=Path, default=DOCS / "miniature-measured.md")
    writing.set_defaults(do=page)
    expecting.add_argument("--scale", required=True, choices=(miniature_filters.SMALL, miniature_filters.LARGE))
    expecting.set_defaults(do=expected)
    given = parser.parse_args()
    given.do(given)


if __name__ == "__main__":
    main()
