"""What a webdataset tar of somebody's own holds: pairs of picture and caption, or of each sample that is none, why.

A sample is what shares a key: one picture (jpg, jpeg, png or webp) and a caption, in `txt` or else in the json's "caption". Names are
labels, and nothing but these members is ever opened.

The uid of a pair is the first 128 bits of sha256(sha256(picture) + caption), the inner digest as 32 bytes, the caption in UTF-8, so that
it can be computed from the metadata's sha256 and text columns. A json that brings a "uid" of 32 lowercase hex digits keeps it.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from datacomp import tars, uids

MAX_PICTURE_BYTES = 256 << 20
MAX_CAPTION_BYTES = 64 << 10
MAX_JSON_BYTES = 1 << 20

_UID = re.compile(r"[0-9a-f]{32}")


class Reason(StrEnum):
    """Why a sample is not taken into a pool."""

    MEMBER_TWICE = "a member stands twice"
    NO_PICTURE = "no picture"
    SEVERAL_PICTURES = "several pictures"
    LARGE_PICTURE = f"a picture above {MAX_PICTURE_BYTES:,} bytes"
    BROKEN_PICTURE = "a picture that cannot be decoded"
    EXTREME_SHAPE = f"a picture more than {tars.MAX_ASPECT:,} times as long as wide"
    BROKEN_JSON = "a json that is none"
    NO_CAPTION = "no caption"
    EMPTY_CAPTION = "an empty caption"
    LONG_CAPTION = f"a caption above {MAX_CAPTION_BYTES:,} bytes"
    NO_TEXT = "a caption that is no UTF-8"
    DUPLICATE = "a duplicate"
    UID_TAKEN = "the uid of another pair"


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture, encoded, with its caption; `about` is the sample's json."""

    extension: str
    picture: bytes
    caption: str
    about: dict[str, Any]

    def picture_sha256(self) -> bytes:
        """The digest of the picture's bytes, 32 bytes."""
        return hashlib.sha256(self.picture).digest()

    def digest(self) -> bytes:
        """The digest of picture and caption, 32 bytes."""
        return hashlib.sha256(self.picture_sha256() + self.caption.encode()).digest()

    def given_uid(self) -> str | None:
        """The uid that the json brings, if it is one."""
        given = self.about.get("uid")
        return given if isinstance(given, str) and _UID.fullmatch(given) else None

    def uid(self) -> str:
        """The uid, 32 hex digits."""
        return self.given_uid() or self.digest().hex()[: uids.HEX_DIGITS]

    def original_size(self, stored: tuple[int, int]) -> tuple[int, int]:
        """Width and height before anybody resized the picture: the json's, as img2dataset writes them, else those of the stored one."""
        width, height = (self.about.get(f"original_{side}") for side in ("width", "height"))
        if type(width) is int and type(height) is int and 0 < width < 1 << 31 and 0 < height < 1 << 31:
            return width, height
        return stored

    def face_boxes(self) -> list[list[float]]:
        """The json's "face_bboxes", each four numbers, as CommonPool has them; none if they are anything else."""
        boxes = self.about.get("face_bboxes")
        try:
            found = [[float(number) for number in box] for box in boxes] if isinstance(boxes, list) else []
        except (TypeError, ValueError, OverflowError):
            return []
        return found if all(len(box) == 4 for box in found) else []  # left, top, right, bottom


def go_through(path: Path) -> Iterator[tuple[tars.Sample, Pair | Reason]]:
    """Each sample of a tar in its order, with the pair that it is, or why it is none. No picture is decoded.

    Raises TarError for a tar that is broken.
    """
    names = Counter(tars.split_name(member.name) for member in tars.members(path))
    twice = {key for (key, _), times in names.items() if times > 1}
    told: set[str] = set()  # a key with a member twice comes as several samples, and is one that is none
    with tars.TarReader(path) as reader:
        for sample in tars.samples(reader):
            if sample.key not in twice:
                yield sample, _read(reader, sample)
            elif sample.key not in told:
                told.add(sample.key)
                yield sample, Reason.MEMBER_TWICE


def _read(reader: tars.TarReader, sample: tars.Sample) -> Pair | Reason:
    extensions = [extension for extension in tars.IMAGE_EXTENSIONS if extension in sample.members]
    if len(extensions) != 1:
        return Reason.SEVERAL_PICTURES if extensions else Reason.NO_PICTURE
    if sample.members[extensions[0]].bytes > MAX_PICTURE_BYTES:
        return Reason.LARGE_PICTURE
    if isinstance(about := _about(reader, sample), Reason):
        return about
    if isinstance(caption := _caption(reader, sample, about), Reason):
        return caption
    return Pair(extensions[0], reader.read(sample.members[extensions[0]]), caption, about)


def _about(reader: tars.TarReader, sample: tars.Sample) -> dict[str, Any] | Reason:
    if "json" not in sample.members:
        return {}
    if sample.members["json"].bytes > MAX_JSON_BYTES:
        return Reason.BROKEN_JSON
    try:
        about = json.loads(reader.read(sample.members["json"]))
        json.dumps(about, allow_nan=False)  # it is written again
    except (ValueError, RecursionError):
        return Reason.BROKEN_JSON
    return about if isinstance(about, dict) else Reason.BROKEN_JSON


def _caption(reader: tars.TarReader, sample: tars.Sample, about: dict[str, Any]) -> str | Reason:
    if "txt" in sample.members and sample.members["txt"].bytes > MAX_CAPTION_BYTES:
        return Reason.LONG_CAPTION
    try:
        caption = reader.read(sample.members["txt"]).decode() if "txt" in sample.members else about.get("caption")
        if not isinstance(caption, str):
            return Reason.NO_CAPTION
        if len(caption.encode()) > MAX_CAPTION_BYTES:
            return Reason.LONG_CAPTION
    except UnicodeError:  # a json may hold half a surrogate pair
        return Reason.NO_TEXT
    return caption if caption.strip() else Reason.EMPTY_CAPTION


def label(key: str) -> str:
    """A key as it may be shown and stored: what is no UTF-8 is escaped."""
    return key.encode("utf-8", "backslashreplace").decode()
