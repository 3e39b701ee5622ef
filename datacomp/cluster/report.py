"""The report of clusters: of each its size, what density-based pruning makes of it, and the pictures nearest to and farthest from its centroid.

A table for programs (.csv, every cluster) and a page for people (.html, the largest clusters), which loads nothing.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np

from datacomp import files, tars, uids
from datacomp.artifacts import tar_index
from datacomp.artifacts.clusters import Clusters, Integers, Members, uids_of
from datacomp.artifacts.pool import Pool
from datacomp.artifacts.subset import Subset
from datacomp.cluster import quota
from datacomp.cluster.density import Quotas
from datacomp.cluster.quota import PRESETS
from datacomp.errors import StageError, TarError
from datacomp.network.embed import thumbnail

SHOWN = 100  # clusters on the page
PICTURES = 5  # of each cluster at either end
MAX_TARS = 64  # that are looked through for pictures
_PIXELS, _QUALITY = 96, 80
_COLUMNS = ("cluster", "size", "d_inter", "d_intra", "complexity", "share", "quota", "kept")


class Picture(NamedTuple):
    """One of a cluster's pictures."""

    uid: str
    distance: str
    address: str  # data:, empty where the picture is out of reach
    is_kept: bool


def write(clusters: Clusters, kept: Subset | None, quotas: Quotas | None, pool: Pool | None, page: Path) -> None:
    """Write the page and the table beside it; what is not known is left empty.

    Raises StageError for a page that does not end in .html.
    """
    if page.suffix != ".html":
        raise StageError(f"the page cannot be written to {page}", allowed="a file that ends in .html")
    members = clusters.members()
    counted = np.concatenate([uids.count(block, kept.uids) for block in _uid_blocks(members)]) if kept else None
    rows = list(table(clusters, quotas, counted))
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(page.with_suffix(".csv"), text.getvalue())
    shown = sorted(rows, key=lambda row: (-row["size"], row["cluster"]))[:SHOWN]
    ends = _ends(members, [row["cluster"] for row in shown])
    addresses = _addresses(pool, [uid for pair in ends.values() for end in pair for uid, _, _ in end]) if pool else {}
    pictures = {
        number: [
            [Picture(uid, f"{distance:.3f}", addresses.get(uid, ""), bool(counted is not None and counted[place])) for uid, distance, place in end]
            for end in pair
        ]
        for number, pair in ends.items()
    }
    files.write_text(page, _template().render(record=clusters.record, kept=kept, rows=shown, left_out=len(rows) - len(shown), pictures=pictures))


def table(clusters: Clusters, quotas: Quotas | None, kept: Integers | None) -> Iterator[dict[str, Any]]:
    """A row for each cluster; `kept` says how often each member, in the order of uids, is kept."""
    members = clusters.members()
    found = quotas.complexity if quotas else quota.complexity(members, clusters.centroids(), PRESETS["paper"].neighbours)
    left = np.bincount(members["cluster"], weights=kept, minlength=len(found.sizes)).astype(int) if kept is not None else None
    for number, size in enumerate(found.sizes.tolist()):
        yield {
            "cluster": number,
            "size": size,
            "d_inter": f"{found.inter[number]:.4f}",
            "d_intra": f"{found.intra[number]:.4f}",
            "complexity": f"{found.values[number]:.4f}",
            "share": f"{quotas.shares[number]:.4f}" if quotas else "",
            "quota": int(quotas.whole[number]) if quotas else "",
            "kept": int(left[number]) if left is not None else "",
        }


def _uid_blocks(members: Members) -> Iterator[uids.UidArray]:
    for start in range(0, len(members), uids.BLOCK_UIDS):
        yield uids_of(members[start : start + uids.BLOCK_UIDS])


def _ends(members: Members, numbers: Iterable[int]) -> dict[int, tuple[list[tuple[str, float, int]], list[tuple[str, float, int]]]]:
    """Uid, distance and place of the members nearest to and farthest from each of some centroids."""
    cluster = np.asarray(members["cluster"])
    order = np.lexsort((-np.asarray(members["cosine"]), cluster))
    bounds = np.r_[0, np.cumsum(np.bincount(cluster))]
    found = {}
    for number in numbers:
        own = order[bounds[number] : bounds[number + 1]]
        far = own[PICTURES:][::-1][:PICTURES]  # none of a small cluster's members stands at both ends
        found[number] = (_described(members, own[:PICTURES]), _described(members, far))
    return found


def _described(members: Members, places: Integers) -> list[tuple[str, float, int]]:
    chosen = members[places]
    return list(zip(uids.text(uids_of(chosen)), (1.0 - chosen["cosine"]).tolist(), places.tolist(), strict=True))


def _addresses(pool: Pool, wanted: Iterable[str]) -> Mapping[str, str]:
    """The pictures of some uids, small, as far as they lie in the first tars."""
    missing, found = set(wanted), {}
    for path in pool.tars()[:MAX_TARS]:
        if not missing:
            break
        names = uids.text(tar_index.read(path).uids)
        rows = [(row, uid) for row, uid in enumerate(names) if uid in missing]
        if not rows:
            continue
        samples = tars.index(path)
        with tars.TarReader(path) as reader:
            for row, uid in rows:
                image = samples[row].image()
                try:
                    found[uid] = thumbnail(reader.read(image), _PIXELS, _QUALITY) if image is not None else ""
                except TarError:
                    found[uid] = ""
        missing -= found.keys()
    return found


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("report.html")
