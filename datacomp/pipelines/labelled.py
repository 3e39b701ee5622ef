"""Labelled pictures as pairs for contrastive tuning: a picture's caption is the name of its class in a prompt template.

Contrastive tuning on such pairs keeps what a network knows better than a new classifier does (FLYP, Goyal et al. 2023, arXiv 2212.00638). Each picture
comes with one template, drawn by the seed; over a whole set all templates come up.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from datacomp import digest, draws, files, tars, uids
from datacomp.artifacts.filter_network import Labelled
from datacomp.errors import StageError
from datacomp.evaluate import sets

_CLASS = "{c}"
_RECORD = "labelled.json"
_MAX_SHARD_SAMPLES = 10_000


class Prompts(NamedTuple):
    """Class names and templates of a set, or those that its evaluation uses."""

    class_names: tuple[str, ...]
    templates: tuple[str, ...]


def write(folder: Path, out: Path, seed: int, *, shard_samples: int = _MAX_SHARD_SAMPLES) -> Labelled:
    """Write the training split of a set in the published layout as training shards into `out`; finished ones are kept.

    Raises StageError for a set without a training split, class names or templates, and for a label that no class has.
    """
    split, prompts = sets.read_train(folder), _prompts(folder)
    asked = {"content_sha256": split.content_sha256, "prompts_sha256": digest.of_content(prompts._asdict())}
    with files.writing(out):
        if (out / _RECORD).is_file() and (done := Labelled.read(out / _RECORD)).model_dump().items() >= asked.items():
            return done
        files.empty(out)
        names = sets.samples(split)
        count, ended = 0, False
        while not ended:
            with files.whole(out / f"{count // shard_samples:08d}.tar") as temporary, tars.TarWriter(temporary) as writer:
                for _ in range(shard_samples):
                    sample = next(names, None)
                    if sample is None:
                        ended = True
                        break
                    _add(writer, sample, prompts, count, seed)
                    count += 1
        if count and count % shard_samples == 0:
            (out / f"{count // shard_samples:08d}.tar").unlink()  # the one that stayed empty
        if not count:
            raise StageError(f"the training split of {folder} is empty", repair="make it again")
        record = Labelled.of({"source": folder.name, "samples": count} | asked, "a labelled set")
        record.write(out / _RECORD)
    return record


def _prompts(folder: Path) -> Prompts:
    texts = [
        tuple(line.strip() for line in (folder / name).read_text(encoding="utf-8").splitlines()) if (folder / name).is_file() else ()
        for name in (sets.CLASSES, sets.TEMPLATES)
    ]
    found = Prompts(*texts)
    if not found.class_names or not found.templates or not all(_CLASS in template for template in found.templates):
        raise StageError(
            f"{folder} lacks class names or templates", allowed=f"{sets.CLASSES} and {sets.TEMPLATES}, one a line, {_CLASS} for the class in each template"
        )
    return found


def _add(writer: tars.TarWriter, sample: sets.Sample, prompts: Prompts, number: int, seed: int) -> None:
    label = sets.label(sample)
    if label >= len(prompts.class_names):
        raise StageError(f"{sample.where} has label {label}, there are {len(prompts.class_names)} classes", repair="give the class names of the set")
    template = prompts.templates[int(draws.below(len(prompts.templates), seed, "prompt template", number))]
    caption = template.replace(_CLASS, prompts.class_names[label]).encode()
    uid = hashlib.sha256(hashlib.sha256(sample.picture).digest() + caption).hexdigest()[: uids.HEX_DIGITS]  # as pools of one's own pictures have it
    key = f"{number:09d}"
    writer.add(f"{key}.{_extension(sample.picture)}", sample.picture)
    writer.add(f"{key}.json", digest.canonical({"uid": uid, "caption": caption.decode()}).encode())
    writer.add(f"{key}.txt", caption)


def _extension(picture: bytes) -> str:
    return "png" if picture.startswith(b"\x89PNG") else "webp" if picture[8:12] == b"WEBP" else "jpg"
