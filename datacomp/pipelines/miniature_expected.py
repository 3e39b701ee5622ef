"""The scores to expect of baselines on the miniature, as datacomp.declared.expected reads them, from what was measured."""

from datacomp.errors import RecordError
from datacomp.pipelines.miniature_filters import NONE, RANDOM, STRONG, clip
from datacomp.pipelines.paired import Table

_BASELINES = {"no_filter": NONE, "random_30": RANDOM, "clip_score_l14_30": clip(STRONG, 30)}  # by their names in tracks/baselines/


def text(table: Table, record: str) -> str:
    """The file of one scale, whose source names the record of the runs.

    Raises RecordError where a baseline was not measured.
    """
    if missing := [arm for arm in _BASELINES.values() if arm not in table.rows]:
        raise RecordError(f"{', '.join(missing)} was not measured at scale {table.scale.name}", repair="benchmarks/miniature.py run")
    spec = table.suite.spec
    lines = [
        f'scale = "{table.scale.name}"',
        f'recipe_sha256 = "{table.scale.digest()}"',
        f'suite = "{spec.name}"',
        f"suite_version = {spec.version}",
        f'suite_sha256 = "{table.suite.digest()}"',
        f'source = "measured by this project, one thread: {record}"',
        'noise_source = "the spread of the seeds of each list, pooled"',
    ]
    for name, arm in _BASELINES.items():
        lines += ["", f"[baselines.{name}]", f'source = "seeds {", ".join(map(str, table.rows[arm]))}"', "", f"[baselines.{name}.scores]"]
        lines += [f"{key} = [{', '.join(f'{value:.5f}' for value in table.values(key)[arm].values())}]" for key in table.aggregates]
    return "\n".join(lines) + "\n"
