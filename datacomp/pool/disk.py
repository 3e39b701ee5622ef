"""How much disk a downloaded pool takes, told and checked before anything is fetched."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from datacomp.errors import PoolError

# CommonPool small, as its README says; the other scales are in proportion to the byte.
_SAMPLES = 12_800_000
_METADATA_BYTES, _FEATURES_BYTES, _PICTURES_BYTES = 3e9, 75e9, 450e9


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that a pool takes."""

    metadata: int
    features: int
    pictures: int

    @property
    def total(self) -> int:
        """All together."""
        return self.metadata + self.features + self.pictures

    def text(self) -> str:
        """What is needed, part by part."""
        parts = {"metadata": self.metadata, "npz": self.features, "pictures": self.pictures}
        return f"{gigabytes(self.total)} ({', '.join(f'{name} {gigabytes(size)}' for name, size in parts.items() if size)})"


def need(samples: int, *, npz: bool, pictures: bool) -> Need:
    """What that many samples take."""
    share = samples / _SAMPLES
    return Need(round(_METADATA_BYTES * share), round(_FEATURES_BYTES * share) if npz else 0, round(_PICTURES_BYTES * share) if pictures else 0)


def gigabytes(size: float) -> str:
    """A size as people say it."""
    return f"{size / 1e12:,.1f} TB" if size >= 1e12 else f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.0f} MB"


def free(folder: Path) -> int:
    """Free bytes where a folder is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def check(out: Path, needed: Need) -> None:
    """Refuse a disk that is too small for what is still to come; what lies in `out` already counts."""
    there = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) if out.is_dir() else 0
    left, room = max(0, needed.total - there), free(out.resolve())
    if left > room:
        raise PoolError(
            f"{out} needs about {needed.text()}, {gigabytes(left)} of it still to come, and {gigabytes(room)} are free",
            repair="make room, choose another disk with --out, take less with --samples N or --metadata-only, or go on anyway with --ignore-disk",
        )
