"""WinoGAViL (arXiv 2207.12576): which of some pictures go with a cue.

Layout: `examples.jsonl` with one Example a line, and tars whose samples are the candidates, key.txt holding the name that examples call them by.
"""

from collections.abc import Iterator
from typing import Annotated, Self

import numpy as np
import pydantic

from datacomp.errors import StageError
from datacomp.evaluate import metrics, sets
from datacomp.evaluate.metrics import Labels, Measured, Shares
from datacomp.evaluate.model import Model
from datacomp.records import Record

SIZES = (5, 6, 10, 12)  # of the published examples, in candidates
_Names = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]


class Example(Record):
    """One riddle."""

    cue: Annotated[str, pydantic.Field(min_length=1)]
    candidates: _Names
    associations: _Names

    @pydantic.model_validator(mode="after")
    def _has_an_answer(self) -> Self:
        if not set(self.candidates) & set(self.associations):
            raise ValueError("it names no candidate among its associations")
        return self


def evaluate(model: Model, test_set: sets.TestSet) -> Measured:
    """Jaccard indices by number of candidates; every picture is embedded once, however many riddles it stands in."""
    place_of: dict[str, int] = {}

    def noted() -> Iterator[sets.Sample]:
        for place, sample in enumerate(sets.samples(test_set)):
            name = "\n".join(sets.captions(sample))
            if place_of.setdefault(name, place) != place:
                raise StageError(f"{sample.where}: there are two pictures {name[:80]!r}", repair=sets.AGAIN)
            yield sample

    images = model.images(noted(), rgb_first=False)
    riddles = examples(test_set)
    prompts = {example.cue: prompt(example.cue) for example in riddles}
    cues = dict(zip(prompts, model.texts(list(prompts.values())), strict=True))
    scores = []
    for example in riddles:
        if unknown := [name for name in example.candidates if name not in place_of]:
            raise StageError(f"test set {test_set.path.name} has no picture {unknown[0][:80]!r}", repair=sets.AGAIN)
        true = np.isin(example.candidates, example.associations)
        similarities = images[[place_of[name] for name in example.candidates]] @ cues[example.cue]
        scores.append(metrics.jaccard(metrics.nearest(similarities, int(true.sum())), true))
    return measure(np.array(scores), np.array([len(example.candidates) for example in riddles]))


def examples(test_set: sets.TestSet) -> list[Example]:
    """The riddles of a set."""
    path = test_set.path / sets.EXAMPLES
    found = [Example.parse(line, f"{path} line {number}") for number, line in enumerate(path.read_bytes().splitlines(), 1)]
    if not found:
        raise StageError(f"{path} holds no examples", repair=sets.AGAIN)
    return found


def prompt(cue: str) -> str:
    """The cue as the published evaluator asks for it: in lower case, with the article that its first letter takes."""
    word = cue.lower()
    return f"{'An' if word[0] in 'aeiou' else 'A'} {word}"


def measure(scores: Shares, candidates: Labels) -> Measured:
    """Means of Jaccard indices, all and by number of candidates; both arrays have shape (examples,)."""
    parts = {"avg_jaccard_score": candidates > 0} | {f"jaccard_score_{size}": candidates == size for size in SIZES}
    parts |= {"jaccard_score_5-6": candidates <= 6, "jaccard_score_10-12": candidates >= 10}
    found = Measured({}, {}, len(scores))
    for name, part in parts.items():
        mean = metrics.mean(scores[part])
        found.metrics[name] = mean[0] if mean else None
        if mean:
            found.errors[name] = mean[1]
    return found
