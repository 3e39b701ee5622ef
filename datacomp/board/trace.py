"""From an entry or a run back to the pool: every artefact with its digests, whether they hold, and the command that makes it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from datacomp import digest
from datacomp.artifacts import pool as pool_folders
from datacomp.artifacts import results as results_files
from datacomp.artifacts import run as runs
from datacomp.artifacts import run_folder, shards
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.entry import Entry, SeedRun
from datacomp.artifacts.run import Code, Inputs, RunRecord, Source
from datacomp.artifacts.shards import ShardsRecord
from datacomp.board import commands, verify
from datacomp.declared import asset as assets
from datacomp.declared import pool as pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.errors import DatacompError, StageError
from datacomp.records import Record

State = Literal["OK", "FAIL", "not here"]


class Known(Record):
    """One digest: what it is of, and whether it holds for what is here."""

    what: str
    sha256: str
    state: State
    note: str = ""


class Link(Record):
    """One artefact of the chain."""

    artefact: Literal["entry", "results", "run", "shards", "list", "pool"]
    about: str
    digests: tuple[Known, ...]
    command: str


def trace(path: Path, run_folders: Sequence[Path] = (), pool: Path | None = None) -> tuple[Link, ...]:
    """Walk back from an entry's file or a finished run's folder.

    The runs of an entry are the folders that are given, or those that `datacomp run` left beside it; shards are looked for beside a run, under
    the name that it states. What is not found is "not here". Raises StageError for a run that is not finished, RecordError for what is no entry.
    """
    if not path.is_dir():
        return _of_entry(path, run_folders, pool)
    folder = run_folder.read(path)
    if folder.record is None:
        raise StageError(f"{path} holds no finished run, it is at step {folder.step:,}: there is no digest yet", repair="let it end")
    inputs, last = folder.record.inputs, folder.record.checkpoints[-1].sha256
    results = [
        Link(
            artefact="results",
            about=f"seed {inputs.seed}, suite {found.suite} version {found.suite_version}",
            digests=(
                Known(what="results", sha256=digest.of_file(results_files.path_in(path, found.suite)), state="OK"),
                _known("weights", found.weights_sha256, last, "the run's last checkpoint"),
                _suite(found.suite, found.suite_version, found.suite_sha256),
            ),
            command=commands.of_results("RUN", found.suite),
        )
        for found in folder.results
    ]
    return (*results, _run(path, folder.record, digest.of_file(path / runs.RECORD), "RUN"), *_sources(inputs.scale, inputs.sources, path, pool))


def _of_entry(path: Path, run_folders: Sequence[Path], pool: Path | None) -> tuple[Link, ...]:
    entry = Entry.read(path)
    seeds = {run.seed: place for run in entry.runs if ((place := run_folder.of_seed(path.parent, run.seed)) / runs.RECORD).is_file()}
    here = {run_folder.read(place).inputs.seed: place for place in run_folders} if run_folders else seeds
    names = ["RUN"] if len(entry.runs) == 1 else [f"RUN{run.seed}" for run in entry.runs]
    _, checks, level = verify.verify(path, verify.Beside(runs=tuple(here.values())))
    broken = next((f"{check.name}: {check.problem}" for check in checks if check.problem), "")
    first = Link(
        artefact="entry",
        about=f"{entry.method}, track {entry.track}, scale {entry.scale}, suite {entry.suite} version {entry.suite_version}",
        digests=(
            Known(what="entry", sha256=digest.of_file(path), state="FAIL" if broken else "OK", note=broken or level),
            _known("rules", entry.rules_sha256, _today(lambda: tracks.load(entry.track).digest()), f"tracks/rules/{entry.track}.toml"),
        ),
        command=commands.of_entry(entry, names, "ENTRY.json"),
    )
    links = [first]
    for run, name in zip(entry.runs, names, strict=True):
        links += _of_seed(entry, run, here.get(run.seed), name)
    return (*links, *_sources(entry.scale, entry.runs[0].sources, next(iter(here.values()), None), pool))


def _of_seed(entry: Entry, run: SeedRun, place: Path | None, name: str) -> list[Link]:
    """One training run of an entry: its results, and itself by its folder or by what the entry says."""
    results = Link(
        artefact="results",
        about=f"seed {run.seed}, suite {entry.suite} version {entry.suite_version}",
        digests=(
            _known("results", run.results_sha256, _of_file(place and results_files.path_in(place, entry.suite))),
            _suite(entry.suite, entry.suite_version, entry.suite_sha256),
        ),
        command=commands.of_results(name, entry.suite),
    )
    found = _of_file(place and place / runs.RECORD)
    if place and found == run.run_sha256:
        return [results, _run(place, RunRecord.read(place / runs.RECORD), run.run_sha256, name)]
    inputs = Inputs(scale=entry.scale, recipe_sha256=entry.recipe_sha256, division=entry.division, changes=entry.changes, seed=run.seed, sources=run.sources)
    digests = (_known(runs.RECORD, run.run_sha256, found), *_recipe_and_code(inputs, run.code), _known("weights", run.weights_sha256, None))
    return [results, _run_link(inputs, digests, name)]


def _run(path: Path, record: RunRecord, sha256: str, name: str) -> Link:
    """A run by its folder."""
    weights = [(checkpoint, runs.weights_path(path, checkpoint.step)) for checkpoint in record.checkpoints]
    known = [_known(f"weights, step {checkpoint.step}", checkpoint.sha256, _of_file(file)) for checkpoint, file in weights]
    digests = (Known(what=runs.RECORD, sha256=sha256, state="OK"), *_recipe_and_code(record.inputs, record.code), *known)
    return _run_link(record.inputs, digests, name)


def _run_link(inputs: Inputs, digests: tuple[Known, ...], name: str) -> Link:
    weights = [source.weight for source in inputs.sources]
    command = commands.of_run(inputs.scale, inputs.changes, inputs.seed, _places("SHARDS", len(weights)), weights, name)
    command += f" --rehearse {inputs.rehearsed_steps}" * bool(inputs.rehearsed_steps)
    return Link(artefact="run", about=f"seed {inputs.seed}, scale {inputs.scale}, {inputs.division} division", digests=digests, command=command)


def _recipe_and_code(inputs: Inputs, code: Code) -> tuple[Known, Known]:
    own = code.sha256 == digest.of_code()
    return (
        _known(
            "recipe",
            inputs.recipe_sha256,
            _today(lambda: scales.changed(scales.load(inputs.scale), inputs.changes).digest()),
            f"tracks/scales/{inputs.scale}.toml",
        ),
        Known(what="code", sha256=code.sha256, state="OK" if own else "not here", note=f"version {code.version}{'' if own else ', other code than this'}"),
    )


def _sources(scale: str, sources: Sequence[Source], run: Path | None, pool: Path | None) -> list[Link]:
    """Shards, list and pool of every source."""
    places = (_places(stem, len(sources)) for stem in ("SHARDS", "LIST", "POOL"))
    links = []
    for source, shards_place, listed, pool_place in zip(sources, *places, strict=True):
        folder = run.parent / source.name if run and "/" not in source.name and (run.parent / source.name / shards.RECORD).is_file() else None
        found, record = _shards(source, folder)
        links.append(
            Link(
                artefact="shards",
                about=f"{source.name}, {source.samples:,} samples, weight {source.weight:g}",
                digests=(found,),
                command=commands.of_shards(source, scale, pool_place, f"{listed}.npy", shards_place, record),
            )
        )
        if source.pool_uids_sha256:  # else nothing ties the shards to a list and a pool
            links += [_list(source, folder, pool_place, f"{listed}.npy"), _pool(source, record, pool, pool_place)]
    return links


def _shards(source: Source, folder: Path | None) -> tuple[Known, ShardsRecord | None]:
    """The record of training shards, and that every tar which it names is there. The tars' bytes are not read."""
    found = _known(shards.RECORD, source.shards_sha256, _of_file(folder and folder / shards.RECORD))
    if folder is None or found.state != "OK":
        return found, None
    try:
        record = shards.read(folder).record
    except DatacompError as error:
        return found.model_copy(update={"state": "FAIL", "note": str(error)}), None
    if record.subset != source.subset:
        return found.model_copy(update={"state": "FAIL", "note": "it is of another list than the run states"}), None
    return found.model_copy(update={"note": f"its {len(record.shards):,} shards are there"}), record


def _list(source: Source, folder: Path | None, pool: str, name: str) -> Link:
    record = source.subset
    copy = folder / shards.LIST if folder else None
    note, found = "", None
    try:
        found = subsets.describe(subsets.map_file(copy)).uids_sha256 if copy and copy.is_file() else None
    except DatacompError as error:
        note, found = str(error), "unreadable"
    used = [_asset(*asset) for asset in record.assets.items()]
    return Link(
        artefact="list",
        about=f"{record.filter or 'of unknown origin'}, {record.samples:,} samples",
        digests=(_known("uids", record.uids_sha256, found, note), *used),
        command=commands.of_list(record, pool, name),
    )


def _pool(source: Source, record: ShardsRecord | None, folder: Path | None, name: str) -> Link:
    """A pool against what tracks/pools/ promises, the shards' own record and, where it is given, its folder."""
    promised = _today(lambda: pools.load(source.pool).uids_sha256)
    digests = [
        _known("uids", source.pool_uids_sha256, promised, f"tracks/pools/{source.pool}.toml" if promised else ""),
        _known("uids reached", source.effective_pool.uids_sha256, record.effective_pool.uids_sha256 if record else None, shards.RECORD if record else ""),
    ]
    if folder:
        here = pool_folders.read(folder).record
        digests.append(_known("uids in the folder", source.pool_uids_sha256, here.uids_sha256 if here else None, str(folder)))
    about = f"{source.pool or 'without a name'}, {source.effective_pool.samples:,} samples reached"
    return Link(artefact="pool", about=about, digests=tuple(digests), command=commands.of_pool(source.pool, name))


def _suite(name: str, version: int, sha256: str) -> Known:
    return _known("suite", sha256, _today(lambda: suites.load(name, version).digest()), f"eval_suite/suites/{name}.toml")


def _asset(name: str, sha256: str) -> Known:
    return _known(f"asset {name}", sha256, _today(lambda: assets.load(name).sha256), "tracks/assets.toml")


def _known(what: str, sha256: str, found: str | None, note: str = "") -> Known:
    return Known(what=what, sha256=sha256, state="not here" if not found else "OK" if found == sha256 else "FAIL", note=note)


def _of_file(path: Path | None) -> str | None:
    return digest.of_file(path) if path and path.is_file() else None


def _today(of: Callable[[], str]) -> str | None:
    """A digest of our own rooms, None where they know no such record."""
    try:
        return of()
    except DatacompError:
        return None


def _places(stem: str, count: int) -> list[str]:
    return [stem] if count == 1 else [f"{stem}{place}" for place in range(1, count + 1)]
