"""Handing in: a list for others to run, or a finished run as a bundle; checked as the board will check it, shown before it leaves."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from datacomp import digest, rooms
from datacomp.artifacts import pool as pools
from datacomp.artifacts import queued as queue
from datacomp.artifacts import results, run_folder, shards
from datacomp.artifacts import run as runs
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.entry import Entry
from datacomp.artifacts.queued import Queued
from datacomp.artifacts.run import Run
from datacomp.board import lists as board_lists
from datacomp.board import repeats, review, verify
from datacomp.board.enter import About, Sources
from datacomp.board.verify import Check
from datacomp.declared import board as boards
from datacomp.declared import pool as declared_pools
from datacomp.declared import track as tracks
from datacomp.declared.scale import Scale
from datacomp.errors import DatacompError, EntryError, StageError, SubsetError
from datacomp.submit import bundle as bundles
from datacomp.submit import card, private, push
from datacomp.submit.bundle import Bundle, Pushed
from datacomp.submit.push import Pull
from datacomp.subset.check import check
from datacomp.train import export

SOURCES = "sources.json"


class Leaving(NamedTuple):
    """What is about to leave this machine for one place on the Hub."""

    title: str
    description: str
    content: dict[str, Path]  # by the place there


class State(NamedTuple):
    """Where something that was handed in stands."""

    made: str  # what lies here
    pushed: Pushed | None
    pull: Pull | None


def propose(path: Path, pool: Path, scale: Scale, about: About, out: Path, *, track: str, external: Sequence[str] = (), list_at: str = "") -> Path:
    """Check a list against its pool and write it, with its record, into a folder of its own below `out`; return that folder.

    Raises SubsetError for what is no list, not of the scale's pool or no valid entry, StageError for what would tell of this machine.
    """
    if tracks.load(track).hands_in != "uid list":
        raise SubsetError(f"track {track} takes no list alone", repair="train it yourself, then: datacomp submit prepare")
    opened = pools.read(pool)
    promised, found = declared_pools.load(scale.pool).uids_sha256, opened.record.uids_sha256 if opened.record else ""
    if promised and found != promised:
        raise SubsetError(f"{pool} is not the whole pool {scale.pool}, which scale {scale.name} draws from", repair="give the folder of that pool")
    record = check(path, opened).record
    if record.ineligible:
        raise SubsetError(f"{path} can be no entry: {record.ineligible}", repair="hand in a list that was made otherwise")
    resources = tuple(sorted({*record.external_resources, *external}))
    queued = Queued.of(
        {
            "format": queue.FORMAT,
            "track": track,
            "scale": scale.name,
            "method": about.method,
            "description": about.description,
            "proposed_by": about.author,
            "links": about.links,
            "list_at": list_at,
            "subset": record.model_copy(update={"external_resources": resources} if resources else {}),
        },
        "what is said of the list",
    )
    _demand_public({queue.RECORD: digest.canonical(queued.plain())}, meant=(about.author,))
    return queue.write(out, queued, path)


def prepare(
    finished: Sequence[Run], entry: Entry, out: Path, *, lists: Sequence[Path] | None = None, weights: bool = False, meant: Sequence[str] = ()
) -> Bundle:
    """Write the bundle of an entry and its runs, with weights if wanted, and with its lists, named or beside the runs, unless `lists` is None.

    `meant` are names that somebody wants to be known by, even where they are those of this machine's user.
    Raises EntryError for runs that are not the entry's, StageError for what would tell of this machine.
    """
    content: dict[str, bytes | Path] = {bundles.ENTRY: digest.canonical(entry.plain()).encode()}
    if {run.record.inputs.seed for run in finished} != {run.seed for run in entry.runs}:
        raise EntryError(f"the entry has seeds {', '.join(str(run.seed) for run in entry.runs)}", repair="give the folder of each of its runs, and of no other")
    for run in finished:
        content |= _of_run(run, entry, weights=weights)
    if lists is not None:
        content |= _lists(finished[0], entry, lists)
    if entry.data_sources:
        stated = [source.model_dump(exclude={"weight"}, exclude_unset=True) for source in entry.data_sources]
        content[SOURCES] = digest.canonical({"source": stated, "checklist": entry.answers}).encode()
    content[bundles.CARD] = card.card(entry, content).encode()
    texts = {name: one.decode() if isinstance(one, bytes) else bundles.text(one) for name, one in content.items() if Path(name).suffix in bundles.TEXTS}
    _demand_public(texts, meant)
    return bundles.write(out, content)


def _of_run(run: Run, entry: Entry, *, weights: bool) -> dict[str, bytes | Path]:
    seed = run.record.inputs.seed
    folder = run_folder.of_seed(Path(), seed).as_posix()
    if problem := verify.against_run(entry, run.path)[0].problem:
        raise EntryError(f"{run.path} is not what the entry says of seed {seed}: {problem}", repair="give the entry's own runs")
    content: dict[str, bytes | Path] = {
        f"{folder}/{runs.RECORD}": run.path / runs.RECORD,
        results.path_in(Path(folder), entry.suite).as_posix(): results.path_in(run.path, entry.suite),
    }
    if weights:
        last = run.record.checkpoints[-1]
        place = runs.weights_path(Path(folder), last.step)
        content[place.as_posix()] = run.weights()
        for name, one in export.beside_weights(run, run.record.inputs.recipe(), last, place.parent.as_posix()).items():
            content[f"{place.parent.as_posix()}/{name}"] = one
    return content


def _lists(run: Run, entry: Entry, given: Sequence[Path]) -> dict[str, bytes | Path]:
    """The list of every source, found by its digest among those given and those beside the run."""
    sources = entry.runs[0].sources
    beside = [run.path.parent / source.name / shards.LIST for source in sources if "/" not in source.name]
    found = {subsets.describe(subsets.map_file(path)).uids_sha256: path for path in (*beside, *given) if path.is_file()}
    content: dict[str, bytes | Path] = {}
    for number, source in enumerate(sources, 1):
        if source.subset.uids_sha256 not in found:
            raise SubsetError(f"the list of {source.name} does not lie beside {run.path}", repair="say where it is: --list LIST.npy")
        stem = board_lists.in_bundle(number, len(sources))
        content[stem] = found[source.subset.uids_sha256]
        content[subsets.sidecar(Path(stem)).as_posix()] = digest.canonical(source.subset.plain()).encode()
    return content


def _demand_public(texts: Mapping[str, str], meant: Sequence[str]) -> None:
    """Raise StageError for texts that tell of this machine or hold an e-mail address."""
    for name, text in texts.items():
        if told := private.told(text, meant=meant):
            raise StageError(
                f"{name} would make public {' and '.join(told)}",
                repair="say it otherwise (--author, --method, --description, --link, …); make the list or the run anew where its own record says it",
            )


def validate(path: Path) -> list[Check]:
    """Every check of a bundle, or of an entry by itself.

    Raises RecordError or StageError for what is neither.
    """
    if not path.is_dir():
        entry, checks = verify.for_newcomer(path)
        return [*checks, *_among(entry, path)]
    bundle = bundles.read(path)
    found = [Check(f"file {name}", bundles.problem(path, name, file)) for name, file in bundle.files.items()]
    if any(one.problem for one in found):
        return found
    entry, checks = verify.for_newcomer(path / bundles.ENTRY)
    found += [*checks, *_among(entry, path / bundles.ENTRY)]
    for seed in entry.runs:
        folder = run_folder.of_seed(path, seed.seed)
        has_weights = any(name.startswith(f"{folder.name}/checkpoints/") for name in bundle.files)
        checked, of_seed = verify.against_run(entry, folder, weights=has_weights)
        found.append(Check(checked.name, checked.problem or ("" if of_seed == seed.seed else f"it has seed {of_seed}")))
    return [*found, *_list_checks(path, bundle, entry), *_text_checks(path, bundle, entry)]


def _among(entry: Entry, path: Path) -> list[Check]:
    """What the entries of this copy of the board say against one, but for itself."""
    there = repeats.read(rooms.leaderboard() / "entries", path)
    return review.among(entry, {name: other for name, other in there.items() if other != entry})


def _list_checks(path: Path, bundle: Bundle, entry: Entry) -> list[Check]:
    sources = entry.runs[0].sources
    expected = {board_lists.in_bundle(number, len(sources)): source.subset for number, source in enumerate(sources, 1)}
    found = []
    for name, record in expected.items():
        if name in bundle.files:
            try:
                problem = "" if subsets.read(path / name).record == record else "it is not the list that the entry names"
            except DatacompError as error:
                problem = str(error)
            found.append(Check(f"list {name}", problem))
    return found


def _text_checks(path: Path, bundle: Bundle, entry: Entry) -> list[Check]:
    found = [
        Check(f"{name} tells nothing of this machine", " and ".join(private.told(text, meant=(entry.proposed_by, entry.run_by))))
        for name, text in bundles.texts(path, bundle).items()
    ]
    if entry.data_sources:
        stated = Sources.read(path / SOURCES) if SOURCES in bundle.files else None
        said = [one.model_dump(exclude={"weight"}) for one in entry.data_sources]
        same = stated and stated.checklist == entry.answers and [one.model_dump() for one in stated.source] == said
        found.append(Check("the table of sources", "" if same else "it is not what the entry says"))
    return found


def leaving(path: Path) -> tuple[Leaving | None, Leaving]:
    """What leaves this machine when a bundle or a queued list is pushed: for a repository of one's own, and for the board."""
    if (path / queue.RECORD).is_file():
        queued = Queued.read(path / queue.RECORD) if not (path / queue.LIST).is_file() else queue.read(path)[0]
        said = f"{queued.subset.samples:,} samples, track {queued.track}, scale {queued.scale}, proposed by {queued.proposed_by}"
        how = f"Whoever has machines runs it: datacomp run --queued {queued.id}"
        return None, Leaving(f"{_key(path)} {queued.method}", f"{said}. uids: sha256 {queued.subset.uids_sha256}. {how}", queue.files(path))
    bundle, entry = bundles.read(path), Entry.read(path / bundles.ENTRY)
    message = f"{entry.method}: {entry.track}, {entry.scale}"
    own = Leaving(message, "", {name: path / name for name in (*bundle.files, bundles.RECORD)})
    said = f"track {entry.track}, scale {entry.scale}, proposed by {entry.proposed_by}, run by {entry.run_by}"
    where = {bundles.place(entry, bundle.id): path / bundles.ENTRY}
    return own, Leaving(f"{_key(path)} {entry.method}", f"{said}. sha256 {bundle.files[bundles.ENTRY].sha256}", where)


def hand_in(path: Path, repository: str = "") -> State:
    """Upload a bundle to a repository of one's own, if one is named, and open a pull request on the board, if there is one.

    What an earlier try did is found and not done again. Raises EntryError for a bundle that the board would refuse.
    """
    own, board = leaving(path)
    address = boards.load().repository
    if own and (problems := [one for one in validate(path) if one.problem]):
        raise EntryError(f"{path} does not hold: {problems[0].name}: {problems[0].problem}", repair="look at all of it with: datacomp submit validate")
    if not address and not repository:
        return state(str(path))
    push.demand_token()
    if own and repository:
        Pushed(repository=repository, commit=push.upload(repository, own.content, own.title)).write(path / bundles.PUSHED)
    if address:
        pushed = _pushed(path)
        said = f"{board.description}. Bundle: data set {pushed.repository} of the Hub, commit {pushed.commit}" if pushed else board.description
        push.open_pull(address, _key(path), board.title, said, board.content)
    return state(str(path))


def state(wish: str) -> State:
    """Where a bundle, a queued list or, by its id, anything that was handed in stands."""
    path = Path(wish)
    if path.is_dir():
        made = "queued list" if (path / queue.RECORD).is_file() else "bundle"
        key, pushed = _key(path), _pushed(path)
    elif re.fullmatch(r"[0-9a-f]{16}", wish):
        made, key, pushed = "", wish, None
    else:
        raise StageError(f"{wish} is neither a folder nor an id", allowed="the folder of a bundle or a queued list, or the 16 digits that it is called by")
    address = boards.load().repository
    pull = push.find(address, key) if address else None
    return State(made, pushed, pull)


def _key(path: Path) -> str:
    """The id of a bundle or a queued list: what the titles of its pull requests begin with."""
    return Queued.read(path / queue.RECORD).id if (path / queue.RECORD).is_file() else bundles.read(path).id


def _pushed(path: Path) -> Pushed | None:
    return Pushed.read(path / bundles.PUSHED) if (path / bundles.PUSHED).is_file() else None
