"""What is evaluated: a checkpoint of a run, or a network that others trained."""

from pathlib import Path
from typing import NamedTuple

from datacomp import digest
from datacomp.artifacts import results
from datacomp.artifacts.results import Network
from datacomp.artifacts.run import Checkpoint, Run, weights_path
from datacomp.declared.scale import Scale
from datacomp.errors import StageError
from datacomp.network import choose
from datacomp.network.embed import Embedder, Encoder


class _OfRun(NamedTuple):
    """A checkpoint of a run."""

    scale: Scale
    weights: Path
    sha256: str

    def load(self, device: str) -> Encoder:
        if not self.weights.is_file() or digest.of_file(self.weights) != self.sha256:
            raise StageError(f"{self.weights} is not the checkpoint that the run's record names", repair="restore the file, or train again")
        return Embedder(self.scale, self.weights, device=device)


class _Published(NamedTuple):
    """A network that others trained."""

    found: choose.Network

    def load(self, device: str) -> Encoder:
        return choose.load(self.found, device)


class Subject(NamedTuple):
    """What is evaluated: weights, the network that they belong to if it is not the scale's, and how they are loaded."""

    weights_sha256: str
    network: Network | None
    source: _OfRun | _Published
    home: Path  # the folder that one process at a time writes to
    folder: Path  # in it, or itself: where what is found of these weights goes

    def told(self) -> dict[str, object]:
        """Its part of a record; what is not there is not written."""
        return {"weights_sha256": self.weights_sha256} | ({"network": self.network} if self.network else {})


def of_run(run: Run, scale: Scale, checkpoint: Checkpoint | None = None) -> Subject:
    """A checkpoint of a run, by default the last. Raises StageError for a run of another recipe."""
    run.record.inputs.check(scale)
    last = run.record.checkpoints[-1]
    wanted = checkpoint or last
    source = _OfRun(scale, weights_path(run.path, wanted.step), wanted.sha256)
    return Subject(wanted.sha256, None, source, run.path, results.folder_in(run.path, step=None if wanted == last else wanted.step))


def of_model(model: str, weights: Path | None, out: Path) -> Subject:
    """A network that others trained, as `choose.one` finds it, whose results go into the folder `out`."""
    found = choose.one(None, model, weights)
    network = Network(name=found.name, sha256=digest.of_content(choose.declared(found).content()))
    return Subject(found.sha256, network, _Published(found), out, out)
