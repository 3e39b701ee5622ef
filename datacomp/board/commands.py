"""What to type to make an artefact again. Capitals stand for places. Words of strangers are quoted for the shell: readers will paste this."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence

from datacomp.artifacts.entry import Entry
from datacomp.artifacts.run import Source
from datacomp.artifacts.shards import ShardsRecord
from datacomp.artifacts.subset import SubsetRecord
from datacomp.declared import pool as pools
from datacomp.declared import published_list

_ORACLE = "oracle"
_NAME = re.compile(r"[a-z][a-z0-9_]*")  # a filter or an option that may stand in a command as it is
_LEAF = re.compile(r"[a-z][a-z0-9_]*(\[[a-z0-9]+\])?")
_COMBINED = re.compile(r"(?=.* [&|-] )[a-z0-9_\[\] &|()-]{1,199}")  # as a list's record writes filters that were combined; longer ones are cut off there
_ALGEBRA = re.compile(r"(union|sum|intersect|minus)\(.*\)")
_OPERAND = re.compile(r"list_\d+")


def of_chain(entry: Entry, pool: str, *, earlier: bool = False) -> str:
    """From nothing to an entry's scores, by `datacomp run` where there is one list; of an earlier suite version by the program that had it."""
    lines = [f"# with datacomp {entry.runs[0].code.version}"] if earlier else []
    lines.append(of_pool(pool))
    sources = entry.runs[0].sources
    if len(sources) == 1:
        lines.append(of_list(sources[0].subset))
    else:
        lines += [f"# list {place} of {len(sources)}, sha256 of its uids {source.subset.uids_sha256}" for place, source in enumerate(sources, 1)]
    about = f"--method {shlex.quote(entry.method)} --author {shlex.quote(entry.proposed_by)}"
    seeds = " ".join(f"--seed {run.seed}" for run in entry.runs)
    run = f"datacomp run --track {entry.track} --scale {entry.scale} --suite {entry.suite} --pool POOL --subset LIST.npy"
    lines.append(f"{run} \\\n    {about} \\\n    {seeds} --out RUN")
    if entry.changes:
        lines.append(f"# that is the closed division; this entry was trained by datacomp train{_changed(entry.changes)}")
    return "\n".join(lines)


def of_pool(name: str, out: str = "POOL") -> str:
    """A pool of tracks/pools/, or a remark that this is another."""
    if name not in pools.names():
        return f"# {out}: a pool of the author's own"
    kind = pools.load(name).origin.kind
    return f"datacomp pool {'make' if kind == 'generated' else 'download'} {name} --out {out}"


def of_list(record: SubsetRecord, pool: str = "POOL", out: str = "LIST.npy") -> str:
    """A list whose record says how it was made, or a remark that it does not."""
    name = record.filter.partition("[")[0]  # what a filter adds in brackets follows from its options
    plain = all(map(_NAME.fullmatch, record.options))
    if record.filter == _ORACLE:
        return f"datacomp pool oracle --pool {pool} --out {out}"
    if record.filter in published_list.names():
        return f"datacomp subset fetch {record.filter} --revision {shlex.quote(str(record.options.get('revision', '')))} --out {out}"
    if _NAME.fullmatch(name) and plain:
        return f"datacomp filter {name} --pool {pool}{''.join(map(_option, sorted(record.options.items())))} --out {out}"
    if (found := _ALGEBRA.fullmatch(record.filter)) and all(map(_OPERAND.fullmatch, record.options)):
        uids = ", ".join(str(record.options[key]) for key in sorted(record.options))
        return f"datacomp subset {found[1]} {' '.join(sorted(record.options)).upper()} --out {out}  # of lists whose uids have sha256 {uids}"
    if _COMBINED.fullmatch(record.filter):
        return f"datacomp filter {shlex.quote(_combined(record))} --pool {pool} --out {out}"
    return f"# {out}: the author's list, sha256 of its uids {record.uids_sha256}"


def of_shards(source: Source, scale: str, pool: str, listed: str, out: str, record: ShardsRecord | None = None) -> str:
    """Training shards; only their own record knows their form, which changes no sample."""
    if not source.pool_uids_sha256:
        return f"# {out}: a webdataset that was not resharded here"
    command = f"datacomp reshard --scale {scale} --pool {pool} --subset {listed}"
    missing = sum(source.missing_samples.values())
    if missing:
        command += f" --allow-missing {math.ceil(1e4 * missing / source.subset.samples) / 1e4:g}"
    flags = {"--no-shuffle": not record.shuffled, "--virtual": record.form == "virtual", "--blur": record.blurred} if record else {}
    return f"{command}{''.join(f' {flag}' for flag, given in flags.items() if given)} --out {out}"


def of_run(scale: str, changes: Mapping[str, str], seed: int, shards: Sequence[str], weights: Sequence[float], out: str) -> str:
    """A training run, of the open division where the recipe was changed."""
    given = shards if len(shards) == 1 else [f"{place}={weight:g}" for place, weight in zip(shards, weights, strict=True)]
    return f"datacomp train --scale {scale}{_changed(changes)} {' '.join(f'--shards {place}' for place in given)} --seed {seed} --out {out}"


def _changed(changes: Mapping[str, str]) -> str:
    return " --division open" * bool(changes) + "".join(f" --set {shlex.quote(f'{place}={value}')}" for place, value in changes.items())


def of_results(run: str, suite: str) -> str:
    """A run's results."""
    return f"datacomp evaluate --run {run} --suite {suite}"


def of_entry(entry: Entry, runs: Sequence[str], out: str) -> str:
    """The entry of some runs."""
    said = [("--method", entry.method), ("--author", entry.proposed_by)]
    said += [("--run-by", entry.run_by)] if entry.run_by != entry.proposed_by else []
    said += [("--description", entry.description)] if entry.description else []
    said += [("--link", link) for link in entry.links]
    said += [("--left-out", f"{one.seed}: {one.reason}") for one in entry.seeds_left_out]
    about = "".join(f" {option} {shlex.quote(value)}" for option, value in said) + " --inspected LIST.numbers.json" * len(entry.list_reports)
    sources = " --sources sources.toml" if entry.data_sources else ""
    return f"datacomp enter {' '.join(f'--run {run}' for run in runs)} --track {entry.track} --suite {entry.suite}{about}{sources} --out {out}"


def _combined(record: SubsetRecord) -> str:
    """Filters joined by operators, each with its own options, which the record numbers from left to right."""
    places = iter(range(1, len(record.filter)))

    def spelled(leaf: re.Match[str]) -> str:
        prefix = f"{next(places)}."
        given = [f"{key.removeprefix(prefix)}={value!r}" for key, value in sorted(record.options.items()) if key.startswith(prefix)]
        return f"{leaf[0].partition('[')[0]}({', '.join(given)})" if given else leaf[0]

    return _LEAF.sub(spelled, record.filter)


def _option(given: tuple[str, float | str | bool]) -> str:
    name, value = given[0].replace("_", "-"), given[1]
    if isinstance(value, bool):
        return f" --{name}" if value else ""
    return f" --{name}={shlex.quote(str(value))}"
