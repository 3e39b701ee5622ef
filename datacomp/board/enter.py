"""The entry stage: finished runs with their results in, an entry out."""

from collections.abc import Mapping, Sequence
from typing import Literal

from datacomp import digest
from datacomp.artifacts import loss_curve, run_folder
from datacomp.artifacts import results as results_files
from datacomp.artifacts.entry import FORMAT, DataSource, Description, Entry, Link, Name, SeedLeftOut, SeedRun
from datacomp.artifacts.list_report import ListReport
from datacomp.artifacts.results import Results
from datacomp.artifacts.run import RECORD as RUN
from datacomp.artifacts.run import REHEARSAL, Run, RunRecord, Source
from datacomp.board import averages, told
from datacomp.declared import pool as pools
from datacomp.declared import release as releases
from datacomp.declared.scale import Scale
from datacomp.declared.suite import Suite
from datacomp.declared.track import Question, Track
from datacomp.errors import DatacompError, EntryError
from datacomp.records import Line, Record

MODIFIED_CODE, UNRELEASED_CODE, CHOSEN_SEEDS = "modified code", "unreleased code", "seeds not from 0 on"
TESTS_ONLY = "for tests only"  # a mark


class Stated(Record):
    """What a participant says of one source, in sources.toml."""

    name: Name
    url: Link | Literal[""] = ""
    origin: Description
    text: Description
    licence: Name


class Sources(Record):
    """sources.toml: every source of the training samples, and the answers to the track's checklist."""

    source: tuple[Stated, ...]
    checklist: dict[Line, Description]


class About(Record):
    """What only people can say of an entry."""

    method: Name
    author: Name  # who proposed the list
    run_by: Name | Literal[""] = ""  # who ran it; the author where nothing is said
    description: Description = ""
    links: tuple[Link, ...] = ()
    sources: Sources | None = None  # for tracks that take one's own data
    seeds_left_out: tuple[SeedLeftOut, ...] = ()
    list_reports: tuple[ListReport, ...] = ()


def enter(runs: Sequence[Run], suite: Suite, track: Track, about: About) -> Entry:
    """Join runs of one list, which differ by their seeds, into an entry.

    Raises EntryError where they are of several lists or scales, break a rule of the track, or leave a run beside them out without a word.
    """
    inputs = runs[0].record.inputs
    if any(run.record.inputs.recipe_sha256 != inputs.recipe_sha256 for run in runs):
        raise EntryError("the runs followed different recipes", allowed="runs of one list and one recipe that differ by their seeds")
    scale = inputs.recipe()
    _demand_all_seeds(runs, suite, {one.seed for one in about.seeds_left_out})
    seeds = tuple(seed_run(run, suite) for run in runs)
    entry = Entry.of(
        {
            "format": FORMAT,
            "track": track.name,
            "rules_sha256": track.digest(),
            "scale": scale.name,
            "recipe_sha256": inputs.recipe_sha256,
            "suite": suite.spec.name,
            "suite_version": suite.spec.version,
            "suite_sha256": suite.digest(),
            "division": inputs.division,
            "method": about.method,
            "description": about.description,
            "proposed_by": about.author,
            "run_by": about.run_by or about.author,
            "links": about.links,
            **repeated(seeds),
            "data_sources": _data_sources(seeds[0], about.sources),
            "answers": about.sources.checklist if about.sources else {},
            "marks": (),
            "runs": seeds,
            "aggregates": averages.aggregates(suite, [seed.tasks for seed in seeds]),
        }
        | ({"changes": inputs.changes} if inputs.changes else {})
        | ({"seeds_left_out": about.seeds_left_out} if about.seeds_left_out else {})
        | ({"list_reports": about.list_reports} if about.list_reports else {}),
        "what the runs add up to",
    )
    if problems := [*broken_rules(entry, scale, track), *told.problems(entry, scale)]:
        raise EntryError(problems[0], repair="see tracks/rules/, leaderboard/RULES.md and docs/guide.md")
    return entry.model_copy(update={"marks": marks(entry, scale, suite)})


def _demand_all_seeds(runs: Sequence[Run], suite: Suite, left_out: set[int]) -> None:
    """Refuse to leave out what lies beside the runs: a finished run of the same list and recipe that was evaluated on the suite."""
    given = {run.record.inputs.seed for run in runs}
    one = runs[0].record.inputs.model_copy(update={"seed": 0})
    for place in sorted({path for run in runs for path in run.path.parent.glob(f"*/{RUN}")}):
        try:
            inputs = RunRecord.read(place).inputs
        except DatacompError:
            continue
        alike = inputs.model_copy(update={"seed": 0}) == one and inputs.seed not in given | left_out
        if alike and results_files.path_in(place.parent, suite.spec.name).is_file():
            raise EntryError(
                f"{place.parent} is a run of the same list and recipe with seed {inputs.seed}, and no part of the entry",
                allowed="an entry of all seeds, whatever came out",
                repair=f"name it too, or say why it is left out: --left-out '{inputs.seed}: REASON'",
            )


def repeated(runs: Sequence[SeedRun]) -> dict[str, object]:
    """The fields of an entry that say once more what its runs say."""
    first = runs[0].sources[0]
    resources = {resource for run in runs for source in run.sources for resource in source.subset.external_resources}
    return {"pool": first.pool, "pool_uids_sha256": first.pool_uids_sha256, "external_resources": tuple(sorted(resources))}


def check_told(about: About, track: Track) -> None:
    """Refuse an entry of which too little is said for its track, before anything is computed."""
    if track.hands_in != "sources":
        if about.sources is not None:
            raise EntryError(f"track {track.name} takes one list of uids; a table of sources came", repair="leave out --sources, or add --track byod")
        return
    if about.sources is None or _unanswered(track, about.sources.checklist):
        raise EntryError(
            f"track {track.name} wants every source told and its checklist answered",
            allowed=", ".join(f"{question.id}: {question.text}" for question in track.checklist),
            repair="write sources.toml as docs/guide.md shows, and add --sources sources.toml",
        )


def _data_sources(run: SeedRun, sources: Sources | None) -> tuple[DataSource, ...]:
    """What is said of each source, with the weight that it had. Raises EntryError where the names are not the run's."""
    if sources is None:
        return ()
    weights = {source.name: source.weight for source in run.sources}
    if sorted(weights) != sorted(stated.name for stated in sources.source):
        raise EntryError(
            f"the table names {', '.join(stated.name for stated in sources.source) or 'no source'}", allowed=f"the run's sources: {', '.join(weights)}"
        )
    return tuple(DataSource(**stated.model_dump(), weight=weights[stated.name]) for stated in sources.source)


def seed_run(run: Run, suite: Suite) -> SeedRun:
    """What an entry says of one run: its record and its results under the suite.

    Raises EntryError for a rehearsal, and where the results are missing, another checkpoint's, or another suite version's.
    """
    if run.record.inputs.division == REHEARSAL:
        raise EntryError(
            f"{run.path} is a rehearsal of {run.record.inputs.rehearsed_steps:,} steps, which is no entry",
            repair="train with the same command without --rehearse",
        )
    if run.record.inputs.initial_sha256:
        raise EntryError(f"{run.path} did not begin with fresh weights, so it is no entry", repair="train without --initial")
    path = results_files.path_in(run.path, suite.spec.name)
    again = f"datacomp evaluate --run {run.path} --suite {suite.spec.name}"
    if not path.is_file():
        raise EntryError(f"{run.path} has no results under suite {suite.spec.name}", repair=again)
    found = Results.read(path)
    record = run.record
    curve = loss_curve.of_log(((line.step, line.loss) for line in run_folder.log(run.path)), record.checkpoints[-1].step)
    if found.weights_sha256 != record.checkpoints[-1].sha256:
        raise EntryError(f"{path} holds results of another checkpoint", repair=f"remove it, then: {again}")
    if found.suite_sha256 != suite.digest():
        raise EntryError(f"{path} holds results under another version of suite {suite.spec.name}", repair=again)
    told_of_training = {"loss_curve": curve} if curve else {}
    return SeedRun(
        seed=record.inputs.seed,
        run_sha256=run.digest,
        results_sha256=digest.of_file(path),
        weights_sha256=found.weights_sha256,
        samples_seen=record.samples_seen,
        corrupt_samples=record.corrupt_samples,
        sources=record.inputs.sources,
        code=record.code,
        packages=record.packages,
        device=record.device,
        tasks=found.tasks,
        **told_of_training,
    )


def broken_rules(entry: Entry, scale: Scale, track: Track) -> list[str]:
    """What in an entry is against its track or its scale, in words; empty when nothing is."""
    found = ["a rehearsal is no entry: it took some steps of the recipe"] if entry.division == REHEARSAL else []
    seeds = [run.seed for run in entry.runs]
    if len(set(seeds)) != len(seeds):
        found.append(f"two runs of the entry have the same seed: {', '.join(map(str, seeds))}")
    if any(run.sources != entry.runs[0].sources for run in entry.runs):
        found.append("the entry's runs were trained on different shards")
    if (entry.division == "open") != bool(entry.changes):
        found.append(f"an entry of the {entry.division} division has {len(entry.changes)} changes of the recipe")
    expected = scale.budget.samples_seen
    found += [
        f"the run with seed {run.seed} saw {run.samples_seen:,} samples, scale {scale.name} has {expected:,}"
        for run in entry.runs
        if run.samples_seen != expected
    ]
    counted = {source.name: _uncounted(source) for source in entry.runs[0].sources if source.pool_uids_sha256}  # own tars may hold samples without a uid
    found += [f"source {name}: {problem}" for name, problem in counted.items() if problem]
    if track.uids_from_pool_only:
        found.extend(_outside_pool(entry, scale))
    if track.hands_in == "sources":
        found.extend(_untold(entry, track))
    return found


def _uncounted(source: Source) -> str:
    """Why the samples of a list do not add up: those found and those missing are all, and no more are different than there are."""
    listed, missing = source.subset, sum(source.missing_samples.values())
    if source.samples + missing != listed.samples:
        return f"{source.samples:,} samples found and {missing:,} missing are not the {listed.samples:,} of its list"
    return "" if 0 < listed.distinct_samples <= listed.samples else f"{listed.distinct_samples:,} of its {listed.samples:,} samples are different ones"


def _untold(entry: Entry, track: Track) -> list[str]:
    """What track byod wants to know of each source, and is not said."""
    told = {(source.name, source.weight) for source in entry.data_sources}
    found = [f"nothing is said of source {source.name}" for source in entry.runs[0].sources if (source.name, source.weight) not in told]
    return found + [f"the checklist's question {question.id!r} is not answered: {question.text}" for question in _unanswered(track, entry.answers)]


def _unanswered(track: Track, answers: Mapping[str, str]) -> list[Question]:
    return [question for question in track.checklist if not answers.get(question.id, "").strip()]


def _outside_pool(entry: Entry, scale: Scale) -> list[str]:
    found = []
    expected = pools.load(scale.pool).uids_sha256
    if expected and entry.pool_uids_sha256 != expected:
        found.append(f"the list was made from pool {entry.pool!r} ({entry.pool_uids_sha256[:12]}…), not from {scale.pool} ({expected[:12]}…)")
    if not entry.pool_uids_sha256 and not any(source.subset.ineligible for source in entry.runs[0].sources):
        found.append("the entry does not say which pool its list is from")
    foreign = sum(source.missing_samples.get("not in the pool", 0) for source in entry.runs[0].sources)
    if foreign:
        found.append(f"{foreign:,} uids of the list are not in the pool")
    if len(entry.runs[0].sources) != 1:
        found.append(f"track {entry.track} takes one list, this entry has {len(entry.runs[0].sources)} sources")
    return found


def marks(entry: Entry, scale: Scale, suite: Suite) -> tuple[str, ...]:
    """What a reader must know before comparing this entry with others."""
    sources = entry.runs[0].sources
    reasons = [f"no valid entry: {source.subset.ineligible}" for source in sources if source.subset.ineligible]
    missing = sum(sum(source.missing_samples.values()) for source in sources)
    said = {
        "draft scale": scale.status == "draft",
        "draft suite": suite.spec.status == "draft",
        TESTS_ONLY: not scale.board,
        "open division": entry.division == "open",
        "single seed": len(entry.runs) == 1,
        f"{missing:,} samples missing": missing > 0,
    }
    return (*reasons, *(mark for mark, holds in said.items() if holds))


def seed_mark(entry: Entry) -> str:
    """Whether seeds from 0 to the highest are neither in the entry nor left out with a reason. Entries of before knew no such rule, so it stands in none."""
    told = {run.seed for run in entry.runs} | {one.seed for one in entry.seeds_left_out}
    return "" if told == set(range(len(told))) else CHOSEN_SEEDS


def code_mark(entry: Entry) -> str:
    """Whether runs were made with code that no release has. It does not stand in the entry: a later release may be that code."""
    known, codes = releases.known(), [run.code for run in entry.runs]
    if any(code.version in known and code.sha256 != known[code.version] for code in codes):
        return MODIFIED_CODE
    return UNRELEASED_CODE if any(code.version not in known for code in codes) else ""
