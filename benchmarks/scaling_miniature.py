"""Do laws of single buckets predict unions that were never trained together, and which data are best at which budget, on the generated world.

    python benchmarks/scaling_miniature.py --out DIR [--dry-run] [--seeds 0,1,2] [--record FILE] [--at-once N]

An hour on two cores: the best four twentieths of nano's pool by a filter network's score, alone and together, each trained on at four or five budgets
with three seeds, and a random half of each at two. What is measured stands in the record, DIR/runs.json by default, and is not run again,
wherever the record is taken; docs/scaling/runs.json is the one that `make docs` reads. Writes the page with its pictures below DIR as docs/ holds them.
The claims of arXiv 2404.07177 are printed with whether they show.
"""

import argparse
import sys
from pathlib import Path

from datacomp import files
from datacomp.pipelines import reproduce, scaling_study
from datacomp.pipelines.claims import Settings, Where
from datacomp.pipelines.scaling_study import Design


def main() -> None:
    """Run the study and say which claims show."""
    given = Design()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--scale", default="nano")
    parser.add_argument("--suite", default="nano")
    parser.add_argument("--seeds", type=numbers, default=(0, 1, 2))
    parser.add_argument("--at-once", type=int, help="runs at a time, by default one a core")
    parser.add_argument("--record", type=Path, help="where every run is kept")
    parser.add_argument("--pool", type=Path, help="one that lies there already, instead of a part of nano's")
    parser.add_argument("--pool-samples", type=int, default=given.pool_samples)
    parser.add_argument("--score", default=given.score, help="a column of the pool's metadata; by default a filter network that is trained first")
    parser.add_argument("--buckets", type=int, default=given.buckets)
    parser.add_argument("--best", type=int, default=given.best, help="so many of them are trained on")
    parser.add_argument("--budgets", type=numbers, default=given.budgets, help="samples seen, whose errors are fitted")
    parser.add_argument("--unseen", type=numbers, default=given.unseen, help="samples seen, whose errors are only predicted")
    parser.add_argument("--unions", type=numbers, default=given.unions, help="so many of the best buckets together")
    parser.add_argument("--union-budgets", type=numbers, default=given.union_budgets, help="those at which they are trained on")
    parser.add_argument("--half-budgets", type=numbers, default=given.half_budgets, help="those at which a random half of each bucket is trained on as well")
    args = parser.parse_args()
    design = Design(
        args.pool_samples, args.buckets, args.best, args.budgets, args.unseen, args.unions, args.union_budgets, args.half_budgets, args.score, args.pool
    )
    settings = Settings(args.scale, args.suite, args.seeds, args.at_once)
    study, where = scaling_study.study(design, settings), Where(args.out, args.record or args.out / "runs.json")
    if args.dry_run:
        print("\n".join(study.plan(where, settings, study.arms)))
        return
    measurement = reproduce.take(study, where, settings, command=" ".join(["python", *sys.argv]))
    rows = study.read(where.record)
    for name, text in study.pages(rows, measurement).items():
        files.write_text(args.out / name, text)
    print(study.table(rows))
    for claim in study.claims:
        verdict = claim.judge(rows)
        print(f"{claim.text}: {verdict.says}. {verdict.told}")


def numbers(text: str) -> tuple[int, ...]:
    """Numbers with commas between them."""
    return tuple(int(float(number)) for number in text.split(","))


if __name__ == "__main__":
    main()
