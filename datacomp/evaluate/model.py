"""The network under test: pictures and captions to unit vectors, loaded once for all tasks, with each text classifier built once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np

from datacomp import digest
from datacomp.errors import StageError, TarError
from datacomp.evaluate.metrics import Vectors
from datacomp.evaluate.sets import AGAIN, Sample
from datacomp.network.build import Uint8Array
from datacomp.network.embed import Encoder, decode

_AHEAD_BATCHES = 2  # that are decoded while one is computed


class Model:
    """A network and what was made with it. Pictures are decoded by threads while the network computes; `seen` is told how many were embedded."""

    def __init__(self, network: Encoder, *, workers: int = 1) -> None:
        self.network, self._workers = network, workers
        self.seen: Callable[[int], object] = lambda _: None
        self._classifiers: dict[str, Vectors] = {}

    def images(self, samples: Iterable[Sample], *, rgb_first: bool = True) -> Vectors:
        """Embed pictures: unit vectors of shape (samples, D).

        They are converted to RGB before they are resized, or after. The published evaluator does the former with what its webdataset reader decodes and
        the latter with what comes from the Hub; to pictures with a palette or transparency it makes a difference.
        """
        found = []
        for batch in self._batches(samples, rgb_first=rgb_first):
            found.append(self.network.images(np.stack(batch)))
            self.seen(len(batch))
        if not found:
            raise StageError("a test set has no samples", repair=AGAIN)
        return _finite(np.concatenate(found))

    def texts(self, captions: list[str]) -> Vectors:
        """Embed captions: unit vectors of shape (captions, D)."""
        return _finite(self.network.texts(captions))

    def classifier(self, class_names: tuple[str, ...], templates: tuple[str, ...]) -> Vectors:
        """One unit vector a class, shape (classes, D): the mean of its prompts' unit vectors, made a unit vector again (Radford et al. 2021, section 3.1.4).

        Tasks that share class names and templates share the classifier.
        """
        key = digest.of_content([class_names, templates])
        if key not in self._classifiers:
            prompts = [template.replace("{c}", name) for name in class_names for template in templates]
            if not prompts:
                raise StageError("a test set has no class names, or no templates", repair=AGAIN)
            embedded = self.texts(prompts).reshape(len(class_names), len(templates), -1)
            means = embedded.mean(axis=1)
            self._classifiers[key] = means / np.linalg.norm(means, axis=1, keepdims=True)
        return self._classifiers[key]

    def _batches(self, samples: Iterable[Sample], *, rgb_first: bool) -> Iterator[list[Uint8Array]]:
        """Crops in batches, in the order of the samples; only a few batches are held at a time."""
        waiting: deque[Future[Uint8Array]] = deque()
        size, rest = self.network.batch_samples, iter(samples)
        with ThreadPoolExecutor(self._workers) as threads:
            try:
                while True:
                    wanted = (1 + _AHEAD_BATCHES) * size - len(waiting)
                    waiting.extend(threads.submit(self._crop, sample, rgb_first) for sample in islice(rest, wanted))
                    if not waiting:
                        return
                    yield [waiting.popleft().result() for _ in range(min(size, len(waiting)))]
            finally:
                for future in waiting:
                    future.cancel()

    def _crop(self, sample: Sample, rgb_first: bool) -> Uint8Array:  # noqa: FBT001 - a thread is handed it by place
        try:
            picture = decode(sample.picture)
            return self.network.crop_decoded(picture.convert("RGB") if rgb_first else picture)
        except TarError as error:
            raise TarError(f"{sample.where}: {error.what}", repair=AGAIN) from None


def _finite(vectors: Vectors) -> Vectors:
    """What is not finite would win or lose every comparison and look like a score."""
    if not np.isfinite(vectors).all():
        raise StageError("the network gives numbers that are not finite", repair="look at the run's loss; these weights cannot be evaluated")
    return vectors
