"""Which baseline a list is: the filter and the options of its record against those that tracks/baselines/ states."""

from collections.abc import Mapping

from datacomp.artifacts.column import NETWORKS
from datacomp.artifacts.subset import SubsetRecord
from datacomp.declared import baseline as baselines
from datacomp.declared.baseline import Baseline
from datacomp.filters import catalog


def baseline_of(record: SubsetRecord) -> Baseline | None:
    """The baseline whose filter made a list, None for another list or one of unknown origin. An option that was not given has its default."""
    name = record.filter.partition("[")[0]  # what a filter adds in brackets follows from its options
    declared = (baseline for baseline in map(baselines.load, baselines.names()) if baseline.filter == name)
    return next((found for found in declared if _spelled_out(name, found.options) == _spelled_out(name, record.options)), None)


def _spelled_out(name: str, options: Mapping[str, catalog.Option]) -> dict[str, object]:
    """Every option of a filter, a network's short name as the column that it stands for."""
    full = {option: parameter.default for option, parameter in catalog.parameters(name).items()} | dict(options)
    return {option: NETWORKS.get(value, value) if option == "score" else value for option, value in full.items()}
