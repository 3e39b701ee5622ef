"""The pool stage for the web: metadata from the Hub, pictures through img2dataset, an audit, and pool.json last."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from datacomp import files, tables
from datacomp.artifacts import pool as pools
from datacomp.artifacts.pool import PoolRecord
from datacomp.declared import pool as declared
from datacomp.declared.pool import HubSource, PoolSpec
from datacomp.errors import PoolError
from datacomp.launch import local
from datacomp.launch.local import Workers
from datacomp.pool import audit, disk, images, isolated, metadata
from datacomp.pool.metadata import Contents, Wanted
from datacomp.pool.settings import SETTINGS, SHARD_SAMPLES, Settings, Value, read_options

RECORD = "pool.json"
MAX_URL_BYTES = 256 << 20  # of one picture as it lies on the web
_SCALES = {name: f"commonpool_{name}" for name in ("small", "medium", "large", "xlarge")} | {"datacomp_1b": "datacomp_1b"}
_COMMONPOOL = (
    "uid",
    "url",
    "text",
    "original_width",
    "original_height",
    "clip_b32_similarity_score",
    "clip_l14_similarity_score",
    "face_bboxes",
    "sha256",
)
_SLACK_S = 60  # a name resolver's own patience comes on top of a url's time


@dataclass(frozen=True, slots=True)
class Work:
    """How pictures are fetched; none of it changes what a picture is, but for `options` and `url_limit_s`."""

    options: tuple[str, ...] = ()
    part: int = 1
    parts: int = 1
    processes: int | None = None
    threads: int = 128
    passes: int = 2
    url_limit_s: float = 60
    stall_s: float = 180
    shard_samples: int = SHARD_SAMPLES
    command: tuple[str, ...] = ()  # the downloader; by default img2dataset in its own environment


def spec_of(scale: str, own: Path | None = None) -> PoolSpec | None:
    """The pool of the web that is called so, None for one's own tables; raises PoolError that names what there is."""
    if bool(scale) == (own is not None):
        came = f"both {scale} and --metadata came" if scale else "neither a scale nor --metadata came"
        raise PoolError(came, allowed="datacomp pool download SCALE --out DIR, or datacomp pool download --metadata FOLDER --out DIR")
    if not scale:
        return None
    name = _SCALES.get(scale, scale)
    if name not in declared.names():
        raise PoolError(f"no pool is called {scale!r}", allowed=f"{', '.join(_SCALES)}; or --metadata FOLDER with url tables of your own")
    spec = declared.load(name)
    if not isinstance(spec.origin, HubSource):
        raise PoolError(f"pool {name} is not downloaded, it is made", repair=f"datacomp pool make {name} --out DIR")
    return spec


def need(wanted: Wanted, work: Work | None) -> disk.Need:
    """The disk that it takes."""
    return disk.need(wanted.count(), npz=wanted.npz, pictures=work is not None)


def options_of(wanted: Wanted, work: Work) -> dict[str, Value]:
    """img2dataset's options, as far as they are known before the metadata are there."""
    return read_options(work.options, _COMMONPOOL if wanted.spec else metadata.own_columns(wanted))


def check(wanted: Wanted, work: Work | None, *, ignore_disk: bool = False) -> None:
    """Refuse what cannot go well before anything is fetched."""
    if not ignore_disk and not (wanted.out / audit.AUDIT).is_file():  # an audited pool takes what it takes
        disk.check(wanted.out, need(wanted, work))
    if work is None:
        return
    if not 1 <= work.part <= work.parts:
        raise PoolError(f"part {work.part} of {work.parts} was asked for", allowed="I/N with 1 <= I <= N, such as 3/16")
    if work.stall_s < work.url_limit_s + _SLACK_S:
        raise PoolError(
            f"a stall limit of {work.stall_s:g} s is too short for urls that may take {work.url_limit_s:g} s",
            allowed=f"--stall of at least --url-limit + {_SLACK_S}",
        )
    if work.passes < 1 or work.threads < 1:
        raise PoolError(f"{work.passes} passes with {work.threads} threads were asked for", allowed="1 or more of both")
    options_of(wanted, work)


def download(wanted: Wanted, work: Work | None, *, ignore_disk: bool = False, workers: Workers = 1) -> PoolRecord | None:
    """Bring a pool: its metadata and, with `work`, its pictures, fetched where `workers` are. Started again, it goes on; what is complete is returned.

    Returns None where only a part of the pictures was fetched. Raises PoolError, each with what to do.
    """
    check(wanted, work, ignore_disk=ignore_disk)
    contents = metadata.bring(wanted)
    record = wanted.out / RECORD
    if work is None:
        if not record.is_file() and (wanted.out / SETTINGS).is_file():
            raise PoolError(f"{wanted.out} is a pool whose pictures are being fetched", repair="finish that: the same command without --metadata-only")
        if not record.is_file():
            _finish(wanted.out, contents)
        return PoolRecord.read(record)
    _claim(wanted, contents, work)
    if _is_complete(wanted.out, work):
        return PoolRecord.read(record)
    record.unlink(missing_ok=True)
    parts = [(work.part, work.parts)]
    if not local.is_here(workers):
        if work.parts > 1:
            raise PoolError(
                f"part {work.part} of {work.parts} was asked for, and a profile that cuts the work itself", repair="leave out --part, or add --profile here"
            )
        count = local.most_tasks(workers)
        parts = [(number, count) for number in range(1, count + 1)]
    tasks = [
        images.Part(
            pool=wanted.out.resolve(),
            command=work.command or isolated.command(),
            part=part,
            parts=whole,
            processes=work.processes or min(16, local.cores()),
            threads=work.threads,
            passes=work.passes,
            stall_s=work.stall_s,
        )
        for part, whole in parts
    ]
    list(local.run_all(images.fetch, tasks, workers=workers))
    if work.parts > 1:
        return None
    with files.writing(wanted.out):
        audit.audit(wanted.out, work.passes)
        _finish(wanted.out, contents)
        shutil.rmtree(wanted.out / metadata.WORK, ignore_errors=True)
    return PoolRecord.read(record)


def _is_complete(out: Path, work: Work) -> bool:
    """Whether the pictures are there, fetched with these settings and as many passes."""
    if not (out / RECORD).is_file() or PoolRecord.read(out / RECORD).pictures is None:
        return False
    done = audit.Audit.read(out / audit.AUDIT)
    return done.passes >= work.passes and done.tombstones_sha256 == pools.tombstones_sha256(out)


def _claim(wanted: Wanted, contents: Contents, work: Work) -> None:
    """Write down the settings; refuse to go on with others."""
    columns = tables.columns(wanted.out / "metadata" / f"{contents.files[0].stem}.parquet")
    settings = Settings(
        downloader=isolated.version(),
        options=read_options(work.options, columns),
        shard_samples=work.shard_samples,
        url_limit_s=work.url_limit_s,
        max_url_bytes=MAX_URL_BYTES,
    )
    path = wanted.out / SETTINGS
    if not path.is_file():
        with files.writing(wanted.out, wait=True):  # parts may begin together
            if leftover := next((wanted.out / "shards").glob("*.tar"), None):
                raise PoolError(f"{wanted.out} already holds {leftover.name}, which this command did not fetch", repair="choose another --out")
            settings.write(path)
    if (before := Settings.read(path)) != settings:
        old, new = ({**record.plain()["options"], **record.plain(), "options": None} for record in (before, settings))
        names = ", ".join(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
        raise PoolError(f"{wanted.out} holds pictures that were fetched with other settings: {names}", repair=f"give those of {path}, or choose another --out")


def _finish(out: Path, contents: Contents) -> None:
    origin = {"origin": contents.origin} if contents.origin else {}
    fetched = {"pictures": audit.pictures(out)} if (out / audit.AUDIT).is_file() else {}
    record = {"name": contents.name, "samples": contents.samples, "partial": contents.partial, "uids_sha256": contents.uids_sha256, "files": contents.files}
    PoolRecord.of(record | origin | fetched, "what was downloaded").write(out / RECORD)
