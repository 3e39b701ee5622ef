"""Keep the best-scored pairs of each web domain, up to a number, and none of the domains in blocked.txt.

A list that is the best of a score alone may come from few sites. This filter needs both of a filter's methods: `score` looks at the rows of
one block, `select` at what it said of all blocks.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datacomp.artifacts.pool import Block
from datacomp.filters.base import Column, Multiplicity, Provenance, Scores

BLOCKED = Path(__file__).with_name("blocked.txt")
DOMAIN = r"^https?://(?:www\.)?([^/:]+)"
ANSWER = np.dtype([("domain", "<u8"), ("score", "<f4"), ("blocked", "?")])  # what `score` says of a row


class DomainCap:
    """The best `samples` pairs of each domain."""

    name = "domain_cap"

    def __init__(self, score: str, samples: int) -> None:
        self.columns = ("url", score)  # what `score` reads of the metadata
        self.samples = samples
        self.blocked = BLOCKED.read_text().split()

    def score(self, block: Block) -> Scores:
        """For each row: a hash of its domain, its score, and whether the domain is blocked."""
        domain = block.columns["url"].str.extract(DOMAIN).str.to_lowercase().fill_null("")
        answer = np.zeros(len(block), ANSWER)
        answer["domain"] = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") for name in domain]
        answer["score"] = np.nan_to_num(block.numbers(self.columns[1]), nan=-np.inf)
        answer["blocked"] = domain.is_in(self.blocked).to_numpy()
        return answer

    def select(self, columns: Sequence[Column]) -> Iterator[Multiplicity]:
        """Keep a row if its score is among the highest of its domain. Each pass reads one block at a time."""
        best: dict[int, np.ndarray[Any, Any]] = {}
        for column in columns:
            for domain, scores in _by_domain(column.scores):
                best[domain] = np.sort(np.concatenate([best.get(domain, scores[:0]), scores]))[-self.samples :]
        lowest = {domain: scores[0] for domain, scores in best.items()}
        for column in columns:
            answer = column.scores
            floor = np.array([lowest.get(domain, np.inf) for domain in answer["domain"].tolist()])
            yield ~answer["blocked"] & (answer["score"] >= floor)  # booleans, or whole numbers to keep a row several times

    def provenance(self) -> Provenance:
        """The list of blocked domains goes into the uid list's record, and from there into the entry."""
        return Provenance({BLOCKED.name: hashlib.sha256(BLOCKED.read_bytes()).hexdigest()}, ("a list of blocked domains",))


def _by_domain(answer: Scores) -> Iterator[tuple[int, Scores]]:
    """The scores of each domain that is not blocked."""
    free = answer[~answer["blocked"]]
    ordered = free[np.argsort(free["domain"], kind="stable")]
    starts = np.flatnonzero(np.r_[True, ordered["domain"][1:] != ordered["domain"][:-1]]) if len(ordered) else []
    for start, part in zip(starts, np.split(ordered, starts[1:]), strict=True):
        yield int(ordered["domain"][start]), part["score"]


def make(*, samples: int = 100, score: str = "clip_l14_similarity_score") -> DomainCap:
    """Keep the best pairs of each domain; datacomp checks the options against these types."""
    return DomainCap(score, samples)
