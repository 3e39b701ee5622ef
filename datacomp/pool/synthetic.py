"""The pool stage for generated worlds: a seed in, a pool in CommonPool's format out, with what each sample really is in truth/."""

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from datacomp import digest, draws, files, progress, tables, tars, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts.pool import Pool, PoolFile, PoolRecord
from datacomp.declared import pool as declared
from datacomp.declared import scale as scales
from datacomp.declared.pool import GeneratedSource, PoolSpec, ReferenceNetwork
from datacomp.errors import PoolError
from datacomp.launch import local
from datacomp.network.embed import Embedder
from datacomp.pool import draw, world

FILE_SAMPLES = 10_000
JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class _Part:
    """One metadata file and its tar, to be made."""

    out: Path
    number: int
    start: int
    samples: int
    seed: int
    mixture: world.Mixture
    references: tuple[ReferenceNetwork, ...]

    @property
    def stem(self) -> str:
        return f"{self.number:08d}"

    @property
    def stats(self) -> Path:
        """Written last: the part is complete."""
        return self.out / "shards" / f"{self.stem}_stats.json"


def make(
    spec: PoolSpec, out: Path, *, seed: int | None = None, samples: int | None = None, mixture: world.Mixture = world.POOL, workers: int | None = None
) -> Pool:
    """Draw a pool into `out`; a killed call goes on with the files that are not complete.

    Sample i is a function of the seed and i alone, so a smaller pool is the beginning of a larger one.
    Raises PoolError for a pool that is not generated, and where `out` holds another pool.
    """
    origin, seed, samples = _ask(spec, seed, samples)
    name = spec.name if seed == origin.seed else f"{spec.name}-seed{seed}"
    starts = range(0, samples, FILE_SAMPLES)
    parts = [_Part(out, i, start, min(FILE_SAMPLES, samples - start), seed, mixture, origin.references) for i, start in enumerate(starts)]
    networks: dict[str, str] = {network.prefix: network.sha256 for network in origin.references}
    with files.writing(out):
        if (out / "pool.json").is_file():
            return _same(pools.read(out), name, samples, networks)
        asked = digest.canonical({"pool": spec.digest(), "seed": seed, "samples": samples})
        _claim(out / pools.PLAN, asked)
        made = list(progress.show(local.run_all(_make_part, parts, workers=workers), total=samples, unit=" samples", title="make pool", step=FILE_SAMPLES))
        everything = sample_uids(seed, np.arange(samples))
        record = PoolRecord(
            name=name,
            samples=samples,
            partial=samples != spec.samples,
            uids_sha256=uids.digest_of(everything[uids.order(everything)]),
            content_sha256=digest.of_content(made),
            files=tuple(PoolFile(stem=part.stem, samples=part.samples) for part in parts),
            networks=networks,
        )
        record.write(out / "pool.json")
    return pools.read(out)


def _ask(spec: PoolSpec, seed: int | None, samples: int | None) -> tuple[GeneratedSource, int, int]:
    if not isinstance(spec.origin, GeneratedSource):
        raise PoolError(f"pool {spec.name} lies on the web and is not generated", allowed="smoke, nano, micro")
    samples = spec.samples if samples is None else samples
    if not 0 < samples <= spec.samples:
        raise PoolError(f"{samples:,} samples were asked of pool {spec.name}", allowed=f"1 to {spec.samples:,}")
    return spec.origin, spec.origin.seed if seed is None else seed, samples


def _same(pool: Pool, name: str, samples: int, networks: dict[str, str]) -> Pool:
    assert pool.record is not None
    repair = "choose another --out, or remove that folder"
    if (pool.record.name, pool.record.samples) != (name, samples):
        raise PoolError(f"{pool.path} holds pool {pool.record.name} with {pool.record.samples:,} samples", repair=repair)
    if pool.record.networks != networks:
        raise PoolError(f"{pool.path} holds pool {name} with scores of other reference networks than today's", repair=repair)
    return pool


def _claim(path: Path, asked: str) -> None:
    if path.is_file() and path.read_text() != asked:
        raise PoolError(f"{path.parent} holds an unfinished pool with other samples or another seed", repair="choose another --out, or remove that folder")
    files.write_text(path, asked)


def sample_uids(seed: int, indices: np.ndarray[Any, np.dtype[np.int64]]) -> uids.UidArray:
    """The uids of some samples of a generated world."""
    made = np.empty(len(indices), uids.UID)
    made["f0"], made["f1"] = draws.bits(seed, "uid upper", indices), draws.bits(seed, "uid lower", indices)
    return made


def encode(pixels: draw.Pixels) -> bytes:
    """Store a picture as the web's are: as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _make_part(part: _Part) -> str:
    """Make one part unless it is complete; return the digest of its uids, captions and pixels before encoding."""
    if part.stats.is_file():
        return str(json.loads(part.stats.read_text())["content_sha256"])
    indices = np.arange(part.start, part.start + part.samples)
    scenes = world.scenes(part.mixture, part.seed, indices)
    ids = sample_uids(part.seed, indices)
    content, pictures = hashlib.sha256(), []
    for uid, scene in zip(uids.text(ids), scenes.iter_rows(named=True), strict=True):
        pixels = draw.picture(scene, part.seed)
        content.update(uid.encode() + scene["caption"].encode() + pixels.tobytes())
        pictures.append(encode(pixels))
    sizes = _original_sizes(scenes, part.seed)
    _write_tar(part, ids, scenes["caption"].to_list(), pictures, sizes)
    truth = scenes.drop("shot", "caption", "outline", "noise").with_columns(uid=pl.Series(uids.text(ids)))
    tables.write_parquet(part.out / "truth" / f"{part.stem}.parquet", truth)
    _write_metadata(part, ids, scenes["caption"].to_list(), pictures, sizes)
    stats = {"count": part.samples, "successes": part.samples, "failed_to_download": 0, "failed_to_resize": 0, "status_dict": {"success": part.samples}}
    files.write_text(part.stats, digest.canonical({**stats, "content_sha256": content.hexdigest()}))
    return content.hexdigest()


def _original_sizes(scenes: pl.DataFrame, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The size that each picture had on the web before it was stored, shape (N, 2): width, height."""
    shot = scenes["shot"].to_numpy()
    shorter = 220 + draws.below(800, seed, "shorter side", shot)
    aspect = 1 + draws.uniform(seed, "aspect", shot) * 0.8
    kind = scenes["picture_kind"].to_numpy()
    shorter = np.where(kind == "tiny", 40 + draws.below(120, seed, "tiny side", shot), shorter)
    aspect = np.where(kind == "extreme aspect", 3.3 + 4 * draws.uniform(seed, "extreme aspect", shot), aspect)
    longer = (shorter * aspect).astype(np.int64)
    wide = draws.uniform(seed, "wide", shot) < 0.6
    wide |= kind == "extreme aspect"  # these were squeezed from the sides
    return np.stack([np.where(wide, longer, shorter), np.where(wide, shorter, longer)], axis=1)


def _write_tar(part: _Part, ids: uids.UidArray, captions: list[str], pictures: list[bytes], sizes: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    with files.whole(part.out / "shards" / f"{part.stem}.tar") as temporary, tars.TarWriter(temporary) as writer:
        for row, (uid, caption, picture, size) in enumerate(zip(uids.text(ids), captions, pictures, sizes, strict=True)):
            key = f"{part.stem}{row:04d}"
            about = {"uid": uid, "caption": caption, "key": key, "original_width": int(size[0]), "original_height": int(size[1]), "status": "success"}
            writer.add(f"{key}.jpg", picture)
            writer.add(f"{key}.json", json.dumps(about, ensure_ascii=False).encode())
            writer.add(f"{key}.txt", caption.encode())


def _write_metadata(part: _Part, ids: uids.UidArray, captions: list[str], pictures: list[bytes], sizes: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    host = draws.below(900, part.seed, "host", np.arange(part.start, part.start + part.samples))
    table = pl.DataFrame(
        {
            "uid": uids.text(ids),
            "url": [f"https://pictures-{n}.example/{uid[:12]}.jpg" for n, uid in zip(host, uids.text(ids), strict=True)],
            "text": captions,
            "original_width": sizes[:, 0],
            "original_height": sizes[:, 1],
            "face_bboxes": pl.Series([[]] * part.samples, dtype=pl.List(pl.List(pl.Float64))),
            "sha256": [digest.of_bytes(picture) for picture in pictures],
        }
    )
    features: dict[str, np.ndarray[Any, Any]] = {}
    crops: dict[str, np.ndarray[Any, np.dtype[np.uint8]]] = {}  # by scale, whose transform makes them: (N, size, size, 3)
    local.set_threads(1)  # so that the scores' last bits do not depend on the number of processes
    for reference in part.references:
        network = _network(reference)
        if reference.scale not in crops:
            crops[reference.scale] = np.stack([network.crop(picture) for picture in pictures])
        images = network.images(crops[reference.scale])  # (N, D)
        texts = network.texts(captions)  # (N, D)
        features |= {f"{reference.prefix}_img": images.astype(np.float16), f"{reference.prefix}_txt": texts.astype(np.float16)}
        table = table.with_columns(pl.Series(f"clip_{reference.prefix}_similarity_score", (images * texts).sum(axis=1)))
    if features:
        tables.write_npz(part.out / "metadata" / f"{part.stem}.npz", features)
    tables.write_parquet(part.out / "metadata" / f"{part.stem}.parquet", table)


@cache
def _network(reference: ReferenceNetwork) -> Embedder:
    return Embedder(scales.load(reference.scale), declared.reference_weights(reference))
