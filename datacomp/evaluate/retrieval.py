"""Retrieval: captions find their pictures, pictures their captions. Layout: that of clip_benchmark's retrieval webdatasets, key.txt with one caption a line."""

from collections.abc import Iterator

import numpy as np

from datacomp.evaluate import metrics, sets
from datacomp.evaluate.metrics import Measured
from datacomp.evaluate.model import Model

KS = (1, 5, 10)


def evaluate(model: Model, test_set: sets.TestSet) -> Measured:
    """Recall both ways; the samples are the pictures."""
    captions: list[str] = []
    image_of: list[int] = []

    def noted() -> Iterator[sets.Sample]:
        for place, sample in enumerate(sets.samples(test_set)):
            found = sets.captions(sample)
            captions.extend(found)
            image_of.extend([place] * len(found))
            yield sample

    images = model.images(noted(), rgb_first=False)
    return metrics.retrieval(images, model.texts(captions), np.array(image_of), KS)
