"""Published results: what others measured and wrote down. They stand on a page of their own and are never ranked with entries."""

import csv
import re
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import pydantic

from datacomp.errors import RecordError
from datacomp.records import Line, Record

FILE = "results.csv"
SCALES = ("small", "medium", "large", "xlarge", "off-scale")
FILTERING = "filtering"
_TITLES = {FILTERING: "Filtering", "byod": "Bring your own data", "reference": "For reference", "ablation (not leaderboard)": "Ablations"}
_AMOUNT = re.compile(r"([0-9.]+)([KMB]?)")
_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9}
_ARXIV = re.compile(r"arXiv ([0-9]{4}\.[0-9]{5})")

Share = Annotated[float, pydantic.Field(ge=0, le=1)] | None


class Published(Record):
    """One row of the file; None where the source gives no value."""

    scale: Literal["small", "medium", "large", "xlarge", "off-scale"]
    track: Literal["filtering", "byod", "reference", "ablation (not leaderboard)"]
    method: Line
    dataset_size: Line  # in samples, as written: 12.8M
    samples_seen: Line
    imagenet: Share
    imagenet_dist_shifts: Share
    vtab: Share
    retrieval: Share
    average_38: Share
    source: Line
    source_quality: Literal["primary", "secondary"]  # whether those wrote it who measured it
    notes: Line

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Average and groups, in the order of `COLUMNS`."""
        return self.average_38, self.imagenet, self.imagenet_dist_shifts, self.vtab, self.retrieval

    @property
    def address(self) -> str:
        """Where the source can be read, empty where that is not plain."""
        found = _ARXIV.search(self.source)
        return f"https://arxiv.org/abs/{found[1]}" if found else ""


COLUMNS = ("Average", "ImageNet", "ImageNet shifts", "VTAB", "Retrieval")


class Table(NamedTuple):
    """Rows of one scale and track, the highest average first."""

    key: str
    scale: str
    title: str
    rows: tuple[Published, ...]


def read(path: Path) -> tuple[Table, ...]:
    """Read results.csv, a table for each scale and track. Raises RecordError that names the line which does not hold."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != list(Published.model_fields):
            raise RecordError(f"{path} has the columns {reader.fieldnames}", allowed=", ".join(Published.model_fields))
        rows = [_row(content, f"{path}, line {reader.line_num}") for content in reader]
    groups = [(scale, track) for scale in SCALES for track in _TITLES]
    found = ([row for row in rows if (row.scale, row.track) == group] for group in groups)
    return tuple(
        Table(f"published-{scale}-{track.partition(' ')[0]}", scale, _TITLES[track], tuple(sorted(held, key=_order)))
        for (scale, track), held in zip(groups, found, strict=True)
        if held
    )


def _row(content: dict[str, str], where: str) -> Published:
    values: dict[str, object] = dict(content)
    try:
        values |= {name: float(content[name]) if content[name] else None for name in ("imagenet", "imagenet_dist_shifts", "vtab", "retrieval", "average_38")}
    except (TypeError, ValueError):
        raise RecordError(f"{where} has a score that is no number", allowed="numbers from 0 to 1, or nothing") from None
    return Published.of(values, where)


def _order(row: Published) -> tuple[bool, float, str]:
    return row.average_38 is None, -(row.average_38 or 0.0), row.method


def amount(text: str) -> float | None:
    """The number behind 12.8M, None where there is none."""
    found = _AMOUNT.fullmatch(text)
    return float(found[1]) * _UNITS[found[2]] if found else None


def best(tables: tuple[Table, ...]) -> tuple[tuple[Table, Published], ...]:
    """The highest average of track filtering at each scale: where the field stands."""
    return tuple((table, table.rows[0]) for table in tables if table.title == _TITLES[FILTERING])
