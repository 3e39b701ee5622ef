"""Small pools of tars with everything that a webdataset may hold: made from a seed, the same bytes everywhere.

tests/test_reshard_parity.py reads them, and benchmarks/parity/reshard.py shows them to the published resharder.
"""

import io
import json
import random
import tarfile
from pathlib import Path

import numpy as np

SEEDS = range(24)
UID = np.dtype("u8,u8")
_EXTENSIONS = ("jpg", "JPG", "jpeg", "png", "webp", "seg.txt", "a.b.c", "cls", "Np", "é", "x" * 70)
_FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)


def make(folder: Path, seed: int) -> Path:
    """Write shards, their stats and `list.npy`, in which uids stand 0, 1, 2 or 5 times; returns the list's path."""
    draw = random.Random(seed)
    folder.mkdir(parents=True)
    listed: list[str] = []
    for shard in range(draw.randint(2, 4)):
        fmt = draw.choice(_FORMATS)
        size = draw.choice((0, 1, 12)) if shard != 1 else 12
        with tarfile.open(folder / f"{shard:08d}.tar", "w", format=fmt) as tar:
            for place in range(size):
                uid = f"{draw.getrandbits(128) if draw.random() > 0.2 else draw.getrandbits(20):032x}"
                listed += [uid] * draw.choice((0, 1, 1, 2, 5))
                _sample(tar, draw, f"{shard:05d}{place:07d}", uid, long_names=fmt != tarfile.USTAR_FORMAT)
        (folder / f"{shard:08d}_stats.json").write_text(json.dumps({"successes": size}))
    listed += [f"{draw.getrandbits(128):032x}" for _ in range(2)]  # of no pool
    array = np.array(sorted((int(uid[:16], 16), int(uid[16:], 16)) for uid in listed), UID)
    np.save(folder / "list.npy", array)
    return folder / "list.npy"


def _sample(tar: tarfile.TarFile, draw: random.Random, key: str, uid: str, *, long_names: bool) -> None:
    """One sample: nearly always with a picture, a caption and a json, and with what else there may be."""
    key = draw.choice((key, key, key, f"part/{key}", f"a.b/{key}", key.replace("0", "K"), key * 12 if long_names else key))
    members = [(draw.choice(_EXTENSIONS[:5]), draw.randbytes(draw.randint(0, 1200))), ("txt", b"a caption"), ("json", _about(draw, uid))]
    if draw.random() < 0.4:  # something is missing
        members.pop(draw.randrange(3))
    if draw.random() < 0.4:
        members.append((draw.choice(_EXTENSIONS[5:] if long_names else _EXTENSIONS[5:9]), draw.randbytes(draw.choice((0, 512, 700)))))
    if draw.random() < 0.3:
        draw.shuffle(members)
    if draw.random() < 0.1:  # an extension comes again: what follows is another sample
        again = draw.choice([member for member in members if member[0] != "json"])  # a second json would be a second sample of one uid
        members.insert(draw.randrange(len(members) + 1), again)
    for extension, data in members:
        _add(tar, f"{key}.{extension.upper() if draw.random() < 0.1 and extension.isascii() else extension}", data)
        if draw.random() < 0.1:
            _other(tar, draw, key)


def _about(draw: random.Random, uid: str) -> bytes:
    about = {"caption": 'a "uid": "0123" of "uid": "00000000000000000000000000000000"', "uid": uid, "nothing": None, "width": 3}
    keys = list(about)
    draw.shuffle(keys)
    return json.dumps({name: about[name] for name in keys}, indent=draw.choice((None, 2)), ensure_ascii=draw.random() < 0.5).encode()


def _other(tar: tarfile.TarFile, draw: random.Random, key: str) -> None:
    """A member that belongs to no sample."""
    kind = draw.choice(("folder", "link", "meta", "hidden", "bare"))
    if kind in ("folder", "link"):
        info = tarfile.TarInfo(f"{key}.{kind}")
        info.type, info.linkname = (tarfile.DIRTYPE, "") if kind == "folder" else (tarfile.SYMTYPE, "/etc/passwd")
        tar.addfile(info)
    else:
        _add(tar, {"meta": "__about__", "hidden": ".hidden", "bare": "README"}[kind], b"of no sample")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
