"""Does a data filtering network on a small clean set induce better data than CLIP scores, and what do raw pairs in its training do to it.

    python benchmarks/dfn.py --out DIR [--scale nano] [--seeds 0,1,2] [--fraction 0.15] [--clean 20480] [--arm NAME …] [--threads N]

The findings of arXiv 2309.17425 on the generated world are printed with whether they show: networks trained on a clean world of
their own with growing shares of raw pairs, a binary classifier, the pool's own CLIP scores, random and no filter. Writes DIR/table.md, DIR/plot.svg and
DIR/rows.json; started again, it goes on.
"""

import argparse
import json
from pathlib import Path

from datacomp import files
from datacomp.declared import filter_recipe
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.pipelines import filter_claims, filter_study
from datacomp.pipelines.filter_study import Study


def main() -> None:
    """Run the study and say which claims show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", default="nano")
    parser.add_argument("--suite", default="nano")
    parser.add_argument("--recipe", default="miniature")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--fraction", type=float, default=0.15)
    parser.add_argument("--clean", type=int, default=Study.clean_samples)
    parser.add_argument("--arm", action="append", default=[])
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    study = Study(
        args.out,
        scales.load(args.scale),
        suites.load(args.suite),
        filter_recipe.load(args.recipe),
        tuple(map(int, args.seeds.split(","))),
        args.fraction,
        clean_samples=args.clean,
        threads=args.threads,
    )
    rows = []
    for row in study.rows(tuple(args.arm)):
        rows.append(row)
        files.write_text(args.out / "rows.json", json.dumps([row._asdict() for row in rows], indent=1))
    verdicts = [(claim, claim.judge(rows)) for claim in filter_claims.CLAIMS]
    found = filter_study.table(rows) + "\n" + "\n".join(f"* {claim.text}: {verdict.says}. {verdict.told}" for claim, verdict in verdicts) + "\n"
    files.write_text(args.out / "table.md", found)
    files.write_text(args.out / "plot.svg", filter_study.plot(rows))
    print(found)


if __name__ == "__main__":
    main()
