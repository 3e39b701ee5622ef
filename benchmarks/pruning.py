"""Does density-based pruning help on the generated world, and what does it keep: arms over seeds, verdicts, a page with tables and pictures.

    python benchmarks/pruning.py --out DIR [--report docs/pruning] [--pool POOL] [--scale nano] [--seeds 0,1,2] [--steps N] [--arm NAME …] [--plan]

Lists and runs go to DIR; what was measured goes to REPORT/runs.json, the page with its pictures beside it. Started again, it goes on: what the record
holds is not run again, on another machine neither. --steps is another length of all runs, to try it out; --samples a smaller pool. --plan says what
would be run and how long it may take.
"""

import argparse
from pathlib import Path

from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset
from datacomp.declared import pool as declared
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.pipelines import compared, pruning_claims, pruning_report
from datacomp.pipelines.paired import Table
from datacomp.pipelines.pruning_study import Study
from datacomp.pipelines.pruning_truth import Truth
from datacomp.pool import synthetic


def main() -> None:
    """Run the study and say which claims show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, default=Path("docs/pruning"))
    parser.add_argument("--pool", type=Path, help="made in DIR/pool if none is given")
    parser.add_argument("--samples", type=int, help="of a pool that is made")
    parser.add_argument("--scale", default="nano")
    parser.add_argument("--suite", default="nano")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--clusters", type=int, default=Study.clusters)
    parser.add_argument("--arm", action="append", default=[])
    parser.add_argument("--at-once", type=int)
    parser.add_argument("--plan", action="store_true")
    args = parser.parse_args()
    scale, suite = scales.load(args.scale), suites.load(args.suite)
    if args.steps:
        scale = scales.changed(scale, {"budget.steps": str(args.steps), "optimizer.warmup_steps": str(min(scale.optimizer.warmup_steps, args.steps // 8))})
    pool = args.pool or args.out / "pool"
    if not args.pool and not args.plan:
        synthetic.make(declared.load(scale.pool), pool, samples=args.samples)
    seeds = tuple(map(int, args.seeds.split(",")))
    record = args.report / "runs.json"
    study = Study(args.out / "study", record, scale, suite, pool, seeds, clusters=args.clusters, at_once=args.at_once, only=tuple(args.arm))
    comparisons = study.comparisons()
    if args.plan:
        print("\n".join(comparison.told() for comparison in comparisons))
        return
    for comparison in comparisons:
        if comparison.arms:
            comparison.run()
    rows = compared.read(record).values()
    whole, short = (Table(rows, comparison.scale, suite) for comparison in comparisons)
    truth = Truth(pools.read(pool))
    kept = {pruning_claims.POOL: truth.pool()}
    kept |= {arm.name: truth.kept(subset.read(comparisons[0].list_path(arm)).uids) for arm in comparisons[0].arms}
    told = pruning_claims.verdicts(whole, short, kept, study.shares, study.compared_share)
    page = pruning_report.write(study, whole, short, kept, told, args.report)
    print("\n".join(verdict.line() for verdict in told), f"\n{page}")


if __name__ == "__main__":
    main()
