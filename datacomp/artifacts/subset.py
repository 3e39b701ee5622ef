"""A subset: a sorted list of uids, with a record beside it that says where it comes from. A uid listed twice is seen twice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from datacomp import files, uids
from datacomp.errors import SubsetError
from datacomp.records import Count, Digest, Line, Record

_NPY_MAGIC = b"\x93NUMPY"


class SubsetRecord(Record):
    """Where a list comes from. A list from elsewhere has none of the optional fields."""

    uids_sha256: Digest
    samples: Count
    distinct_samples: Count
    pool_uids_sha256: Digest | Literal[""] = ""
    filter: Line = ""
    options: dict[Line, float | int | Line | bool] = {}  # noqa: RUF012 - pydantic copies defaults
    assets: dict[Line, Digest] = {}  # noqa: RUF012 - name and sha256 of files from outside that the filter used
    external_resources: tuple[Line, ...] = ()  # models and data that the filter used
    tombstoned_samples: Count = 0  # kept by the filter and dropped because they were taken down
    ineligible: Line = ""  # why it cannot be entered


@dataclass(frozen=True, slots=True)
class Subset:
    """A checked list: `uids` has dtype UID, shape (N,), sorted, N > 0."""

    path: Path
    uids: uids.UidArray
    record: SubsetRecord


def sidecar(path: Path) -> Path:
    """Where the record of a list lies."""
    return path.with_suffix(".json")


def read(path: Path) -> Subset:
    """Open and check a list; one from elsewhere gets a record that says nothing but its digest.

    Raises SubsetError, with the command that repairs it, for what is pickled, cut off, of another type, empty or unsorted,
    and for a list that its own record does not describe.
    """
    array = map_file(path)
    if not len(array):
        raise SubsetError(f"{path} lists no uid", allowed="one uid or more", repair="loosen the filter that wrote it")
    if (place := uids.first_unsorted(array)) is not None:
        raise SubsetError(
            f"{path} is not sorted: uid {place:,} ({uids.text(array[place : place + 1])[0]}) is smaller than the one before it",
            allowed="uids in ascending order",
            repair=f"datacomp subset repair {path} --out {path.with_stem(path.stem + '-sorted')}",
        )
    found = describe(array)
    if not sidecar(path).is_file():
        return Subset(path, array, found)
    record = SubsetRecord.read(sidecar(path))
    if record.uids_sha256 != found.uids_sha256:
        raise SubsetError(
            f"{path} is not the list that {sidecar(path).name} describes", repair=f"remove {sidecar(path)} if the list is right, else write the list again"
        )
    return Subset(path, array, record)


def describe(array: uids.UidArray) -> SubsetRecord:
    """What a sorted list says of itself."""
    count = uids.Count()
    for block in uids.blocks(array):
        count.add(block)
    return SubsetRecord.of(_counted(count), "a list")


def _counted(count: uids.Count) -> dict[str, object]:
    return {"uids_sha256": count.digest(), "samples": count.samples, "distinct_samples": count.distinct}


def map_file(path: Path) -> uids.UidArray:
    """Map a .npy file or a raw memmap of dtype "u8,u8"; order and content are not looked at."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_NPY_MAGIC))
        if magic == _NPY_MAGIC:
            array: uids.UidArray = np.load(path, mmap_mode="r", allow_pickle=False)
        elif path.stat().st_size % uids.UID.itemsize == 0 and not magic.startswith(b"\x80"):  # \x80 opens a pickle
            array = np.memmap(path, uids.UID, "r") if path.stat().st_size else np.empty(0, uids.UID)
        else:
            raise SubsetError(f"{path} is no uid list: it is neither a .npy file nor a whole number of 16-byte uids", allowed=_ALLOWED, repair=_AGAIN)
    except (FileNotFoundError, IsADirectoryError):
        raise SubsetError(f"there is no uid list at {path}", repair="check the path, or write one with: datacomp filter") from None
    except (ValueError, EOFError) as error:
        kind = "pickled objects, which are never loaded" if "Python objects" in str(error) else "a .npy file that is cut off or broken"
        raise SubsetError(f"{path} holds {kind}", allowed=_ALLOWED, repair=_AGAIN) from None
    if array.ndim != 1 or array.dtype != uids.UID:
        raise SubsetError(f"{path} has dtype {array.dtype} and shape {array.shape}", allowed=_ALLOWED, repair=_AGAIN)
    return array


_ALLOWED = 'a one-dimensional array of numpy.dtype("u8,u8"): upper and lower 64 bits of each uid, sorted'
_AGAIN = "write the list again with numpy.save or datacomp filter"


def write(path: Path, blocks: Iterable[uids.UidArray], origin: Mapping[str, object] | None = None) -> Subset:
    """Write a list that comes in sorted blocks, in memory that does not grow with it.

    `origin` holds the record's other fields. The record is written first: a list without one is somebody
    else's and complete, so the list itself is what means "complete" here.
    """
    count = uids.Count()
    path.unlink(missing_ok=True)
    with files.whole(path) as temporary:
        with temporary.open("wb") as file:
            _write_header(file, 0)
            for block in blocks:
                file.write(count.add(block))
            file.seek(0)
            _write_header(file, count.samples)
        if not count.samples:
            raise SubsetError("the list would be empty", repair="loosen the filter")
        record = SubsetRecord.of(_counted(count) | dict(origin or {}), f"what is known of {path.name}")
        record.write(sidecar(path))
    return Subset(path, map_file(path), record)


def _write_header(file: BinaryIO, samples: int) -> None:
    """Numpy leaves room in the header for any number of rows, so that it can be written again in its place."""
    np.lib.format.write_array_header_1_0(file, {"descr": np.lib.format.dtype_to_descr(uids.UID), "fortran_order": False, "shape": (samples,)})
