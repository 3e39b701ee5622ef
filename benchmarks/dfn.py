"""Does a data filtering network on a small clean set induce better data than CLIP scores, and what do raw pairs in its training do to it.

    python benchmarks/dfn.py --out DIR [--report docs/dfn] [--scales nano,micro] [--seeds-nano 0,1,2] [--seeds-micro 0,1] [--arm NAME …] [--plan]

The findings of arXiv 2309.17425 on the generated world, with verdicts: networks trained on a clean world of their own with growing shares of raw pairs,
binary classifiers, the pool's own CLIP scores, random and no filter. Networks, lists and runs go to DIR; what was measured goes to REPORT/runs.json and
REPORT/networks.json, the page with its pictures beside them. Started again, it goes on: what the record holds is not run again, on another machine
neither. --plan says what would be run and how long it may take. To try it out: --steps is another length of all runs, those of networks among them,
--samples a smaller pool, --clean smaller sets to train networks on; with another REPORT.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from datacomp import files
from datacomp.declared import filter_recipe
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.pipelines import compared, filter_networks, filter_report
from datacomp.pipelines.dfn import How
from datacomp.pipelines.filter_claims import Measured
from datacomp.pipelines.filter_networks import Networks, OwnScores
from datacomp.pipelines.filter_study import ARMS, At, Study

SCALES = {"nano": "0,1,2", "micro": "0,1"}  # with their seeds
UNTUNED = "python benchmarks/dfn.py --out build/dfn-untuned --report docs/dfn/untuned --untuned"


def study(given: argparse.Namespace, names: Iterable[str]) -> Study:
    """What is asked for, at some scales."""
    changes: dict[str, str] = {}
    places = []
    if given.steps:
        changes = {"budget.steps": str(given.steps), "budget.checkpoints": "1", "optimizer.warmup_steps": str(given.steps // 8)}
    for name in names:
        seeds = tuple(map(int, getattr(given, f"seeds_{name}").split(",")))
        places.append(At(scales.changed(scales.load(name), changes), seeds))
    recipe = filter_recipe.load(given.recipe)
    networks = Networks(
        given.out / "networks",
        given.report / filter_networks.FILE,
        suites.load(given.suite),
        recipe.model_copy(update={"tuning": None}) if given.untuned else recipe,
        clean_samples=given.clean,
        how=How(changes=changes),
    )
    record = given.report / "runs.json"
    return Study(given.out, record, networks, tuple(places), given.fraction, given.samples, given.at_once, tuple(given.arm))


def main() -> None:
    """Run the study and say which claims show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, default=Path("docs/dfn"))
    parser.add_argument("--scales", default="nano")
    for name, seeds in SCALES.items():
        parser.add_argument(f"--seeds-{name}", default=seeds)
    parser.add_argument("--suite", default="nano")
    parser.add_argument("--recipe", default=filter_networks.RECIPE)
    parser.add_argument("--untuned", action="store_true", help="leave out the recipe's tuning; with another DIR and REPORT")
    parser.add_argument("--fraction", type=float, default=Study.fraction)
    parser.add_argument("--clean", type=int, default=Networks.clean_samples)
    parser.add_argument("--samples", type=int, help="of the pools")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--arm", action="append", default=[], choices=ARMS)
    parser.add_argument("--at-once", type=int, help="runs at once; by default one a core")
    parser.add_argument("--plan", action="store_true")
    given = parser.parse_args()
    if unknown := set(given.scales.split(",")) - set(SCALES):
        parser.error(f"there is no scale {min(unknown)} here; allowed: {', '.join(SCALES)}")
    asked = study(given, given.scales.split(","))
    if given.plan:
        print("\n".join(asked.told()))
        return
    asked.run()
    own = filter_networks.own(compared.read_all(asked.networks.record, OwnScores), asked.networks.suite)
    tables = study(given, SCALES).tables()  # the page tells of every scale, now run or not
    command = UNTUNED if given.untuned else filter_report.COMMAND
    made = filter_report.files([Measured(table, own) for table in tables], asked.networks, asked.fraction, command)
    for name, text in made.items():
        files.write_text(given.report / name, text)
    print(made[filter_report.PAGE], f"\n{given.report / filter_report.PAGE}")


if __name__ == "__main__":
    main()
